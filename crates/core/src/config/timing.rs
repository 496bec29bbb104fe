//! The timings that depend on one another.

use std::time::Duration;

use super::group::group;
use super::kind::{Deadline, Span};

group! {
    /// The timings that depend on one another. `rules` says how.
    Timing, "Timing" {
        /// How often a worker says that it is there.
        heartbeat_interval: Duration as Deadline = "5s", env "HEARTBEAT_INTERVAL", fleet;
        /// How long a worker counts as there after its last heartbeat.
        redis_key_ttl: Duration as Deadline = "1m", env "REDIS_KEY_TTL", fleet;
        /// How long a command to a worker stays valid.
        shutdown_command_ttl: Duration as Deadline = "1m", env "SHUTDOWN_COMMAND_TTL", fleet;
        /// How often what dead workers left is cleared away.
        reaper_run_interval: Duration as Deadline = "5m", env "REAPER_RUN_INTERVAL", fleet;
        /// How long a gateway tries to reach a worker for a session.
        worker_select_timeout: Duration as Deadline = "5s", env "WORKER_SELECT_TIMEOUT", fleet;
        /// How long running sessions get to finish when the grid stops. 0 ends them at once.
        drain_timeout: Duration as Span = "5m", env "DRAIN_TIMEOUT", live;
        /// How often both ends of a session are pinged.
        ping_interval: Duration as Deadline = "20s", live;
        /// How long an end of a session may stay silent, pongs included, before it counts as lost.
        peer_timeout: Duration as Deadline = "1m", live;
    }
}

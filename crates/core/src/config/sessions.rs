//! How many sessions, how long they wait, and what they may ask for.

use std::time::Duration;

use crate::wanted::Isolation;

use super::group::group;
use super::kind::{Count, Deadline, Limit, List, Switch, Text, Word};

group! {
    /// How many sessions, how long they wait, and what they may ask for.
    Sessions, "Sessions" {
        /// How many sessions a worker serves at a time: its slots.
        max_concurrent_sessions: u32 as Count<1, 1000> = "5", env "MAX_CONCURRENT_SESSIONS";
        /// How long a session may last. 0 is no limit.
        session_max_duration: Option<Duration> as Limit = "0s", live;
        /// How many clients may wait for a slot. More are refused at once.
        queue_limit: u32 as Count<0, 100_000> = "100", live;
        /// How long a client waits for a slot before it is refused. Clients would wait for ever, but
        /// proxies in front of a grid usually give up after 60 s.
        queue_timeout: Duration as Deadline = "55s", env "QUEUE_TIMEOUT", live;
        /// What sessions share when they do not choose. `tenant` is a browser shared with sessions of
        /// the same tenant, `session` a browser of one's own.
        isolation: Isolation as Word<Isolation> = "tenant", live;
        /// Which of Playwright's launch options sessions may set. `args` and `env` decide what
        /// runs on the worker: allow them only to people who may run programs there.
        allowed_launch_options: Vec<String> as List<Text> = "headless,channel,proxy,slowMo,timeout", live;
        /// Which browser arguments sessions may pass, by their beginnings. `*` allows all of them.
        allowed_launch_args: Vec<String> as List<Text> = "", shown "none", live, sample "[\"--lang=\"]";
        /// Whether sessions may have their browser use the client's network (`exposeNetwork`).
        expose_network: bool as Switch = "true", live;
    }
}

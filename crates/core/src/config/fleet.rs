//! What makes several processes one grid.

use std::time::Duration;

use super::group::group;
use super::kind::{Deadline, Hidden, Maybe, Span, Switch, Text};
use super::secret::Secret;

group! {
    /// What makes several processes one grid.
    Fleet, "Fleet" {
        /// The secret that gateways and workers share, 16 characters or more. Several, with commas
        /// between them, while it is rotated: the first signs, all of them are accepted.
        fleet_secret: Option<Secret> as Maybe<Hidden> = "", fleet, sample "\"the output of: openssl rand -hex 32\"";
        /// The same from a file, one secret a line. It is read again when it changes, so a secret
        /// is rotated without a restart. Wins over `fleet_secret`.
        fleet_secret_file: Option<String> as Maybe<Text> = "", fleet, sample "\"/run/secrets/flotilla\"";
        /// The worker's name. No two workers may have the same; a random one never clashes.
        worker_id: Option<String> as Maybe<Text> = "", shown "a random one", fleet, sample "\"worker-1\"";
        /// The name or address under which gateways reach this worker. The machine's own address
        /// on the way to Redis, unless told otherwise.
        private_hostname: Option<String> as Maybe<Text> = "", env "PRIVATE_HOSTNAME", fleet, sample "\"worker-1.internal\"";
        /// Where clients reach this worker themselves, such as `ws://worker-1.example.com:3131`.
        /// `{port}` in it is the port that it listens on, `{host}` the name or address under which
        /// gateways reach it. Without a public endpoint, sessions of this worker are always relayed.
        public_endpoint: Option<String> as Maybe<Text> = "", fleet, sample "\"ws://worker-1.example.com:{port}\"";
        /// Whether a gateway sends clients to workers directly, where that is possible. Otherwise it
        /// relays. A client chooses for itself with `?route=direct` or `?route=relay`.
        redirect: bool as Switch = "false", fleet;
        /// How long a worker keeps a slot for a client that was sent to it and does not come, 60 s
        /// at most.
        reservation_timeout: Duration as Deadline = "10s", fleet;
        /// How long a gateway that is leaving still lets clients in. Its `/readyz` says meanwhile that
        /// it wants none: make this longer than balancers take to notice. Those who come later are
        /// told to try again.
        shutdown_grace: Duration as Span = "5s", fleet;
    }
}

//! The registry of a grid of several machines.

use super::group::group;
use super::kind::{Hidden, Host, Maybe, Port, Text};
use super::secret::Secret;

group! {
    /// The registry of a grid of several machines. Standalone mode has its own.
    Redis, "Redis" {
        /// The machine that Redis runs on.
        redis_host: Option<String> as Maybe<Host> = "", env "REDIS_HOST", fleet, sample "\"redis\"";
        /// The port of Redis.
        redis_port: u16 as Port = "6379", env "REDIS_PORT", fleet;
        /// The whole address of Redis, with its password. Wins over `redis_host` and `redis_port`.
        /// `redis://` and `rediss://` (TLS) are one server, `redis-sentinel://HOST,HOST/NAME` asks
        /// Sentinels for the master, `redis-cluster://HOST,HOST` is a cluster.
        redis_url: Option<Secret> as Maybe<Hidden> = "", env "REDIS_URL", fleet, sample "\"redis://redis:6379/0\"";
        /// A file with certificates (PEM) that vouch for that of Redis. For TLS
        /// (`rediss://`) with a certificate that public authorities did not issue.
        redis_ca_file: Option<String> as Maybe<Text> = "", fleet, sample "\"/etc/flotilla/redis-ca.pem\"";
    }
}

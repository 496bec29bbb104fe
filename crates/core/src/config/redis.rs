//! The registry of a grid of several machines.

use super::group::group;
use super::kind::{Hidden, Host, Maybe, Port};
use super::secret::Secret;

group! {
    /// The registry of a grid of several machines. Standalone mode has its own.
    Redis, "Redis" {
        /// The machine that Redis runs on.
        redis_host: Option<String> as Maybe<Host> = "", env "REDIS_HOST", later, sample "\"redis\"";
        /// The port of Redis.
        redis_port: u16 as Port = "6379", env "REDIS_PORT", later;
        /// The whole address of Redis, with its password. Wins over `redis_host` and `redis_port`.
        redis_url: Option<Secret> as Maybe<Hidden> = "", env "REDIS_URL", later, sample "\"redis://redis:6379/0\"";
    }
}

//! Gateways and workers as processes of their own, which find each other by Redis, and what it
//! costs when one of them dies, falls silent or lies.
//!
//! Each test asserts what the fault in it may cost; nothing else may happen to anybody.

mod cables;
mod clients;
mod deaths;
mod doors;
mod fairness;
mod lies;
mod orders;
mod partitions;
mod probe;
mod redis_away;
mod rotation;
mod secrets;
mod truth;
mod twins;

use flotilla_testkit::fleet::Fleet;

/// A fleet of the binary under test, whose workers have one browser each and no more.
fn fleet(redis: &str) -> Fleet {
    Fleet::new(env!("CARGO_BIN_EXE_flotilla"))
        .redis(redis)
        .env("BROWSER_TYPE", "chromium")
        .env("FLOTILLA_VERSIONS", "1.65")
        .env("FLOTILLA_WARM_SESSIONS", 0)
        // No browser is replaced: a connect that waits for the next would hide what the fault costs.
        .env("MAX_LIFETIME_SESSIONS", 100_000)
}

/// Says what was measured. The runner shows it when it is asked to.
#[expect(clippy::print_stdout, reason = "it is what the reader asked for")]
fn measured(what: std::fmt::Arguments<'_>) {
    println!("{what}");
}

//! A fleet whose workers a supervisor starts and ends.

use std::collections::BTreeSet;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use flotilla_testkit::fleet::{Fleet, Gateway};
use flotilla_testkit::redis::Redis;
use flotilla_testkit::supervisor::Supervisor;
use serde_json::Value;

use crate::{SOON, flotilla};

/// Slots of each worker.
pub(super) const SLOTS: u32 = 5;

/// Redis, workers under a supervisor, and one gateway.
pub(super) struct Bed {
    pub(super) gateway: Gateway,
    pub(super) supervisor: Supervisor,
    pub(super) fleet: Arc<Fleet>,
    _redis: Redis,
}

impl Bed {
    /// So many workers, named `old-1` and so on.
    pub(super) fn new(workers: usize) -> Self {
        Self::with(workers, |_, builder| builder)
    }

    /// The same, with more settings for workers by their names.
    pub(super) fn with(
        workers: usize,
        more: impl Fn(&str, flotilla_testkit::role::RoleBuilder) -> flotilla_testkit::role::RoleBuilder
        + Send
        + 'static,
    ) -> Self {
        let redis = Redis::start();
        let fleet = Fleet::new(env!("CARGO_BIN_EXE_flotilla")).redis(&redis.url());
        let fleet = Arc::new(fleet.env("HEARTBEAT_INTERVAL", "1s"));
        let made = Arc::clone(&fleet);
        let supervisor = Supervisor::new(move |name, _| {
            let worker = made
                .worker()
                .env("FLOTILLA_WORKER_ID", name)
                .env("MAX_CONCURRENT_SESSIONS", SLOTS)
                // One browser a worker, for as long as it lives: what is tried is the roll.
                .env("FLOTILLA_WARM_SESSIONS", 0)
                .env("MAX_LIFETIME_SESSIONS", 1_000_000)
                .env("BROWSER_TYPE", "chromium");
            more(name, worker)
        });
        let gateway = fleet.gateway().start();
        for number in 1..=workers {
            supervisor.start(&format!("old-{number}"));
        }
        gateway.wait_workers(workers, SOON);
        // A roll does not rely on a gateway that has just started.
        flotilla_testkit::wait::wait_until("the gateway to have run for a while", SOON, || {
            gateway.status().uptime_seconds > 3.5
        });
        Self { gateway, supervisor, fleet, _redis: redis }
    }

    /// `flotilla roll workers` with more arguments.
    pub(super) fn roll(&self, more: &[&str]) -> Rolled {
        let (start, stop) = (self.supervisor.start_command(), self.supervisor.stop_command());
        let endpoint = self.gateway.endpoint();
        let mut args = vec!["roll", "workers", "--json", "--endpoint", endpoint];
        args.extend(["--start-command", &start, "--stop-command", &stop]);
        args.extend(["--measure-before", "1s"]);
        args.extend(more);
        roll(&self.fleet, &args)
    }

    /// The names of the workers that run.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.supervisor.names().into_iter().collect()
    }

    /// Ends everything, and finds that nothing was left and that nobody failed.
    pub(super) fn end(self) {
        for ended in self.supervisor.ended() {
            assert!(ended.status.success(), "{} {}:\n{}", ended.name, ended.status, ended.log);
        }
        drop(self.supervisor);
        drop(self.gateway);
    }
}

/// A roll that is over.
pub(super) struct Rolled {
    pub(super) code: Option<i32>,
    pub(super) events: Vec<Value>,
    pub(super) said: String,
}

impl Rolled {
    /// What it came to.
    pub(super) fn result(&self) -> &Value {
        let last = self.events.last().unwrap_or_else(|| panic!("it told nothing: {}", self.said));
        assert_eq!(last["event"], "result", "{}", self.said);
        last
    }

    /// It replaced everything, and nobody noticed.
    pub(super) fn assert_unnoticed(&self) {
        let result = self.result();
        assert_eq!(self.code, Some(0), "{}", self.said);
        assert_eq!(result["ok"], true, "{}", self.said);
        assert_eq!(result["failed_connects"], 0, "{}", self.said);
        assert_eq!(result["sessions_killed"], 0, "{}", self.said);
    }

    /// The sentence that it ends with.
    pub(super) fn sentence(&self) -> &str {
        self.result()["sentence"].as_str().unwrap()
    }
}

/// Runs the verb with the fleet's secret, and waits for its end.
pub(super) fn roll(fleet: &Fleet, args: &[&str]) -> Rolled {
    let output = command(fleet, args).output().unwrap();
    read(&output)
}

pub(super) fn command(fleet: &Fleet, args: &[&str]) -> std::process::Command {
    let mut command = flotilla(args);
    command.env("FLOTILLA_FLEET_SECRET", fleet.secret());
    command
}

pub(super) fn read(output: &Output) -> Rolled {
    let lines = String::from_utf8_lossy(&output.stdout);
    let events = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Rolled { code: output.status.code(), events, said: crate::words(output) }
}

/// How long a roll of a few workers may take on a machine that does other things too.
#[allow(dead_code)]
pub(super) const ROLLED: Duration = Duration::from_secs(120);

//! A fleet whose workers a supervisor starts and ends.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::Arc;

use flotilla_core::status::WorkerState;
use flotilla_testkit::fleet::{Fleet, Gateway};
use flotilla_testkit::redis::Redis;
use flotilla_testkit::role::RoleBuilder;
use flotilla_testkit::supervisor::Supervisor;
use flotilla_testkit::wait::wait_until;
use serde_json::Value;

use crate::{SOON, flotilla, words};

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
        more: impl Fn(&str, RoleBuilder) -> RoleBuilder + Send + 'static,
    ) -> Self {
        let redis = Redis::start();
        let fleet = fleet(&redis);
        let made = Arc::clone(&fleet);
        let supervisor = Supervisor::new(move |name, _| {
            let worker = worker(&made).env("FLOTILLA_WORKER_ID", name);
            (name.to_owned(), more(name, worker))
        });
        let gateway = fleet.gateway().start();
        for number in 1..=workers {
            supervisor.start(&format!("old-{number}"));
        }
        gateway.wait_workers(workers, SOON);
        wait_settled(&gateway);
        Self { gateway, supervisor, fleet, _redis: redis }
    }

    /// `flotilla roll workers`, with more arguments, that has not run yet.
    pub(super) fn command(&self, more: &[&str]) -> Command {
        let (start, stop) = (self.supervisor.start_command(), self.supervisor.stop_command());
        let endpoint = self.gateway.endpoint();
        let mut args = vec!["roll", "workers", "--json", "--endpoint", endpoint];
        args.extend(["--start-command", &start, "--stop-command", &stop]);
        args.extend(["--measure-before", "500ms"]);
        args.extend(more);
        command(&self.fleet, &args)
    }

    /// `flotilla roll workers` with more arguments.
    pub(super) fn roll(&self, more: &[&str]) -> Rolled {
        read(&self.command(more).output().unwrap())
    }

    /// The names of the workers that run.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.supervisor.names().into_iter().collect()
    }

    /// Just these workers run, and take sessions.
    pub(super) fn assert_serving<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let names: BTreeSet<_> = names.into_iter().map(str::to_owned).collect();
        assert_eq!(self.names(), names);
        let takes = |state| matches!(state, WorkerState::Available | WorkerState::Busy);
        let workers = self.gateway.status().workers;
        let serving = workers.iter().filter(|worker| takes(worker.state));
        assert_eq!(serving.map(|worker| worker.id.clone()).collect::<BTreeSet<_>>(), names);
    }

    /// Ends everything, and finds that nothing was left and that nobody failed.
    pub(super) fn end(self) {
        for ended in self.supervisor.ended() {
            assert!(ended.status.success(), "{} {}:\n{}", ended.name, ended.status, ended.log);
        }
    }
}

/// A fleet in that Redis whose members hear of each other fast.
pub(super) fn fleet(redis: &Redis) -> Arc<Fleet> {
    let fleet = Fleet::new(env!("CARGO_BIN_EXE_flotilla")).redis(&redis.url());
    Arc::new(fleet.env("HEARTBEAT_INTERVAL", "1s"))
}

/// A worker with one browser, for as long as it lives: what is tried is the roll.
pub(super) fn worker(fleet: &Fleet) -> RoleBuilder {
    fleet
        .worker()
        .env("MAX_CONCURRENT_SESSIONS", SLOTS)
        .env("FLOTILLA_WARM_SESSIONS", 0)
        .env("MAX_LIFETIME_SESSIONS", 1_000_000)
        .env("BROWSER_TYPE", "chromium")
}

/// A roll does not rely on a gateway that has just started.
pub(super) fn wait_settled(gateway: &Gateway) {
    wait_until("the gateway to have run for a while", SOON, || {
        gateway.status().uptime_seconds > 3.5
    });
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
        assert_eq!(result["replaced"], result["of"], "{}", self.said);
    }

    /// It was given up, and why; nobody noticed that either.
    pub(super) fn assert_given_up(&self, why: &str) {
        let result = self.result();
        assert_eq!(self.code, Some(1), "{}", self.said);
        assert!(result["failure"].as_str().is_some_and(|w| w.contains(why)), "{}", self.said);
        assert_eq!(result["failed_connects"], 0, "{}", self.said);
        assert_eq!(result["sessions_killed"], 0, "{}", self.said);
    }

    /// It did not begin, and why.
    pub(super) fn assert_refused(&self, why: &str) {
        assert_eq!(self.code, Some(2), "{}", self.said);
        assert!(self.said.contains(why), "{}", self.said);
    }

    /// How often such an event was told.
    pub(super) fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|line| line["event"] == event).count()
    }

    /// The sentence that it ends with.
    pub(super) fn sentence(&self) -> &str {
        self.result()["sentence"].as_str().unwrap()
    }
}

/// The command line of the binary under test, with the fleet's secret.
pub(super) fn command(fleet: &Fleet, args: &[&str]) -> Command {
    let mut command = flotilla(args);
    command.env("FLOTILLA_FLEET_SECRET", fleet.secret());
    command
}

/// What it printed, line by line.
pub(super) fn read(output: &Output) -> Rolled {
    let said = words(output);
    let lines = String::from_utf8_lossy(&output.stdout);
    let event =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}\n{said}"));
    Rolled { code: output.status.code(), events: lines.lines().map(event).collect(), said }
}

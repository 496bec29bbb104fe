//! A Redis, workers, one gateway and clients, each in processes of their own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use flotilla_testkit::fleet::{Fleet, Gateway};
use flotilla_testkit::meter;
use flotilla_testkit::redis::Redis;
use serde::de::DeserializeOwned;

use crate::part::Part;
use crate::{clients, workers};

/// How long 10,000 may take for what they do all at once.
const LONG: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Stage {
    pub(crate) redis: Redis,
    pub(crate) workers: Part,
    /// Where a plain WebSocket server answers.
    pub(crate) origin: SocketAddr,
    pub(crate) gateway: Gateway,
    pub(crate) clients: Part,
    /// How long it took until Redis knew all workers, which all began at once.
    pub(crate) announced: Duration,
    /// How long it took from the gateway's start until it had dialled all of them back.
    pub(crate) known: Duration,
    _fleet: Fleet,
}

/// What Redis has done and passed on until now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) commands: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
}

// === impl Stage ===

impl Stage {
    pub(crate) fn set(count: usize) -> anyhow::Result<Self> {
        // A connection for each worker, and some.
        let redis = Redis::builder().config(&format!("maxclients {}", count + 1000)).start();
        let fleet = Fleet::new(env!("CARGO_BIN_EXE_flotilla")).redis(&redis.url());
        let setup = workers::Setup {
            workers: count,
            secret: fleet.secret().to_owned(),
            redis: redis.url(),
        };
        let began = Instant::now();
        let mut workers = Part::start("workers", &setup)?;
        let origin = workers.answer()?;
        let in_redis = || redis.cli(&["HLEN", "flotilla:workers"]) == count.to_string();
        wait("all workers to be in Redis", in_redis)?;
        let announced = began.elapsed();
        let began = Instant::now();
        let gateway =
            fleet.gateway().env("FLOTILLA_QUEUE_LIMIT", 20_000).env("QUEUE_TIMEOUT", "10m").start();
        let known = || {
            let proved = gateway.metric("flotilla_worker_registrations_total", &[]);
            proved.is_some_and(|proved| proved >= count as f64)
        };
        wait("all workers to be known to the gateway", known)?;
        let known = began.elapsed();
        let address: SocketAddr = gateway.address().parse()?;
        let mut clients = Part::start("clients", &address)?;
        let () = clients.answer()?;
        Ok(Self { redis, workers, origin, gateway, clients, announced, known, _fleet: fleet })
    }

    /// Has the clients do something.
    pub(crate) fn clients<A: DeserializeOwned>(
        &mut self,
        order: clients::Order,
    ) -> anyhow::Result<A> {
        self.clients.ask(&order)
    }

    /// So many workers take so many sessions each, the others none, and the gateway knows it.
    pub(crate) fn leave_free(&mut self, workers: usize, free: usize) -> anyhow::Result<()> {
        let () = self.workers.ask(&workers::Order::LeaveFree { workers, free })?;
        self.wait_free(workers * free)
    }

    /// Until the gateway knows of so many free slots.
    pub(crate) fn wait_free(&self, slots: usize) -> anyhow::Result<()> {
        wait("the gateway to know the free slots", || {
            let free = self.gateway.metric("flotilla_slots", &["state=\"free\""]);
            free == Some(slots as f64)
        })
    }

    /// Until so many clients wait.
    pub(crate) fn wait_queued(&self, clients: usize) -> anyhow::Result<()> {
        wait("the clients to wait", || {
            let depth = self.gateway.metric("flotilla_queue_depth", &[]);
            depth == Some(clients as f64)
        })
    }

    /// Seconds of processor time that the gateway and Redis have used.
    pub(crate) fn cpu(&self) -> (f64, f64) {
        let of = |pid| meter::cpu(pid).as_secs_f64();
        (of(self.gateway.pid()), of(self.redis.pid()))
    }

    /// Bytes of memory that the gateway has.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        Ok(meter::memory(self.gateway.pid())? as f64)
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let text = self.redis.cli(&["INFO", "stats"]);
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
        };
        Traffic {
            commands: of("total_commands_processed"),
            bytes_in: of("total_net_input_bytes"),
            bytes_out: of("total_net_output_bytes"),
        }
    }

    /// Ends the gateway in order: it must not have broken meanwhile.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.gateway.terminate();
        let status = self.gateway.wait_exit(LONG);
        ensure!(status.success(), "the gateway ended with {status}");
        Ok(())
    }
}

impl Traffic {
    /// What came after an earlier look.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            commands: self.commands - before.commands,
            bytes_in: self.bytes_in - before.bytes_in,
            bytes_out: self.bytes_out - before.bytes_out,
        }
    }

    /// The same for each of so many.
    pub(crate) fn per(self, number: f64) -> Self {
        Self {
            commands: self.commands / number,
            bytes_in: self.bytes_in / number,
            bytes_out: self.bytes_out / number,
        }
    }
}

/// Looks until it is so. Looking costs what is measured something, so it is not done often.
pub(crate) fn wait(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so() {
        ensure!(began.elapsed() < LONG, "waited for {what}, in vain");
        std::thread::sleep(LOOK);
    }
    Ok(())
}

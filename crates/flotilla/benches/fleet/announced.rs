//! Fake workers with the announcers of real ones: each has its own connection to Redis, its own
//! heartbeat, and says what is new as it happens.

use std::sync::Arc;
use std::time::Duration;

use flotilla_core::config::{Redis, Secret, Timing};
use flotilla_core::metrics::{AdvertFault, StoreOperation};
use flotilla_registry::redis::{Announcement, Announcer, Observer, RedisAddress};
use flotilla_testkit::fakes::{Crowd, CrowdConfig, FakeWorker};
use tokio::sync::mpsc;

/// A crowd that a registry knows about.
#[derive(Debug)]
pub(crate) struct Announced {
    pub(crate) crowd: Crowd,
    #[allow(dead_code, reason = "a benchmark lets them go without a goodbye")]
    announcers: Vec<Announcer>,
}

/// 1,000 workers a second: a process for each would start no faster on one machine, and thousands
/// of them in one process would wait for each other until they lose patience.
const AT_ONCE: usize = 50;
const APART: Duration = Duration::from_millis(50);

/// Nobody counts what fake workers tell.
#[derive(Debug)]
struct Nobody;

// === impl Announced ===

impl Announced {
    /// Starts the crowd, and tells the Redis of that URL about it with the usual timings.
    pub(crate) async fn start(config: &CrowdConfig, redis_url: &str) -> anyhow::Result<Self> {
        let crowd = Crowd::start(config).await?;
        let redis_url = Some(Secret::new(redis_url));
        let address = RedisAddress::parse(&Redis { redis_url, ..Redis::default() })?;
        let timing = Timing::default();
        let announce = |worker: &Arc<FakeWorker>| {
            // No operator is there: what it would be told to do goes nowhere.
            let (commands, _) = mpsc::unbounded_channel();
            Announcer::spawn(Announcement {
                address: address.clone(),
                board: worker.board(),
                news: worker.news(),
                started: worker.started(),
                keyring: crowd.keyring().clone(),
                heartbeat: timing.heartbeat_interval,
                key_ttl: timing.redis_key_ttl,
                commands,
                observer: Arc::new(Nobody),
            })
        };
        let mut announcers = Vec::new();
        for workers in crowd.workers().chunks(AT_ONCE) {
            announcers.extend(workers.iter().map(announce));
            tokio::time::sleep(APART).await;
        }
        Ok(Self { crowd, announcers })
    }

    /// All say goodbye.
    #[allow(dead_code, reason = "a benchmark lets them go without a goodbye")]
    pub(crate) async fn stop(self) {
        let goodbyes = self.announcers.into_iter().map(Announcer::stop);
        futures_util::future::join_all(goodbyes).await;
    }
}

impl Observer for Nobody {
    fn operation(&self, _: StoreOperation, _: Duration, _: bool) {}
    fn reachable(&self, _: bool) {}
    fn rejected(&self, _: AdvertFault) {}
}

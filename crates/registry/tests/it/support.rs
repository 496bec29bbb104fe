//! A worker and a gateway that have nothing but their side of the registry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use flotilla_core::advert::BrowserCount;
use flotilla_core::board::Board;
use flotilla_core::config::{Redis as Settings, Secret};
use flotilla_core::keyring::{Keyring, SharedKeyring};
use flotilla_core::metrics::{AdvertFault, Label as _, StoreOperation};
use flotilla_core::registry::{Directory as _, Registry as _};
use flotilla_core::view::{Known, Patience};
use flotilla_core::{Advert, BrowserKind, Instance, PlaywrightVersion, WorkerId};
use flotilla_registry::SharedView;
use flotilla_registry::redis::{
    Announcement, Announcer, Observer, RedisAddress, Subscriber, Subscription, WorkerCommand,
};
use tokio::sync::{mpsc, watch};

use crate::logs;

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(500);
pub(crate) const TTL: Duration = Duration::from_secs(2);
/// Longer than any test.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);
pub(crate) const SECRET: &str = "the-secret-of-the-fleet";

pub(crate) fn keyring() -> Keyring {
    Keyring::parse(SECRET).unwrap()
}

pub(crate) fn address(url: &str) -> RedisAddress {
    with_ca(url, None)
}

pub(crate) fn with_ca(url: &str, ca: Option<String>) -> RedisAddress {
    let redis_url = Some(Secret::new(url));
    RedisAddress::parse(&Settings { redis_url, redis_ca_file: ca, ..Settings::default() }).unwrap()
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) reachable: Mutex<Vec<bool>>,
    pub(crate) rejected: Mutex<Vec<AdvertFault>>,
    pub(crate) told: AtomicU64,
    pub(crate) reaped: AtomicU64,
    pub(crate) looked_up: AtomicU64,
}

impl Observer for Counted {
    fn operation(&self, operation: StoreOperation, _: Duration, ok: bool) {
        match operation {
            StoreOperation::Announce if ok => self.told.fetch_add(1, Ordering::Relaxed),
            StoreOperation::Snapshot if ok => self.looked_up.fetch_add(1, Ordering::Relaxed),
            StoreOperation::Reap if ok => self.reaped.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn reachable(&self, reachable: bool) {
        self.reachable.lock().unwrap().push(reachable);
    }

    fn rejected(&self, reason: AdvertFault) {
        self.rejected.lock().unwrap().push(reason);
    }
}

pub(crate) fn advert(id: &str) -> Advert {
    let version = PlaywrightVersion { major: 1, minor: 65 };
    Advert {
        id: WorkerId(id.into()),
        instance: Instance(format!("{id}-one")),
        started_at: 1_700_000_000,
        endpoint: "10.0.0.1:3131".into(),
        release: "0.1.0".into(),
        slots: 5,
        serves: vec![(BrowserKind::Chromium, version), (BrowserKind::Firefox, version)],
        browsers: vec![
            BrowserCount { browser: BrowserKind::Chromium, active: 0, lifetime: 0 },
            BrowserCount { browser: BrowserKind::Firefox, active: 0, lifetime: 0 },
        ],
        ..Advert::default()
    }
}

/// What a worker with so many sessions of Chromium says.
pub(crate) fn busy(id: &str, used: usize) -> Advert {
    let mut advert = Advert { used, lifetime: 10 + used as u64, ..advert(id) };
    advert.browsers[0].active = used;
    advert.browsers[0].lifetime = advert.lifetime;
    advert
}

pub(crate) struct Worker {
    pub(crate) board: Arc<Board>,
    pub(crate) counted: Arc<Counted>,
    news: watch::Sender<()>,
    commands: mpsc::UnboundedReceiver<WorkerCommand>,
    announcer: Announcer,
}

impl Worker {
    pub(crate) fn start(address: &RedisAddress, id: &str) -> Self {
        Self::paced(address, id, HEARTBEAT, TTL)
    }

    /// It says that it is there that often, and what it wrote stays that long.
    pub(crate) fn paced(
        address: &RedisAddress,
        id: &str,
        heartbeat: Duration,
        key_ttl: Duration,
    ) -> Self {
        logs::keep();
        let board = Arc::new(Board::new(advert(id)));
        let counted = Arc::new(Counted::default());
        let (news, changes) = watch::channel(());
        let (sender, commands) = mpsc::unbounded_channel();
        let announcer = Announcer::spawn(Announcement {
            address: address.clone(),
            board: board.clone(),
            news: changes,
            started: Instant::now(),
            keyring: SharedKeyring::new(keyring()),
            heartbeat,
            key_ttl,
            commands: sender,
            observer: counted.clone(),
        });
        Self { board, counted, news, commands, announcer }
    }

    pub(crate) fn says(&self, advert: &Advert) {
        self.board.post(advert);
        self.news.send_replace(());
    }

    /// How often it was told about.
    pub(crate) fn told(&self) -> u64 {
        self.counted.told.load(Ordering::Relaxed)
    }

    pub(crate) async fn next_command(&mut self) -> WorkerCommand {
        let command = tokio::time::timeout(SOON, self.commands.recv());
        command.await.expect("a command comes").unwrap()
    }

    pub(crate) fn commands(&mut self) -> Vec<WorkerCommand> {
        std::iter::from_fn(|| self.commands.try_recv().ok()).collect()
    }

    pub(crate) async fn stop(self) {
        self.announcer.stop().await;
    }

    /// Ends without a word.
    pub(crate) fn die(self) {
        drop(self);
    }
}

pub(crate) struct Gateway {
    pub(crate) view: Arc<SharedView>,
    pub(crate) counted: Arc<Counted>,
    _subscriber: Subscriber,
}

impl Gateway {
    pub(crate) fn start(address: &RedisAddress) -> Self {
        Self::clearing_away(address, TTL)
    }

    /// It looks that often for what the dead left.
    pub(crate) fn clearing_away(address: &RedisAddress, reaper_interval: Duration) -> Self {
        Self::paced(address, TTL, reaper_interval)
    }

    /// Who is not heard for that long is gone; half of it is between two looks at everything.
    pub(crate) fn paced(
        address: &RedisAddress,
        key_ttl: Duration,
        reaper_interval: Duration,
    ) -> Self {
        logs::keep();
        let view = Arc::new(SharedView::new(Patience::new(key_ttl, HEARTBEAT)));
        let counted = Arc::new(Counted::default());
        let subscriber = Subscriber::spawn(Subscription {
            address: address.clone(),
            view: view.clone(),
            keyring: SharedKeyring::new(keyring()),
            key_ttl,
            reaper_interval,
            observer: counted.clone(),
        });
        Self { view, counted, _subscriber: subscriber }
    }

    pub(crate) fn known(&self, id: &str) -> Option<Known> {
        self.view.view(|view, now| {
            view.tick(now);
            view.worker(&WorkerId(id.into())).cloned()
        })
    }

    /// How often this reason to disbelieve something was counted.
    pub(crate) fn rejected(&self, reason: &str) -> usize {
        let rejected = self.counted.rejected.lock().unwrap();
        rejected.iter().filter(|counted| counted.value() == reason).count()
    }

    pub(crate) fn reachable(&self) -> bool {
        self.view.status().reachable
    }

    /// Waits until that is true of a worker.
    pub(crate) async fn until(&self, what: &str, id: &str, holds: impl Fn(&Advert) -> bool) {
        let seen = || self.known(id).is_some_and(|known| holds(&known.advert));
        wait(what, seen).await;
    }
}

/// Waits until `holds`.
pub(crate) async fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "waited for {what}, in vain for {SOON:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Milliseconds since 1970.
pub(crate) fn millis_now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()
}

//! A worker's side: tells the fleet what it is like, and hears what it is told to do.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use flotilla_core::WorkerId;
use flotilla_core::board::Board;
use flotilla_core::cadence::Cadence;
use flotilla_core::goodbye::Goodbye;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::metrics::StoreOperation;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::address::RedisAddress;
use super::commands::{self, WorkerCommand};
use super::fault::Fault;
use super::jitter;
use super::keys::Channels;
use super::link::{Answers, Event, Link};
use super::message::{Writing, millis};
use super::outage::{Observer, Outage};

/// How long an orderly end may wait for Redis.
const FAREWELL: Duration = Duration::from_secs(2);

/// What an [`Announcer`] needs.
pub struct Announcement {
    /// Where Redis is.
    pub address: RedisAddress,
    /// Where the worker's newest advert hangs.
    pub board: Arc<Board>,
    /// Wakes when there is something new on it.
    pub news: watch::Receiver<()>,
    /// When this life of the worker began.
    pub started: Instant,
    /// Signs what is told.
    pub keyring: SharedKeyring,
    /// How often something is told although nothing is new.
    pub heartbeat: Duration,
    /// How long what was told stays.
    pub key_ttl: Duration,
    /// Where commands go.
    pub commands: mpsc::UnboundedSender<WorkerCommand>,
    /// Counts.
    pub observer: Arc<dyn Observer>,
}

/// Tells the fleet about one worker, until it is stopped or dropped.
#[derive(Debug)]
pub struct Announcer {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

// === impl Announcer ===

impl Announcer {
    /// Begins, whether or not Redis is there.
    pub fn spawn(announcement: Announcement) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(Teller::new(announcement).run(stopped));
        Self { stop: Some(stop), task }
    }

    /// Takes everything back and says goodbye, if Redis is there.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // It is there as long as its sender is.
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Teller {
    what: Announcement,
    id: WorkerId,
    writing: Writing,
    outage: Outage,
    link: Option<Link>,
    cadence: Cadence,
}

// === impl Teller ===

impl Teller {
    fn new(what: Announcement) -> Self {
        let meanwhile = "the worker goes on, and tells what is new when Redis is there";
        Self {
            id: what.board.read(what.started.elapsed()).id,
            writing: Writing { ttl: what.key_ttl, channels: Channels::of(what.address.database) },
            outage: Outage::new(what.observer.clone(), meanwhile),
            link: None,
            cadence: Cadence::new(what.heartbeat),
            what,
        }
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        tokio::select! {
            () = self.tell_forever() => {}
            _ = &mut stopped => {}
        }
        self.say_goodbye().await;
    }

    async fn tell_forever(&mut self) {
        loop {
            self.wait().await;
            self.cadence.begin(self.what.started.elapsed());
            let told = self.tell().await;
            match &told {
                Ok(()) => self.outage.over(&self.what.address),
                Err(fault) => {
                    self.link.take_if(|_| fault.ends_connection());
                    self.outage.goes_on(fault);
                }
            }
            self.cadence.end(told.is_ok(), self.what.started.elapsed());
        }
    }

    /// Until there is something to tell.
    async fn wait(&mut self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.patience()) => return,
                () = changed(&mut self.what.news) => self.cadence.changed(),
                events = heard(&mut self.link) => {
                    if events.iter().any(|event| matches!(event, Event::Lost)) {
                        self.link = None;
                    }
                    // Whether it is lost or there is a command: telling finds that out.
                    self.cadence.changed();
                }
            }
        }
    }

    /// How long until there is something to tell although nothing is new.
    fn patience(&self) -> Duration {
        let due = self.cadence.next().unwrap_or_default();
        let patience = due.saturating_sub(self.what.started.elapsed());
        match self.cadence.failures() {
            0 => patience,
            _ => jitter::shortened(patience),
        }
    }

    async fn tell(&mut self) -> Result<(), Fault> {
        let link = connected(&mut self.link, &self.what.address, &self.writing, &self.id).await?;
        let advert = self.what.board.read(self.what.started.elapsed());
        let mut message = self.writing.advert(&advert, &self.what.keyring.get(), now());
        message.push(commands::look(&self.id));
        let began = Instant::now();
        let answers = link.asks.ask_all(message).await;
        let told = |answers: &Answers| answers.iter().all(Result::is_ok);
        let ok = answers.as_ref().is_ok_and(told);
        self.what.observer.operation(StoreOperation::Announce, began.elapsed(), ok);
        let mut answers = answers?;
        // A Redis that is full takes no news, and still has commands.
        if let Some(found) = answers.pop() {
            for command in commands::take(&mut link.asks, &self.id, found?).await? {
                // When nobody takes commands any more, the worker is ending anyway.
                let _ = self.what.commands.send(command);
            }
        }
        answers.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    async fn say_goodbye(&mut self) {
        let advert = self.what.board.read(self.what.started.elapsed());
        let goodbye = Goodbye { id: advert.id, instance: advert.instance };
        let message = self.writing.goodbye(&goodbye, &self.what.keyring.get());
        let address = &self.what.address;
        let said = async {
            let link = connected(&mut self.link, address, &self.writing, &self.id).await?;
            link.asks.ask_all(message).await
        };
        let why = match tokio::time::timeout(FAREWELL, said).await {
            Ok(Ok(_)) => return,
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(why, "could not say goodbye: what was told goes after its TTL");
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Announcement({})", self.address)
    }
}

async fn connected<'a>(
    link: &'a mut Option<Link>,
    address: &RedisAddress,
    writing: &Writing,
    id: &WorkerId,
) -> Result<&'a mut Link, Fault> {
    let connected = match link.take() {
        Some(link) => link,
        None => {
            let mut link = Link::connect(address).await?;
            link.subscribe(&[writing.channels.commands(id)]).await?;
            link
        }
    };
    Ok(link.insert(connected))
}

/// Something is new on the board. Never again when its owner is gone.
async fn changed(news: &mut watch::Receiver<()>) {
    if news.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn heard(link: &mut Option<Link>) -> Vec<Event> {
    match link {
        Some(link) => link.events().await,
        None => std::future::pending().await,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

//! A gateway's side: hears what workers say, looks up what stands there, and clears away what the
//! dead left.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::advert::{Advert, InvalidAdvert};
use flotilla_core::goodbye::Goodbye;
use flotilla_core::keyring::SharedKeyring;
use flotilla_core::metrics::{AdvertFault, StoreOperation};
use flotilla_core::registry::Directory as _;
use flotilla_core::{Instance, WorkerId};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::address::RedisAddress;
use super::fault::Fault;
use super::jitter;
use super::keys::{Channels, WORKERS};
use super::link::{Event, Link, Said};
use super::outage::{Observer, Outage};
use super::reaper::Reaper;
use super::rejected::{Rejected, shown};
use super::snapshot::{Entry, Scan, open};
use crate::SharedView;

/// How often Redis is asked whether it is there.
const PING: Duration = Duration::from_secs(2);
/// The first wait before it is tried again; it doubles.
const RETRY: Duration = Duration::from_millis(100);
/// The longest.
const RETRY_MOST: Duration = Duration::from_secs(3);

/// What a [`Subscriber`] needs.
pub struct Subscription {
    /// Where Redis is.
    pub address: RedisAddress,
    /// What it feeds.
    pub view: Arc<SharedView>,
    /// Who is believed.
    pub keyring: SharedKeyring,
    /// How long what a worker told stays.
    pub key_ttl: Duration,
    /// How often what dead workers left is cleared away.
    pub reaper_interval: Duration,
    /// Counts.
    pub observer: Arc<dyn Observer>,
}

/// Feeds a view from Redis, until it is dropped.
#[derive(Debug)]
pub struct Subscriber(JoinHandle<()>);

// === impl Subscriber ===

impl Subscriber {
    /// Begins, whether or not Redis is there.
    pub fn spawn(subscription: Subscription) -> Self {
        Self(tokio::spawn(Follower::new(subscription).run()))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Follower {
    what: Subscription,
    channels: Channels,
    outage: Outage,
    rejected: Rejected,
    reaper: Reaper,
    /// The last that was read of each worker: what stands there unchanged is no news, however
    /// often it is read.
    read: Read,
}

/// Which advert of which life of a worker was read.
type Read = HashMap<WorkerId, (Instance, u64)>;

// === impl Follower ===

impl Follower {
    fn new(what: Subscription) -> Self {
        let meanwhile = "the gateway goes on with the workers that it knows, and asks them itself";
        Self {
            channels: Channels::of(what.address.database),
            outage: Outage::new(what.observer.clone(), meanwhile),
            rejected: Rejected::new(what.observer.clone()),
            reaper: Reaper::new(what.key_ttl, what.reaper_interval),
            read: HashMap::new(),
            what,
        }
    }

    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let fault = match self.find().await {
                Ok(mut link) => {
                    failures = 0;
                    self.follow(&mut link).await
                }
                Err(fault) => fault,
            };
            self.what.view.view(|view, now| view.lost_registry(now));
            self.outage.goes_on(&fault);
            tokio::time::sleep(jitter::shortened(wait(failures))).await;
            failures += 1;
        }
    }

    /// Subscribes first and looks up then, so that nothing falls between.
    async fn find(&mut self) -> Result<Link, Fault> {
        let mut link = Link::connect(&self.what.address).await?;
        link.subscribe(&[self.channels.fleet(), self.channels.goodbyes()]).await?;
        self.look_up(&mut link).await?;
        self.what.view.view(|view, now| view.found_registry(now));
        self.outage.over(&self.what.address);
        Ok(link)
    }

    /// Until Redis is lost.
    async fn follow(&mut self, link: &mut Link) -> Fault {
        let mut pings = ticks(PING);
        let mut looks = ticks(self.what.key_ttl / 2);
        loop {
            let done = tokio::select! {
                events = link.events() => self.hear(events),
                _ = pings.tick() => self.ping(link).await,
                _ = looks.tick() => self.look_up(link).await,
                () = tokio::time::sleep_until(self.reaper.next().into()) => {
                    self.clear_away(link).await
                }
            };
            let caught_up = match link.has_missed() {
                true => self.look_up(link).await,
                false => Ok(()),
            };
            if let Err(fault) = done.and(caught_up) {
                return fault;
            }
        }
    }

    async fn ping(&mut self, link: &mut Link) -> Result<(), Fault> {
        let began = Instant::now();
        let answer = link.ping().await;
        self.what.observer.operation(StoreOperation::Ping, began.elapsed(), answer.is_ok());
        self.what.view.answered_after(answer?);
        Ok(())
    }

    /// Reads all that stands there.
    async fn look_up(&mut self, link: &mut Link) -> Result<(), Fault> {
        let began = Instant::now();
        let read = self.read_all(link).await;
        self.what.observer.operation(StoreOperation::Snapshot, began.elapsed(), read.is_ok());
        self.read = self.unless_wrong_type(read)?;
        Ok(())
    }

    /// What stands there may be something else. What workers say still counts then.
    fn unless_wrong_type<T: Default>(&mut self, answer: Result<T, Fault>) -> Result<T, Fault> {
        match answer {
            Err(fault @ Fault::WrongType { .. }) => {
                self.rejected.found(WORKERS, AdvertFault::WrongType, &fault);
                Ok(T::default())
            }
            answer => answer,
        }
    }

    async fn read_all(&mut self, link: &mut Link) -> Result<Read, Fault> {
        let mut scan = Scan::of(WORKERS);
        let mut read = HashMap::new();
        while let Some(entries) = scan.next(&mut link.asks).await? {
            self.take_in(&entries, &mut read);
            // In the order in which it came, so that nobody who left comes back.
            let events = link.waiting_events();
            self.hear(events)?;
        }
        Ok(read)
    }

    async fn clear_away(&mut self, link: &mut Link) -> Result<(), Fault> {
        let began = Instant::now();
        let cleared = self.reaper.look(&mut link.asks).await;
        self.what.observer.operation(StoreOperation::Reap, began.elapsed(), cleared.is_ok());
        match self.unless_wrong_type(cleared)? {
            0 => {}
            entries => tracing::info!(entries, "cleared away what dead workers left in Redis"),
        }
        Ok(())
    }

    fn take_in(&mut self, entries: &[Entry], read: &mut HashMap<WorkerId, (Instance, u64)>) {
        let keyring = self.what.keyring.get();
        let mut news = Vec::new();
        for entry in entries {
            match open(entry, &keyring) {
                Ok(advert) => {
                    let said = (advert.instance.clone(), advert.seq);
                    if self.read.get(&advert.id) != Some(&said) {
                        news.push(advert.clone());
                    }
                    read.insert(advert.id, said);
                }
                Err(why) => self.reject(&format!("{WORKERS} {}", shown(&entry.0)), &why),
            }
        }
        self.tell(news);
    }

    fn tell(&self, adverts: Vec<Advert>) {
        if !adverts.is_empty() {
            self.what.view.view(|view, now| {
                for advert in adverts {
                    view.heard(advert, now);
                }
            });
        }
    }

    fn hear(&mut self, events: Vec<Event>) -> Result<(), Fault> {
        let mut adverts = Vec::new();
        for event in events {
            let Event::Message { channel, text } = event else {
                let (node, why) = (self.what.address.to_string(), "the connection has ended");
                return Err(Fault::Unreachable { node, why: why.to_owned() });
            };
            if channel == self.channels.goodbyes() {
                // Who was heard before has left after it.
                self.tell(std::mem::take(&mut adverts));
                self.hear_goodbye(&channel, text);
            } else {
                adverts.extend(self.hear_advert(&channel, text));
            }
        }
        self.tell(adverts);
        Ok(())
    }

    fn hear_advert(&mut self, channel: &str, text: Said) -> Option<Advert> {
        let advert = text.map_err(InvalidAdvert::TooLong).and_then(|text| {
            let text = std::str::from_utf8(&text).map_err(|_| InvalidAdvert::Forged)?;
            Advert::open(&self.what.keyring.get(), text)
        });
        advert.map_err(|why| self.reject(channel, &why)).ok()
    }

    fn hear_goodbye(&mut self, channel: &str, text: Said) {
        let text = text.ok().and_then(|text| String::from_utf8(text).ok());
        match text.and_then(|text| Goodbye::open(&self.what.keyring.get(), &text)) {
            Some(who) => self.what.view.view(|view, _| view.left(&who.id, &who.instance)),
            None => self.reject(channel, &InvalidAdvert::Forged),
        }
    }

    fn reject(&mut self, place: &str, why: &InvalidAdvert) {
        self.rejected.found(place, why.into(), why);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({})", self.address)
    }
}

fn wait(failures: u32) -> Duration {
    (RETRY * 2u32.saturating_pow(failures.min(16))).min(RETRY_MOST)
}

/// Ticks, the first after one period.
fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

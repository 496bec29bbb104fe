//! A connection to Redis: it asks, and it hears what is published.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flotilla_core::advert;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::mpsc;

use super::address::RedisAddress;
use super::connect;
use super::fault::Fault;

/// How long Redis may take to let us in.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// How long it may take to answer. Who says nothing for so long is gone.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);
/// Messages that wait to be read. What is more is dropped, and looked up later.
const MOST_WAITING: usize = 4096;

/// What comes unasked.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message on a channel.
    Message { channel: String, text: Said },
    /// The connection has ended.
    Lost,
}

/// The text of a message, or its length if that is too much for one of ours.
pub(crate) type Said = Result<Vec<u8>, usize>;

/// A connection to Redis.
pub(crate) struct Link {
    pub(crate) asks: Asks,
    /// In a cluster every node passes on every message, so that one of them is enough.
    hears: MultiplexedConnection,
    events: mpsc::Receiver<Event>,
    missed: Arc<AtomicBool>,
}

/// The half of a [`Link`] that asks. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Asks {
    to: To,
    /// Whom it asks, for messages.
    name: String,
}

#[derive(Clone)]
enum To {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

// === impl Link ===

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(crate) async fn connect(address: &RedisAddress) -> Result<Self, Fault> {
        let (sender, events) = mpsc::channel(MOST_WAITING);
        let missed = Arc::new(AtomicBool::new(false));
        let config = listening(sender, missed.clone());
        let hears = connect::node(address, &config).await?;
        let to = match connect::cluster(address).await? {
            Some(cluster) => To::Cluster(cluster),
            None => To::One(hears.clone()),
        };
        Ok(Self { asks: Asks { to, name: address.to_string() }, hears, events, missed })
    }

    /// From now on hears what is said there.
    pub(crate) async fn subscribe(&mut self, channels: &[String]) -> Result<(), Fault> {
        let subscribed = self.hears.subscribe(channels).await;
        subscribed.map_err(|error| Fault::of(&self.asks.name, &error))
    }

    /// What has come unasked, at least one. Does not forget anything when it is dropped.
    pub(crate) async fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.events.recv_many(&mut events, MOST_WAITING).await == 0 {
            events.push(Event::Lost);
        }
        events
    }

    /// What has come unasked until now.
    pub(crate) fn waiting_events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Whether messages were dropped since this was asked last, because too many came.
    pub(crate) fn has_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }

    /// How long the connection that hears takes to answer.
    pub(crate) async fn ping(&mut self) -> Result<Duration, Fault> {
        let began = Instant::now();
        let pong: Result<String, _> = redis::cmd("PING").query_async(&mut self.hears).await;
        pong.map(|_| began.elapsed()).map_err(|error| Fault::of(&self.asks.name, &error))
    }
}

impl Asks {
    /// Has one command done.
    pub(crate) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Fault> {
        let answer = match &mut self.to {
            To::One(connection) => command.query_async(connection).await,
            To::Cluster(connection) => command.query_async(connection).await,
        };
        answer.map_err(|error| Fault::of(&self.name, &error))
    }

    /// Has all of them done, in one round trip; on a cluster, one for each node. All of them are
    /// tried, and each has its own answer.
    pub(crate) async fn ask_all(&mut self, commands: Vec<Cmd>) -> Result<Answers, Fault> {
        let answers = match &mut self.to {
            To::One(connection) => all(commands).query_async(connection).await,
            To::Cluster(connection) => Ok(each(connection, &commands).await),
        };
        let fault = |error| Fault::of(&self.name, &error);
        let answers: Vec<redis::RedisResult<Value>> = answers.map_err(fault)?;
        Ok(answers.into_iter().map(|answer| answer.map_err(fault)).collect())
    }
}

/// What became of each command.
pub(crate) type Answers = Vec<Result<Value, Fault>>;

fn all(commands: Vec<Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline.ignore_errors();
    pipeline
}

async fn each(connection: &ClusterConnection, commands: &[Cmd]) -> Vec<redis::RedisResult<Value>> {
    let asked = commands.iter().map(|command| {
        let mut connection = connection.clone();
        async move { connection.req_packed_command(command).await?.extract_error() }
    });
    futures_util::future::join_all(asked).await
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.asks.name)
    }
}

/// What a connection hears goes there. It must not wait for the one who reads.
fn listening(sender: mpsc::Sender<Event>, missed: Arc<AtomicBool>) -> AsyncConnectionConfig {
    let hear = move |info: PushInfo| {
        if let Some(event) = event(info)
            && sender.try_send(event).is_err()
        {
            missed.store(true, Ordering::Relaxed);
        }
        Ok::<_, ()>(())
    };
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_push_sender(hear)
}

fn event(info: PushInfo) -> Option<Event> {
    match info.kind {
        PushKind::Disconnection => Some(Event::Lost),
        PushKind::Message => {
            let mut data = info.data.into_iter();
            let channel = redis::from_redis_value(data.next()?).ok()?;
            let text: Vec<u8> = redis::from_redis_value(data.next()?).ok()?;
            let text = if text.len() > advert::LONGEST { Err(text.len()) } else { Ok(text) };
            Some(Event::Message { channel, text })
        }
        _ => None,
    }
}

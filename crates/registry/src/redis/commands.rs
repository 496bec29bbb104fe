//! What an operator wants a worker to do, left for it in Redis. The key is the truth; what is
//! published only says that there may be one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use flotilla_core::{BrowserKind, WorkerId};
use redis::{Cmd, FromRedisValue, Value, cmd};

use super::address::RedisAddress;
use super::fault::Fault;
use super::keys::{self, Channels};
use super::link::{Asks, Link};
use super::message::{millis, publish};

/// What a worker can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerCommand {
    /// Take no new sessions, and end when the last has ended.
    Shutdown,
    /// Take no new sessions.
    Drain,
    /// Take sessions again.
    Undrain,
}

impl WorkerCommand {
    const ALL: [Self; 3] = [Self::Shutdown, Self::Drain, Self::Undrain];

    /// The value of the key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Drain => "drain",
            Self::Undrain => "undrain",
        }
    }
}

impl fmt::Display for WorkerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker can be told to shutdown, drain or undrain")]
pub struct UnknownCommand;

impl FromStr for WorkerCommand {
    type Err = UnknownCommand;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|command| command.as_str() == text).ok_or(UnknownCommand)
    }
}

/// Leaves a command for a worker. Any browser that it serves will do.
///
/// # Errors
/// Why Redis did not take it.
pub async fn command(
    address: &RedisAddress,
    worker: &WorkerId,
    browser: BrowserKind,
    what: WorkerCommand,
    ttl: Duration,
) -> Result<(), Fault> {
    let mut link = Link::connect(address).await?;
    let mut set = cmd("SET");
    set.arg(keys::command(browser, worker)).arg(what.as_str()).arg("PX").arg(millis(ttl));
    let hint = publish(&Channels::of(address.database).commands(worker), what.as_str());
    // In this order: who follows the hint must find the key.
    link.asks.ask::<()>(&set).await?;
    link.asks.ask(&hint).await
}

/// Asks whether there are any.
pub(crate) fn look(worker: &WorkerId) -> Cmd {
    let mut look = cmd("MGET");
    look.arg(BrowserKind::ALL.map(|browser| keys::command(browser, worker)).to_vec());
    look
}

/// Takes those that [`look`] has found, so that nobody finds them again. What was written for
/// several browsers of a worker is one command.
pub(crate) async fn take(
    asks: &mut Asks,
    worker: &WorkerId,
    found: Value,
) -> Result<Vec<WorkerCommand>, Fault> {
    let found = Vec::<Option<Vec<u8>>>::from_redis_value(found).unwrap_or_default();
    let keys = BrowserKind::ALL.into_iter().zip(found).filter(|(_, value)| value.is_some());
    let takes = keys.map(|(browser, _)| {
        let mut take = cmd("GETDEL");
        take.arg(keys::command(browser, worker));
        take
    });
    let takes: Vec<_> = takes.collect();
    if takes.is_empty() {
        return Ok(Vec::new());
    }
    let mut commands = Vec::new();
    for taken in asks.ask_all(takes).await? {
        let taken = Option::<Vec<u8>>::from_redis_value(taken?).unwrap_or_default();
        match taken.as_deref().map(read) {
            Some(Ok(command)) if !commands.contains(&command) => commands.push(command),
            Some(Err(unknown)) => tracing::warn!(%unknown, "an unknown command was passed over"),
            _ => {}
        }
    }
    Ok(commands)
}

fn read(text: &[u8]) -> Result<WorkerCommand, UnknownCommand> {
    std::str::from_utf8(text).map_err(|_| UnknownCommand)?.trim().parse()
}

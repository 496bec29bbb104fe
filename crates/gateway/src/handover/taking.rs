//! The successor's side.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::WorkerId;
use flotilla_core::metrics::HandoverResult;
use flotilla_core::refusal::Served;
use flotilla_core::registry::Registry;
use flotilla_relay::Parked;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::door::{Door, is_ours};
use super::wire::{Message, Received, Welcome, receive, receive_any, send};
use super::{Carried, PROTOCOL};
use crate::active::Active;
use crate::gateway::{Connected, Gateway, Inner};
use crate::relayed::{Relaying, relayed};
use crate::session::Listed;
use crate::workers::Workers;

/// How long a predecessor may take to say who it is.
const WELCOME_WITHIN: Duration = Duration::from_secs(5);
/// How long nobody may be at the door: one that has just taken over itself is on its way there.
const DOOR_WITHIN: Duration = Duration::from_secs(1);
/// How long a predecessor may take with one session.
const SESSION_WITHIN: Duration = Duration::from_secs(10);

/// Why a gateway cannot take another's place. That one goes on as if nothing had been asked.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// Nobody to take over from.
    #[error(
        "no gateway to take over from: {door} does not answer ({source}). Start without \
         --take-over, or with the port and run_dir of the one that runs"
    )]
    Nobody {
        /// Where one would be.
        door: String,
        /// What the system says.
        source: io::Error,
    },
    /// It does not want to.
    #[error("the gateway that runs does not hand over: {0}")]
    Refused(String),
    /// It answers something else.
    #[error("the gateway that runs could not be asked to hand over: {0}")]
    Broken(#[source] io::Error),
}

/// A gateway that is ready to hand over.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    welcome: Welcome,
}

/// A gateway whose predecessor may still have somebody on the way in or out.
#[derive(Debug)]
pub struct Successor {
    stream: UnixStream,
    /// Sessions that came over at once.
    pub sessions: usize,
    /// Connections that the predecessor still has.
    pub left: usize,
    /// How long that took.
    pub took: Duration,
}

impl Predecessor {
    /// Asks the gateway of that port for its place. Gives its listener, too.
    ///
    /// # Errors
    /// When there is none, or it does not hand over.
    pub async fn find(
        run_dir: &Path,
        port: u16,
        release: &str,
    ) -> Result<(Self, TcpListener), TakeOverError> {
        let mut stream = knock(&Door::path(run_dir, port)).await?;
        let asked = ask(&mut stream, release).await.map_err(TakeOverError::Broken)?;
        let Received { message, mut files, .. } = asked;
        match message {
            Message::Welcome(welcome) if welcome.protocol == PROTOCOL => {
                let listener = files.pop().ok_or_else(|| {
                    TakeOverError::Broken(io::Error::other("it did not give its listener"))
                })?;
                Ok((Self { stream, welcome }, listener.into()))
            }
            Message::Refused { why } => Err(TakeOverError::Refused(why)),
            other => Err(TakeOverError::Broken(io::Error::other(format!("it said {other:?}")))),
        }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.welcome.pid
    }

    /// How many processes have had its place, it included.
    pub fn generation(&self) -> i64 {
        self.welcome.generation
    }

    /// The browsers and versions that its clients can have.
    pub fn offers(&self) -> &[Served] {
        &self.welcome.offers
    }

    /// The workers that it can reach.
    pub fn workers(&self) -> &[WorkerId] {
        &self.welcome.workers
    }

    /// Says that `gateway` accepts connections now, and takes every session that can come at once.
    ///
    /// # Errors
    /// When the predecessor goes meanwhile. What came is here.
    pub async fn take<R: Registry, W: Workers>(
        mut self,
        gateway: &Gateway<R, W>,
    ) -> io::Result<Successor> {
        let began = Instant::now();
        let handover = &gateway.0.metrics.handover;
        handover.draining.set((), 1);
        send(&mut self.stream, &Message::Ready).await?;
        let mut sessions = 0;
        let left = loop {
            let received = receive(&mut self.stream, SESSION_WITHIN).await?;
            match received.message {
                Message::Session(_) => {
                    sessions += usize::from(gateway.adopt(&mut self.stream, received).await?);
                }
                Message::Swept { left } => break left,
                other => return Err(io::Error::other(format!("it said {other:?}"))),
            }
        };
        let took = began.elapsed();
        handover.handovers.inc(HandoverResult::TakenOver);
        handover.seconds.observe(HandoverResult::TakenOver, took);
        Ok(Successor { stream: self.stream, sessions, left, took })
    }
}

impl Successor {
    /// Takes the rest, until the predecessor has nothing left or is gone. How many came yet.
    pub async fn take_rest<R: Registry, W: Workers>(mut self, gateway: &Gateway<R, W>) -> usize {
        let mut sessions = 0;
        // Its end without a word means the same as its last word.
        while let Ok(received) = receive_any(&mut self.stream).await {
            match received.message {
                Message::Session(_) => match gateway.adopt(&mut self.stream, received).await {
                    Ok(taken) => sessions += usize::from(taken),
                    Err(_) => break,
                },
                _ => break,
            }
        }
        gateway.0.metrics.handover.draining.set((), 0);
        sessions
    }
}

async fn knock(door: &Path) -> Result<UnixStream, TakeOverError> {
    let began = Instant::now();
    let stream = loop {
        match UnixStream::connect(door).await {
            Ok(stream) => break stream,
            Err(source) if began.elapsed() > DOOR_WITHIN || !is_absence(&source) => {
                return Err(TakeOverError::Nobody { door: door.display().to_string(), source });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    match is_ours(&stream) {
        Ok(true) => Ok(stream),
        Ok(false) => {
            let why = "it runs as another user. Start the new one as that user".to_owned();
            Err(TakeOverError::Refused(why))
        }
        Err(error) => Err(TakeOverError::Broken(error)),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

async fn ask(stream: &mut UnixStream, release: &str) -> io::Result<Received> {
    let (release, pid) = (release.to_owned(), std::process::id());
    send(stream, &Message::Hello { protocol: PROTOCOL, release, pid }).await?;
    receive(stream, WELCOME_WITHIN).await
}

impl<R: Registry, W: Workers> Gateway<R, W> {
    /// Takes a session: says so first, since from that moment on it is nobody else's.
    async fn adopt(&self, stream: &mut UnixStream, received: Received) -> io::Result<bool> {
        let revived = self.revive(received).map_err(|problem| problem.to_string());
        let problem = revived.as_ref().err().cloned();
        let taken = problem.is_none();
        send(stream, &Message::Taken { problem }).await?;
        if let Ok((session, active)) = revived {
            self.0.metrics.handover.sessions.inc(HandoverResult::TakenOver);
            tracing::info!(session = %session.id, "session taken over");
            self.0.active().insert(session.id.clone(), active);
            // Whoever is here already is not sent away when there are fewer seats now.
            let seat = self.0.seats.clone().try_acquire_owned().ok();
            let connection = self.0.connected();
            tokio::spawn(go_on(self.0.clone(), session, (connection, seat)));
        }
        Ok(taken)
    }

    fn revive(&self, received: Received) -> io::Result<(Relaying<W::Lease>, Active)> {
        let Message::Session(carried) = received.message else {
            return Err(io::Error::other("it is no session"));
        };
        let Ok([client, upstream]) = <[_; 2]>::try_from(received.files) else {
            return Err(io::Error::other("its connections did not come along"));
        };
        let worker = WorkerId(carried.worker.clone());
        let (lease, lost) = self
            .0
            .workers
            .adopt(&worker)
            .ok_or_else(|| io::Error::other("it is of another kind"))?;
        let (parked, traffic) = Parked::revived(&received.bytes, client, upstream)?;
        let Carried { id, browser, version, isolation, worker, began_at, limit, age } = carried;
        let now = Instant::now();
        let began = now.checked_sub(age).unwrap_or(now);
        let (served, traffic) = ((browser, version), Arc::new(traffic));
        let (end, asked) = oneshot::channel();
        let active = Active::new(served, isolation, worker.clone(), traffic.clone(), end);
        // A worker elsewhere ends a session with a close frame.
        let (_, ending) = oneshot::channel();
        let parked = Box::new(parked);
        Ok((
            Relaying {
                id,
                served,
                isolation,
                worker,
                began,
                limit,
                traffic,
                ending,
                lost,
                asked,
                lease,
                parked,
            },
            active.since(began, began_at),
        ))
    }
}

async fn go_on<R: Registry, W: Workers>(
    gateway: Arc<Inner<R, W>>,
    session: Relaying<W::Lease>,
    held: (Connected, Option<OwnedSemaphorePermit>),
) {
    let id = session.id.clone();
    let listed = Listed::already(&gateway, &id);
    relayed(&gateway, session).await;
    drop((listed, held));
}

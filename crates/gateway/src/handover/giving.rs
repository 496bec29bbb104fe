//! The predecessor's side.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flotilla_core::SessionId;
use flotilla_core::metrics::HandoverResult;
use flotilla_core::registry::Registry;
use rustix::net::Shutdown;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::door::{Door, is_ours};
use super::wire::{Message, Received, Welcome, receive, receive_any, send, send_with};
use super::{Offer, PROTOCOL, Summons};
use crate::gateway::Gateway;
use crate::workers::Workers;

/// How long the first word of whoever comes may take.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How long a successor may take until it knows the workers.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a session may stand still before it goes on here.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked who can be handed over now, or has gone.
const LOOK: Duration = Duration::from_millis(5);

/// Everything was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// So many sessions.
    pub sessions: usize,
    /// To that process.
    pub pid: u32,
}

/// Why a session did not go over.
enum NotTaken {
    /// Its client is being let in.
    NotYet,
    /// It is ending, or the successor could not take it.
    StaysHere,
    /// The successor is gone.
    Broken(io::Error),
}

impl<R: Registry, W: Workers> Gateway<R, W> {
    /// Answers whoever comes through the door, until a successor has everything.
    pub async fn hand_over(&self, door: Door) -> HandedOver {
        let door = Arc::new(door);
        let busy = Arc::new(AtomicBool::new(false));
        let (tell, mut told) = mpsc::channel(1);
        loop {
            let accepted = tokio::select! {
                accepted = door.listener.accept() => accepted,
                Some(done) = told.recv() => return done,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors: somebody else is told so.
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let (gateway, door) = (self.clone(), door.clone());
            let (busy, tell) = (busy.clone(), tell.clone());
            tokio::spawn(async move {
                if let Some(done) = gateway.answer(stream, &door, &busy).await {
                    let _ = tell.send(done).await;
                }
            });
        }
    }

    async fn answer(
        &self,
        mut stream: UnixStream,
        door: &Door,
        busy: &AtomicBool,
    ) -> Option<HandedOver> {
        let pid = match self.greet(&mut stream).await {
            Ok(Ok(pid)) => pid,
            Ok(Err(why)) => {
                self.refuse(&mut stream, why).await;
                return None;
            }
            Err(error) => {
                tracing::debug!(%error, "somebody came to take over and said nothing");
                return None;
            }
        };
        if busy.swap(true, Ordering::SeqCst) {
            let why = "another process is taking over already: wait until this one has gone";
            self.refuse(&mut stream, why.to_owned()).await;
            return None;
        }
        let began = Instant::now();
        let mut giving = Giving { gateway: self, stream, tried: HashSet::new(), sessions: 0 };
        let given = giving.all(door).await;
        let sessions = giving.sessions;
        drop(giving);
        let handover = &self.0.metrics.handover;
        let result = match &given {
            Ok(()) => HandoverResult::HandedOver,
            Err(_) => HandoverResult::Abandoned,
        };
        handover.handovers.inc(result);
        handover.seconds.observe(result, began.elapsed());
        if let Err(error) = given {
            tracing::warn!(pid, sessions, %error, "the process that was taking over is gone: going on with what is left");
            self.0.resting.send_replace(false);
            busy.store(false, Ordering::SeqCst);
            return None;
        }
        tracing::info!(pid, sessions, "everything is handed over");
        Some(HandedOver { sessions, pid })
    }

    /// The process that comes, or why it cannot take over.
    async fn greet(&self, stream: &mut UnixStream) -> io::Result<Result<u32, String>> {
        let release = &self.0.config.version;
        // Whoever has said hello reads the answer.
        let hello = receive(stream, HELLO_WITHIN).await?.message;
        if !is_ours(stream)? {
            return Ok(Err("only a process of the same user may take over".to_owned()));
        }
        Ok(match hello {
            Message::Hello { protocol: PROTOCOL, pid, .. } => Ok(pid),
            Message::Hello { protocol, release: other, .. } => Err(format!(
                "release {other} hands over in a way (number {protocol}) that release {release}, \
                 which runs, does not know (it has number {PROTOCOL}). Stop the old one in order \
                 (SIGTERM) and start the new one without --take-over"
            )),
            _ => Err("it did not say hello".to_owned()),
        })
    }

    async fn refuse(&self, stream: &mut UnixStream, why: String) {
        tracing::warn!(why, "a process may not take over");
        self.0.metrics.handover.handovers.inc(HandoverResult::Refused);
        // It may not want to know.
        let _ = send(stream, &Message::Refused { why }).await;
    }

    fn welcome(&self) -> Message {
        let registry = &self.0.registry;
        Message::Welcome(Welcome {
            protocol: PROTOCOL,
            release: self.0.config.version.clone(),
            pid: std::process::id(),
            generation: self.0.metrics.handover.generation.get(()),
            offers: registry.offered(),
            workers: registry.look(|fleet| fleet.workers().map(|w| w.id.clone()).collect()),
        })
    }
}

/// A handover under way.
struct Giving<'a, R: Registry, W: Workers> {
    gateway: &'a Gateway<R, W>,
    stream: UnixStream,
    /// Sessions that stay here to their end.
    tried: HashSet<SessionId>,
    sessions: usize,
}

impl<R: Registry, W: Workers> Giving<'_, R, W> {
    async fn all(&mut self, door: &Door) -> io::Result<()> {
        let listener = [door.clients.as_fd()];
        send_with(&mut self.stream, &self.gateway.welcome(), &[], &listener).await?;
        match receive(&mut self.stream, READY_WITHIN).await?.message {
            Message::Ready => {}
            other => return Err(unexpected(&other)),
        }
        self.gateway.0.resting.send_replace(true);
        self.sweep().await?;
        let left = self.gateway.connections();
        send(&mut self.stream, &Message::Swept { left }).await?;
        while self.gateway.connections() > 0 {
            self.pause().await?;
            self.sweep().await?;
        }
        door.leave();
        send(&mut self.stream, &Message::Done).await
    }

    /// Hands over everybody who is relayed now.
    async fn sweep(&mut self) -> io::Result<()> {
        let relayed: Vec<_> = self.gateway.0.active().keys().cloned().collect();
        self.tried.retain(|id| relayed.contains(id));
        for id in relayed {
            if self.tried.contains(&id) {
                continue;
            }
            let counted = match self.give(&id).await {
                Ok(()) => {
                    self.sessions += 1;
                    HandoverResult::HandedOver
                }
                Err(NotTaken::StaysHere) => {
                    self.tried.insert(id);
                    HandoverResult::Abandoned
                }
                Err(NotTaken::NotYet) => continue,
                Err(NotTaken::Broken(error)) => return Err(error),
            };
            self.gateway.0.metrics.handover.sessions.inc(counted);
        }
        Ok(())
    }

    async fn give(&mut self, id: &SessionId) -> Result<(), NotTaken> {
        let (offer, offered) = oneshot::channel();
        let summon = self.gateway.0.active().get_mut(id).and_then(|active| active.summon.take());
        let summon = summon.ok_or(NotTaken::NotYet)?;
        summon.send(Summons(offer)).map_err(|_| NotTaken::StaysHere)?;
        let Offer { carried, state, connections, taken } =
            offered.await.map_err(|_| NotTaken::StaysHere)?;
        let connections = connections.each_ref().map(AsFd::as_fd);
        let session = Message::Session(carried);
        let sent = send_with(&mut self.stream, &session, &state, &connections);
        // A half of it is worth nothing to a successor that wakes up later.
        let sent = timeout(TAKEN_WITHIN, sent).await.unwrap_or_else(|_| Err(silent()));
        sent.map_err(NotTaken::Broken)?;
        match self.verdict().await.map_err(NotTaken::Broken)? {
            None => {
                // It stops being here before the next is asked.
                let _ = taken.send(());
                Ok(())
            }
            Some(problem) => {
                tracing::warn!(session = %id, problem, "a session could not be handed over: it stays here");
                Err(NotTaken::StaysHere)
            }
        }
    }

    /// What the successor says about the session. One that says nothing in time must not wake up
    /// later and have it too: its answer is made impossible first, and what it had said is read.
    async fn verdict(&mut self) -> io::Result<Option<String>> {
        let answer = match receive(&mut self.stream, TAKEN_WITHIN).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                rustix::net::shutdown(&self.stream, Shutdown::Both)?;
                receive(&mut self.stream, LOOK).await?
            }
            answer => answer?,
        };
        match answer.message {
            Message::Taken { problem } => Ok(problem),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits a little, and notices a successor that goes.
    async fn pause(&mut self) -> io::Result<()> {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => Ok(()),
            said = receive_any(&mut self.stream) => {
                said.and_then(|Received { message, .. }| Err(unexpected(&message)))
            }
        }
    }
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer")
}

fn unexpected(message: &Message) -> io::Error {
    io::Error::other(format!("it said what makes no sense here: {message:?}"))
}

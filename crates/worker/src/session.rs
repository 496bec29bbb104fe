//! A session on this worker: admitted, connected to its browser, and given back by dropping.

use flotilla_core::ending::Ending;
use flotilla_core::launcher::{Endpoint, Launcher, LauncherEvent};
use flotilla_core::pool::{Demand, NotAdmitted};
use flotilla_core::status::{SessionStatus, WorkerStatus};
use flotilla_core::{Advert, SessionId};
use flotilla_relay::head::{HeadError, read_response_body, read_response_head};
use flotilla_relay::{RequestHead, ResponseHead, Socket};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::orders::Leave;

use crate::supervisor::{AdmitError, Command, Granted, Observer, Supervisor, WorkerConfig};

/// How long a browser's server may take to answer a handshake.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 64 * 1024;

/// What the browser's server has no use for, or must not see: who the client is, and headers
/// that would make it launch something by itself.
const NOT_FORWARDED: [&str; 7] = [
    "origin",
    "authorization",
    "cookie",
    "x-playwright-browser",
    "x-playwright-proxy",
    "x-playwright-launch-options",
    "accept",
];

/// A running worker. Clones are the same worker; it ends when the last is dropped.
#[derive(Clone, Debug)]
pub struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    pub(crate) leaving: watch::Sender<Option<Leave>>,
}

/// Holds one session's slot. Dropping it says that the session is over; the slot is free when
/// the contexts are disposed.
#[derive(Debug)]
pub struct Lease {
    session: SessionId,
    commands: mpsc::WeakUnboundedSender<Command>,
}

/// A session that holds a slot and has its browser; nobody is connected to that yet.
#[derive(Debug)]
pub struct Reserved {
    /// Resolves when the worker ends the session, and why.
    pub ending: oneshot::Receiver<Ending>,
    /// How long admission and the browser took.
    pub granted_after: Duration,
    endpoint: Endpoint,
    lease: Lease,
}

/// A session whose browser has answered the handshake.
#[derive(Debug)]
pub struct Opened {
    /// The connection to the browser's server.
    pub upstream: Socket,
    /// Its answer: 101.
    pub response: ResponseHead,
    /// Resolves when the worker ends the session, and why.
    pub ending: oneshot::Receiver<Ending>,
    /// How long admission and the browser took.
    pub granted_after: Duration,
    /// The slot.
    pub lease: Lease,
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It was not admitted, or got no browser.
    #[error(transparent)]
    Admit(#[from] AdmitError),
    /// The browser's server said no.
    #[error("the browser's server answered {status}: {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The browser's server could not be reached, or broke off.
    #[error("the browser's server: {0}")]
    Unreachable(String),
}

impl Worker {
    /// Starts the worker's supervisor. It says what is free through `publish`.
    pub fn start<L: Launcher>(
        config: WorkerConfig,
        launcher: Arc<L>,
        events: mpsc::UnboundedReceiver<LauncherEvent>,
        publish: impl Fn(Advert) + Send + 'static,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let supervisor = Supervisor::new(config, launcher, publish, observer, commands.downgrade());
        tokio::spawn(supervisor.run(inbox, events));
        Self { commands, leaving: watch::Sender::new(None) }
    }

    /// Admits a session, waits for its browser and passes the client's handshake on to it.
    /// `admitted` is told as soon as the slot is taken (`true`) or refused. Dropping the future
    /// gives everything back.
    ///
    /// # Errors
    /// When there is no slot, no browser, or no answer.
    pub async fn open(
        &self,
        session: SessionId,
        demand: Demand,
        handshake: RequestHead,
        admitted: impl FnOnce(bool) + Send,
    ) -> Result<Opened, OpenError> {
        self.reserve(session, demand, admitted).await?.connect(handshake).await
    }

    /// The same up to the browser, for a client that is yet to come.
    ///
    /// # Errors
    /// When there is no slot or no browser.
    pub async fn reserve(
        &self,
        session: SessionId,
        demand: Demand,
        admitted: impl FnOnce(bool) + Send,
    ) -> Result<Reserved, OpenError> {
        let began = Instant::now();
        let lease = Lease { session: session.clone(), commands: self.commands.downgrade() };
        let (reply, answer) = oneshot::channel();
        self.send(Command::Admit { session: session.clone(), demand, reply });
        let answer = answer.await.map_err(|_| AdmitError::Stopped)?;
        admitted(answer.is_ok());
        let granted = answer?.granted.await.map_err(|_| AdmitError::Stopped)??;
        let Granted { browser, endpoint, ending } = granted;
        let granted_after = began.elapsed();
        tracing::debug!(%session, %browser, "granted");
        Ok(Reserved { ending, granted_after, endpoint, lease })
    }

    /// The worker as it is now; `None` when it has stopped.
    pub async fn inspect(&self) -> Option<WorkerStatus> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Inspect(reply));
        answer.await.ok()
    }

    /// Its sessions, the oldest first; `None` when it has stopped.
    pub async fn sessions(&self) -> Option<Vec<SessionStatus>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Sessions(reply));
        answer.await.ok()
    }

    /// Admits sessions again after [`Worker::drain`]; `false` when it is leaving, or has stopped.
    /// It begins at once, whether or not the future is awaited.
    pub fn undrain(&self) -> impl Future<Output = bool> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Undrain(reply));
        async { answer.await.unwrap_or(false) }
    }

    /// Ends one session with these words; `false` when there is no such live session.
    pub async fn end(&self, session: SessionId, ending: Ending) -> bool {
        let (reply, answer) = oneshot::channel();
        self.send(Command::End(session, ending, reply));
        answer.await.unwrap_or(false)
    }

    /// Admits nobody from now on: at once, whether or not the future is awaited. It resolves when
    /// the last session has left and the last browser is gone.
    pub fn drain(&self) -> impl Future<Output = ()> + Send + use<> {
        self.drain_by(Command::Drain)
    }

    /// As [`Worker::drain`], for good: it never admits anybody again.
    pub fn leave(&self) -> impl Future<Output = ()> + Send + use<> {
        self.drain_by(Command::Leave)
    }

    fn drain_by(&self, command: Command) -> impl Future<Output = ()> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.send(command);
        self.send(Command::Drained(reply));
        // A worker that has stopped has nothing left either.
        async { drop(answer.await) }
    }

    /// Ends every session that is left, each with these words.
    pub fn end_all(&self, ending: Ending) {
        self.send(Command::EndAll(ending));
    }

    fn send(&self, command: Command) {
        // Fails only when the supervisor has gone; then every answer is the closed channel.
        let _ = self.commands.send(command);
    }
}

impl Reserved {
    /// Passes the client's handshake on to the browser.
    ///
    /// # Errors
    /// When it does not answer, or says no.
    pub async fn connect(self, handshake: RequestHead) -> Result<Opened, OpenError> {
        let Self { ending, granted_after, endpoint, lease } = self;
        let (upstream, response) = dial(&endpoint, &lease.session, handshake).await?;
        Ok(Opened { upstream, response, ending, granted_after, lease })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(Command::Closed(self.session.clone()));
        }
    }
}

/// Connects to the browser's server and passes the handshake on: the client's own key and
/// extensions, so that the frames of both ends stay valid end to end.
async fn dial(
    endpoint: &Endpoint,
    session: &SessionId,
    mut handshake: RequestHead,
) -> Result<(Socket, ResponseHead), OpenError> {
    let unreachable = |error: std::io::Error| OpenError::Unreachable(error.to_string());
    for name in NOT_FORWARDED {
        handshake.headers.remove(name);
    }
    handshake.headers.set("Host", "localhost");
    handshake.set_target(&format!("{}?session={session}", endpoint.path));
    let mut upstream = UnixStream::connect(&endpoint.socket).await.map_err(unreachable)?;
    upstream.write_all(&handshake.to_bytes()).await.map_err(unreachable)?;
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let broken = |error: HeadError| OpenError::Unreachable(error.to_string());
    let (head, rest) =
        read_response_head(&mut upstream, ANSWER_LIMIT, deadline).await.map_err(broken)?;
    if head.is_switching() {
        return Ok((Socket::from(upstream).with_leftover(rest), head));
    }
    let body = read_response_body(&mut upstream, &head, rest, ANSWER_LIMIT, deadline)
        .await
        .map_err(broken)?;
    let body = String::from_utf8_lossy(&body).trim().to_owned();
    Err(OpenError::Refused { status: head.status, body })
}

impl OpenError {
    /// True when the slot was gone, and another try may find one.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Admit(AdmitError::NotAdmitted(NotAdmitted::Busy)))
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! A relay between two peers of the test.

use std::sync::Arc;
use std::time::Duration;

use flotilla_relay::{CloseReason, Counters, Outcome, RelayOptions, Socket, relay};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What `upstream_lost` says in these tests.
pub(crate) const LOST: &str = "the browser crashed";

/// A running relay. `C` and `U` are the peers' own ends.
pub(crate) struct Rig<C, U> {
    pub(crate) client: C,
    pub(crate) upstream: U,
    pub(crate) counters: Arc<Counters>,
    end: Option<oneshot::Sender<CloseReason>>,
    relay: JoinHandle<Outcome>,
}

impl<C, U> Rig<C, U> {
    /// A relay that somebody else has started.
    pub(crate) fn of(client: C, upstream: U, relay: JoinHandle<Outcome>) -> Self {
        Self { client, upstream, counters: Arc::default(), end: None, relay }
    }

    /// Asks the relay to end the session.
    pub(crate) fn end(&mut self, code: u16, text: impl Into<String>) {
        let end = self.end.take().expect("ended once");
        end.send(CloseReason::new(code, text.into())).expect("the relay is there");
    }

    /// What became of it.
    pub(crate) async fn outcome(self) -> Outcome {
        drop((self.client, self.upstream));
        finished(self.relay).await
    }

    /// The same while the peers' ends stay open.
    pub(crate) async fn outcome_while_open(&mut self) -> Outcome {
        finished(&mut self.relay).await
    }

    pub(crate) fn is_over(&self) -> bool {
        self.relay.is_finished()
    }
}

async fn finished(relay: impl Future<Output = Result<Outcome, tokio::task::JoinError>>) -> Outcome {
    timeout(Duration::from_secs(600), relay).await.expect("it ends").expect("no panic")
}

/// As the product has it: the client over TCP, the upstream over a UNIX socket.
pub(crate) async fn tcp_rig() -> Rig<TcpStream, UnixStream> {
    tcp_rig_with(RelayOptions::default()).await
}

pub(crate) async fn tcp_rig_with(options: RelayOptions) -> Rig<TcpStream, UnixStream> {
    let (client, theirs) = tcp_pair().await;
    let (upstream, browser) = UnixStream::pair().expect("a pair");
    start(client, browser, theirs.into(), upstream.into(), options)
}

/// UNIX sockets on both sides hand bytes over at once, so that paused time does not run ahead of them.
pub(crate) fn unix_rig() -> Rig<UnixStream, UnixStream> {
    unix_rig_with(RelayOptions::default())
}

pub(crate) fn unix_rig_with(options: RelayOptions) -> Rig<UnixStream, UnixStream> {
    let (client, theirs) = UnixStream::pair().expect("a pair");
    let (upstream, browser) = UnixStream::pair().expect("a pair");
    start(client, browser, theirs.into(), upstream.into(), options)
}

/// Both ends of a TCP connection over loopback.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    (ours.expect("connected"), theirs.expect("accepted").0)
}

pub(crate) fn start<C, U>(
    client: C,
    upstream: U,
    client_socket: Socket,
    upstream_socket: Socket,
    options: RelayOptions,
) -> Rig<C, U> {
    let counters = Arc::new(Counters::default());
    let (end, ended) = oneshot::channel::<CloseReason>();
    let shared = Arc::clone(&counters);
    let relay = tokio::spawn(async move {
        let ended = async {
            match ended.await {
                Ok(reason) => reason,
                Err(_) => std::future::pending().await,
            }
        };
        let lost = || async { CloseReason::new(CloseReason::INTERNAL_ERROR, LOST) };
        relay(client_socket, upstream_socket, &options, &shared, ended, lost).await
    });
    Rig { client, upstream, counters, end: Some(end), relay }
}

/// Waits until something holds, with a long ceiling.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

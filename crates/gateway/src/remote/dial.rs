//! One session is brought to one worker: the dial, its answer, and what each answer means.

use std::io;
use std::time::Duration;

use flotilla_core::advert::Advert;
use flotilla_core::attempt::Target;
use flotilla_core::registry::Directory;
use flotilla_core::wire;
use flotilla_relay::head::{Headers, read_response_body, read_response_head};
use flotilla_relay::{RequestHead, ResponseHead, Socket};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Remote;
use crate::line::Permit;
use crate::workers::NotOpened;

/// How long a connection may take to come about. A live host answers in far less, and a dead one
/// never does.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const ANSWER_LIMIT: usize = 64 * 1024;
/// What is added to a browser's own time for the way there and back.
const SLACK: Duration = Duration::from_secs(15);

/// What is the gateway's business and not the worker's.
const NOT_FORWARDED: [&str; 3] = ["authorization", "cookie", "origin"];

/// A session that a worker has taken: its answer, and the connection behind it.
pub(super) struct Dialled {
    pub(super) upstream: Socket,
    pub(super) response: ResponseHead,
    pub(super) granted_after: Duration,
}

impl<D: Directory> Remote<D> {
    /// Offers the session; a browser's 101 is what it comes to.
    pub(super) async fn dial(
        &self,
        target: &Target,
        ticket: &str,
        mut handshake: RequestHead,
        permit: Permit,
    ) -> Result<Dialled, NotOpened> {
        for name in NOT_FORWARDED {
            handshake.headers.remove(name);
        }
        handshake.headers.set("Host", &target.endpoint);
        handshake.set_target(&format!("{}{ticket}", wire::SESSION_PATH));
        self.offer(target, &handshake.to_bytes(), ResponseHead::is_switching, permit).await
    }

    /// Sends the request. A worker first says whether it takes the session (102), which frees the
    /// permit, and then the `wanted` answer or why there is none.
    pub(super) async fn offer(
        &self,
        target: &Target,
        request: &[u8],
        wanted: impl FnOnce(&ResponseHead) -> bool,
        permit: Permit,
    ) -> Result<Dialled, NotOpened> {
        let began = Instant::now();
        let deadline = began + self.config.select_timeout;
        let failed = |why: String| self.failed(target, &why);
        let mut stream = connect(&target.endpoint).await.map_err(|why| failed(why.to_string()))?;
        stream.write_all(request).await.map_err(|why| failed(why.to_string()))?;
        let (head, rest) = read_response_head(&mut stream, ANSWER_LIMIT, deadline)
            .await
            .map_err(|why| failed(why.to_string()))?;
        self.heard(&head.headers);
        drop(permit);
        let mut socket = Socket::from(stream).with_leftover(rest);
        if head.status != 102 {
            return Err(self.refused(target, &mut socket, &head, deadline).await);
        }
        let granted_after = began.elapsed();
        let deadline = Instant::now() + self.config.launch_timeout + SLACK;
        let (response, rest) = read_response_head(&mut socket, ANSWER_LIMIT, deadline)
            .await
            .map_err(|why| failed(why.to_string()))?;
        if !wanted(&response) {
            let mut socket = socket.with_leftover(rest);
            return Err(self.refused(target, &mut socket, &response, deadline).await);
        }
        Ok(Dialled { upstream: socket.with_leftover(rest), response, granted_after })
    }

    /// Takes in what the worker says of itself in its answer.
    fn heard(&self, headers: &Headers) {
        let said =
            headers.get(wire::ADVERT_HEADER).map(|text| Advert::open(&self.keyring.get(), text));
        if let Some(Ok(advert)) = said {
            self.directory.view(|view, now| view.answered(advert, now));
        }
    }

    /// Why the worker did not take it, or its browser did not.
    async fn refused(
        &self,
        target: &Target,
        socket: &mut Socket,
        head: &ResponseHead,
        deadline: Instant,
    ) -> NotOpened {
        let code = head.headers.get(wire::REFUSAL_HEADER).unwrap_or_default().to_owned();
        let rest = bytes::Bytes::new();
        let body = read_response_body(socket, head, rest, ANSWER_LIMIT, deadline).await;
        let body = body.unwrap_or_default();
        let words = String::from_utf8_lossy(&body).trim().to_owned();
        let wait = head.headers.get("retry-after").and_then(|text| text.parse().ok());
        let wait = wait.map(Duration::from_secs);
        self.taught(target, NotOpened::read(&code, head.status, &words, wait))
    }
}

/// Connects to where a worker says that it is.
pub(super) async fn connect(endpoint: &str) -> io::Result<TcpStream> {
    let connected = timeout(CONNECT_WITHIN, TcpStream::connect(endpoint)).await;
    let stream = connected.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "no connection came about in time"))
    })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

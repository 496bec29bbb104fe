//! One session, as a Playwright client has it.

use flotilla_core::{BrowserKind, PlaywrightVersion};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::endpoint::Endpoint;
use super::error::{Phase, ProbeError};
use super::http::{self, Answer};
use super::message::{self, Incoming, Objects};
use super::value;

/// As much as Playwright's own client takes.
const MESSAGE_LIMIT: usize = 256 * 1024 * 1024;
const REDIRECTS: usize = 5;

/// Whom a session asks, and for what.
#[derive(Clone, Debug)]
pub struct Target {
    /// The grid, or a bare `launchServer`.
    pub endpoint: Endpoint,
    /// The browser to be had.
    pub kind: BrowserKind,
    /// The Playwright to be: the server refuses clients of other minors.
    pub version: PlaywrightVersion,
    /// Further headers of the handshake, names and values.
    pub headers: Vec<(String, String)>,
}

/// A context in a session's browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context(String);

/// A page in a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    frame: String,
}

/// A live session. Dropped without [`Session::close`], it is a client that vanished.
#[derive(Debug)]
pub struct Session {
    socket: WebSocketStream<TcpStream>,
    handshake: Answer,
    objects: Objects,
    next_id: u64,
    phase: Phase,
    started: Instant,
    deadline: Instant,
}

impl Session {
    /// Connects and learns which browser it was given. Waits in the grid's queue if it has to.
    /// `deadline` is the session's, until [`Session::set_deadline`].
    pub async fn connect(target: &Target, deadline: Instant) -> Result<Self, ProbeError> {
        let started = Instant::now();
        let opened = timeout_at(deadline, open(target)).await;
        let (handshake, socket) = opened.map_err(|_| ProbeError::Timeout {
            phase: Phase::Connect,
            after: started.elapsed(),
        })??;
        let mut session = Self {
            socket,
            handshake,
            objects: Objects::default(),
            next_id: 1,
            phase: Phase::Connect,
            started,
            deadline,
        };
        let params = json!({"sdkLanguage": "javascript"});
        session.call("", "initialize", params).await?;
        session.expect_browser(target.kind)?;
        Ok(session)
    }

    /// Sets when the session must be over.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// The version that the browser says it is.
    pub fn browser_version(&self) -> &str {
        self.objects.browser().map_or("", |b| b.version.as_str())
    }

    /// The answer to the handshake, with its headers.
    pub const fn handshake(&self) -> &Answer {
        &self.handshake
    }

    /// Opens a context.
    pub async fn new_context(&mut self) -> Result<Context, ProbeError> {
        self.phase = Phase::Context;
        let browser = self.objects.browser().map(|b| b.guid.clone());
        let params = json!({"noDefaultViewport": false, "selectorEngines": []});
        let result = self.call(&browser.unwrap_or_default(), "newContext", params).await?;
        self.guid(&result["context"]).map(Context)
    }

    /// Opens a page in `context`.
    pub async fn new_page(&mut self, context: &Context) -> Result<Page, ProbeError> {
        self.phase = Phase::Context;
        let result = self.call(&context.0, "newPage", json!({})).await?;
        let page = self.guid(&result["page"])?;
        match self.objects.main_frame(&page) {
            Some(frame) => Ok(Page { frame: frame.to_owned() }),
            None => Err(self.protocol("the server did not say which frame the page has")),
        }
    }

    /// Loads `url` and waits for its `load` event.
    pub async fn goto(&mut self, page: &Page, url: &str) -> Result<(), ProbeError> {
        self.phase = Phase::Navigate;
        let params = json!({"url": url, "waitUntil": "load", "timeout": 0});
        self.call(&page.frame, "goto", params).await.map(drop)
    }

    /// The value of a JavaScript expression in the page.
    pub async fn evaluate(&mut self, page: &Page, expression: &str) -> Result<Value, ProbeError> {
        self.phase = Phase::Evaluate;
        let argument = json!({"value": {"v": "undefined"}, "handles": []});
        let params = json!({"expression": expression, "isFunction": false, "arg": argument});
        let result = self.call(&page.frame, "evaluateExpression", params).await?;
        Ok(value::parse(&result["value"]))
    }

    /// Closes a context and its pages.
    pub async fn close_context(&mut self, context: Context) -> Result<(), ProbeError> {
        self.phase = Phase::Close;
        self.call(&context.0, "close", json!({})).await.map(drop)
    }

    /// Keeps the connection alive without a call until `until`: pings are answered, events are
    /// read. Ends early only with an error, such as the grid's reason for closing.
    pub async fn hold(&mut self, until: Instant) -> Result<(), ProbeError> {
        loop {
            let Ok(incoming) = timeout_at(until, self.receive()).await else {
                return Ok(());
            };
            if let Incoming::Event(event) = incoming? {
                self.objects.learn(&event);
            }
        }
    }

    /// Ends the session as clients do: one empty close frame, and waits for the server's.
    pub async fn close(mut self) -> Result<(), ProbeError> {
        self.phase = Phase::Close;
        let farewell = async {
            self.socket.close(None).await?;
            while let Some(message) = self.socket.next().await {
                message?;
            }
            Ok(())
        };
        match timeout_at(self.deadline, farewell).await {
            Err(_) => Err(self.timeout()),
            Ok(Ok(()) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => Ok(()),
            Ok(Err(error)) => Err(self.socket_error(&error)),
        }
    }

    async fn call(&mut self, guid: &str, method: &str, params: Value) -> Result<Value, ProbeError> {
        let deadline = self.deadline;
        let Ok(answered) = timeout_at(deadline, self.exchange(guid, method, params)).await else {
            return Err(self.timeout());
        };
        answered
    }

    async fn exchange(
        &mut self,
        guid: &str,
        method: &str,
        params: Value,
    ) -> Result<Value, ProbeError> {
        let id = self.next_id;
        self.next_id += 1;
        let text = message::call(id, guid, method, &params);
        if let Err(error) = self.socket.send(Message::text(text)).await {
            return Err(self.why_unsendable(error).await);
        }
        loop {
            match self.receive().await? {
                Incoming::Event(event) => self.objects.learn(&event),
                Incoming::Reply { id: of, result } if of == id => {
                    return result.map_err(|words| self.protocol(&words));
                }
                // Of a call that was given up when the deadline was moved.
                Incoming::Reply { .. } => {}
            }
        }
    }

    /// A peer that has closed says why in what is still to be read.
    async fn why_unsendable(&mut self, error: WsError) -> ProbeError {
        loop {
            match self.receive().await {
                Ok(_) => {}
                Err(closed @ ProbeError::Closed { code: Some(_), .. }) => return closed,
                Err(_) => return self.socket_error(&error),
            }
        }
    }

    async fn receive(&mut self) -> Result<Incoming, ProbeError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let garbled = || self.protocol("a message that is not of the protocol");
                    return message::parse(&text).ok_or_else(garbled);
                }
                Some(Ok(Message::Close(frame))) => {
                    // The answer to the close goes out with this flush, as far as it can.
                    let _ = self.socket.flush().await;
                    return Err(self.closed(frame));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(self.socket_error(&error)),
                None => return Err(self.cut()),
            }
        }
    }

    fn expect_browser(&self, asked: BrowserKind) -> Result<(), ProbeError> {
        match self.objects.browser() {
            None => Err(ProbeError::Handshake("it has no browser to give".into())),
            Some(browser) if browser.name == asked.as_str() => Ok(()),
            Some(browser) => Err(ProbeError::WrongBrowser { asked, given: browser.name.clone() }),
        }
    }

    fn guid(&self, object: &Value) -> Result<String, ProbeError> {
        let guid = object["guid"].as_str().map(ToOwned::to_owned);
        guid.ok_or_else(|| self.protocol("the answer names no object"))
    }

    fn timeout(&self) -> ProbeError {
        ProbeError::Timeout { phase: self.phase, after: self.started.elapsed() }
    }

    fn protocol(&self, message: &str) -> ProbeError {
        ProbeError::Protocol { phase: self.phase, message: message.to_owned() }
    }

    fn closed(&self, frame: Option<CloseFrame>) -> ProbeError {
        ProbeError::Closed {
            phase: self.phase,
            code: frame.as_ref().map(|f| f.code.into()),
            reason: frame.map_or_else(String::new, |f| f.reason.to_string()),
        }
    }

    fn cut(&self) -> ProbeError {
        ProbeError::Closed {
            phase: self.phase,
            code: None,
            reason: "the connection was cut without a close frame".into(),
        }
    }

    fn socket_error(&self, error: &WsError) -> ProbeError {
        use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            WsError::Io(_)
            | WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Protocol(ResetWithoutClosingHandshake) => self.cut(),
            other => ProbeError::WebSocket { phase: self.phase, message: other.to_string() },
        }
    }
}

/// Opens the WebSocket: asks for its path where the address is `http://`, follows redirects.
async fn open(target: &Target) -> Result<(Answer, WebSocketStream<TcpStream>), ProbeError> {
    let mut endpoint = target.endpoint.clone();
    let mut headers = target.headers.clone();
    if endpoint.discover() {
        endpoint = discover(target).await?;
    }
    for _ in 0..=REDIRECTS {
        let key = generate_key();
        let all = handshake_headers(target, &key, &headers);
        let (answer, stream, rest) = http::upgrade(&endpoint, &all).await?;
        if let Some(next) = redirect(&answer)? {
            endpoint = next;
            headers.retain(|(name, _)| survives_redirect(name));
            continue;
        }
        if answer.status != 101 {
            return Err(ProbeError::Refused(Box::new(answer)));
        }
        if answer.header("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
            let words = "its handshake does not answer the key that was sent";
            return Err(ProbeError::Handshake(words.into()));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        let socket =
            WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config)).await;
        return Ok((answer, socket));
    }
    Err(ProbeError::Handshake("it redirects without end".into()))
}

/// Asks an `http://` address where its WebSocket is.
async fn discover(target: &Target) -> Result<Endpoint, ProbeError> {
    let mut headers = vec![user_agent(target)];
    headers.extend(target.headers.iter().cloned());
    let endpoint = &target.endpoint;
    let answer = http::get(endpoint, &endpoint.beneath("json"), &headers).await?;
    if !answer.is_success() {
        return Err(ProbeError::Refused(Box::new(answer)));
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match body["wsEndpointPath"].as_str() {
        Some(path) => Ok(endpoint.at(path)),
        None => Err(ProbeError::Handshake("its /json names no path".into())),
    }
}

fn user_agent(target: &Target) -> (String, String) {
    let agent = format!("Playwright/{}.0 (flotilla health)", target.version);
    ("User-Agent".into(), agent)
}

fn handshake_headers(
    target: &Target,
    key: &str,
    extra: &[(String, String)],
) -> Vec<(String, String)> {
    let fixed = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
        ("x-playwright-browser", target.kind.as_str()),
        ("x-playwright-proxy", ""),
    ];
    let mut headers = vec![user_agent(target)];
    headers.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    headers.extend_from_slice(extra);
    headers
}

fn redirect(answer: &Answer) -> Result<Option<Endpoint>, ProbeError> {
    if !matches!(answer.status, 301 | 302 | 307 | 308) {
        return Ok(None);
    }
    let location = answer.header("location").unwrap_or_default();
    // Playwright dials the place as it is written: it does not ask /json again.
    let location = location.replacen("http://", "ws://", 1);
    location.parse().map(Some).map_err(ProbeError::Elsewhere)
}

/// Clients keep what proves who they are to themselves when another place is named.
fn survives_redirect(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "authorization" && !name.contains("access-key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_asked_is_told_with_the_way_around_it() {
        let sent = |to: &str| Answer {
            status: 307,
            reason: String::new(),
            headers: vec![("location".to_owned(), to.to_owned())],
            body: Vec::new(),
        };
        let here = redirect(&sent("ws://w:3131/session/ticket")).unwrap().unwrap();
        assert_eq!(here.authority(), "w:3131");
        let error = redirect(&sent("wss://w/session/ticket")).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("wss://") && words.contains("?route=relay"), "{words}");
        assert!(!words.contains("ticket"), "{words}");
    }
}

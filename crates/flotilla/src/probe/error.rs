//! How a session can fail, told apart.

use std::fmt;
use std::time::Duration;

use flotilla_core::BrowserKind;
use serde::Serialize;

use super::endpoint::InvalidEndpoint;
use super::http::{Answer, HttpError};

/// The parts of a session that are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// TCP, handshake, queue, and the first messages up to the browser's guid.
    Connect,
    /// A context with a page.
    Context,
    /// A page loads.
    Navigate,
    /// A script's value comes back.
    Evaluate,
    /// The context and the connection close.
    Close,
}

impl Phase {
    /// The name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Context => "context",
            Self::Navigate => "navigate",
            Self::Evaluate => "evaluate",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a session did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody there, or not somebody who speaks HTTP.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The grid answered the handshake with something else than 101.
    #[error("refused with {} {}{}", .0.status, .0.reason, said(&.0.text()))]
    Refused(Box<Answer>),
    /// A 101, or the answer to `/json`, that is not what the protocols ask for.
    #[error("not a Playwright server: {0}")]
    Handshake(String),
    /// The grid names another place for the session, to which a client goes by itself.
    #[error(
        "it sends its clients on to a place that this command cannot ask ({0}). \
         With ?route=relay in the address a grid relays instead"
    )]
    Elsewhere(InvalidEndpoint),
    /// Not done in time.
    #[error("timeout in {phase}: not done {after:.1?} after the start")]
    Timeout {
        /// What was going on.
        phase: Phase,
        /// The time since the session's beginning.
        after: Duration,
    },
    /// The Playwright server answered a call with an error.
    #[error("{phase} failed: {message}")]
    Protocol {
        /// What was going on.
        phase: Phase,
        /// The server's words.
        message: String,
    },
    /// The connection ended before the session did.
    #[error("closed in {phase}{}{}", code.map(|c| format!(" with code {c}")).unwrap_or_default(), said(reason))]
    Closed {
        /// What was going on.
        phase: Phase,
        /// The close frame's code; none when there was no frame, or an empty one.
        code: Option<u16>,
        /// The close frame's reason, or what is known without one.
        reason: String,
    },
    /// The peer broke the rules of WebSocket.
    #[error("WebSocket error in {phase}: {message}")]
    WebSocket {
        /// What was going on.
        phase: Phase,
        /// What it did.
        message: String,
    },
    /// A browser, but another one than was asked for.
    #[error("asked for {asked} and was given {given:?}")]
    WrongBrowser {
        /// The one asked for.
        asked: BrowserKind,
        /// The name that the server gave.
        given: String,
    },
    /// The page computed something else than it was told to.
    #[error("the page answered {given} where {expected} is right")]
    WrongValue {
        /// What is right.
        expected: String,
        /// What came.
        given: String,
    },
}

impl ProbeError {
    /// A word for programs: which kind of failure.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Handshake(_) => "handshake",
            Self::Elsewhere(_) => "redirect",
            Self::Timeout { .. } => "timeout",
            Self::Protocol { .. } => "protocol",
            Self::Closed { .. } => "closed",
            Self::WebSocket { .. } => "websocket",
            Self::WrongBrowser { .. } => "wrong_browser",
            Self::WrongValue { .. } => "wrong_value",
        }
    }

    /// What was going on when it happened.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Http(_)
            | Self::Refused(_)
            | Self::Handshake(_)
            | Self::Elsewhere(_)
            | Self::WrongBrowser { .. } => Phase::Connect,
            Self::WrongValue { .. } => Phase::Evaluate,
            Self::Timeout { phase, .. }
            | Self::Protocol { phase, .. }
            | Self::Closed { phase, .. }
            | Self::WebSocket { phase, .. } => *phase,
        }
    }
}

/// `: words`, on one line, or nothing. Playwright draws a box around some of its words.
fn said(words: &str) -> String {
    let frame = |c: char| c.is_whitespace() || ('\u{2500}'..='\u{257f}').contains(&c);
    let words: Vec<_> = words.split(frame).filter(|w| !w.is_empty()).collect();
    let words = words.join(" ");
    if words.is_empty() { words } else { format!(": {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_one_line_with_the_grids_own_words() {
        let refused = ProbeError::Refused(Box::new(Answer {
            status: 503,
            reason: "Service Unavailable".into(),
            headers: Vec::new(),
            body: b"The queue is full.\nTry again later.\n".to_vec(),
        }));
        assert_eq!(
            refused.to_string(),
            "refused with 503 Service Unavailable: The queue is full. Try again later."
        );
    }

    #[test]
    fn the_box_that_playwright_draws_is_left_out() {
        let boxed = "╔══════╗\n║ No.  ║\n║ Why: ║\n╚══════╝";
        assert_eq!(said(boxed), ": No. Why:");
    }

    #[test]
    fn a_close_tells_code_and_reason_as_far_as_there_are_any() {
        let closed = |code, reason: &str| {
            ProbeError::Closed { phase: Phase::Evaluate, code, reason: reason.into() }.to_string()
        };
        assert_eq!(
            closed(Some(1001), "Browser closed"),
            "closed in evaluate with code 1001: Browser closed"
        );
        assert_eq!(closed(None, ""), "closed in evaluate");
    }
}

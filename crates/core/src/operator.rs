//! What operators and gateways say to each other beneath `/v1`: paths and bodies.
//!
//! Readers ignore fields that they do not know, so a newer gateway can be asked by an older
//! command.

use serde::{Deserialize, Serialize};

use crate::ending::LONGEST_WHY;
use crate::status::{GridState, SessionStatus, WorkerStatus};

/// Where all of it is.
pub const PATH: &str = "/v1/";
/// On requests that change something, where no token vouches for them: no page in a browser can
/// send it to another site unasked.
pub const HEADER: &str = "x-flotilla-operator";
/// The longest body that is read.
pub const LONGEST_BODY: usize = 16 * 1024;

/// `GET /v1/workers`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerList {
    /// Every worker that the gateway knows.
    pub workers: Vec<WorkerStatus>,
}

/// `GET /v1/sessions`, and `GET /v1/workers/{id}/sessions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionList {
    /// The sessions, as their workers tell them; the oldest first.
    pub sessions: Vec<SessionStatus>,
    /// The workers that could not be asked. Of theirs, only those sessions are listed that the
    /// gateway relays itself.
    #[serde(default)]
    pub unanswered: Vec<Unanswered>,
}

/// A worker that could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// Its name.
    pub worker: String,
    /// Why not.
    pub why: String,
}

/// What `POST /v1/workers/{id}/shutdown` takes. An empty body asks for nothing special.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long the sessions may take; as long as they want where this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<u64>,
}

/// `GET /v1/workers/{id}`; and the answer to `POST /v1/workers/{id}/drain`, `undrain` and
/// `shutdown`, from which on it is so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneWorker {
    /// The worker as it is now.
    pub worker: WorkerStatus,
}

/// What `POST /v1/gateway/drain`, `undrain` and `shutdown` answer: the gateway that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneGateway {
    /// Whether it wants clients.
    pub state: GridState,
    /// Sessions that it relays.
    pub sessions: usize,
}

/// What `POST /v1/sessions/{id}/end` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndSession {
    /// Why, for its client to read.
    pub reason: String,
    /// The worker that runs it, where that is known: then no other is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// What `POST /v1/sessions/{id}/end` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    /// The session.
    pub session: String,
    /// The worker that ran it.
    pub worker: String,
}

/// Words that no client could read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReason {
    /// There are none.
    #[error("a reason is needed: the client reads it")]
    Empty,
    /// They do not fit into a close frame.
    #[error(
        "a reason has at most {LONGEST_WHY} bytes, and this one has {0}: a close frame holds no more"
    )]
    TooLong(usize),
    /// They would do something to a terminal.
    #[error("a reason is one line without control characters")]
    Control,
}

/// An operator's words, if a client can read them whole.
///
/// # Errors
/// Why not.
pub fn reason(text: &str) -> Result<&str, InvalidReason> {
    match text.trim() {
        "" => Err(InvalidReason::Empty),
        text if text.len() > LONGEST_WHY => Err(InvalidReason::TooLong(text.len())),
        text if text.chars().any(char::is_control) => Err(InvalidReason::Control),
        text => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending::Ending;

    #[test]
    fn a_reason_that_is_taken_reaches_the_client_whole() {
        let longest = "x".repeat(LONGEST_WHY);
        for text in ["it hangs", " its tests are over ", "ünfortunately", &longest] {
            let words = reason(text).unwrap();
            assert!(Ending::operator(words).reason.ends_with(words), "{words}");
        }
        assert_eq!(reason(" \n"), Err(InvalidReason::Empty));
        assert_eq!(reason("a\nb"), Err(InvalidReason::Control));
        let error = reason(&format!("{longest}x")).unwrap_err();
        assert!(error.to_string().contains(&LONGEST_WHY.to_string()), "{error}");
    }

    #[test]
    fn a_misspelt_wish_is_not_taken_for_none() {
        assert_eq!(serde_json::from_str::<Shutdown>("{}").unwrap(), Shutdown::default());
        assert!(serde_json::from_str::<Shutdown>(r#"{"within":5}"#).is_err());
        assert!(serde_json::from_str::<EndSession>("{}").is_err());
    }
}

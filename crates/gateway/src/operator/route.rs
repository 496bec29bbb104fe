//! From a request's method, path and body to what is wanted.

use flotilla_core::advert::is_name;
use flotilla_core::metrics::OperatorAction;
use flotilla_core::operator::{self, EndSession, PATH, Shutdown};
use flotilla_core::order::Deed;
use flotilla_core::{Refusal, SessionId, WorkerId};
use serde::de::DeserializeOwned;

/// What an operator wants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// To see every worker.
    Workers,
    /// To see one.
    Worker(WorkerId),
    /// To see the sessions, of one worker or of all.
    Sessions(Option<WorkerId>),
    /// A worker to do something.
    Order(WorkerId, Deed),
    /// The gateway itself to take clients, or none, or to end.
    Gateway(Leaving),
    /// A session to end; on this worker, where that is known.
    End(SessionId, String, Option<WorkerId>),
}

/// What a gateway can be told about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// To want no more clients.
    Drain,
    /// To want clients again.
    Undrain,
    /// To want none, and to end with its last session.
    Shutdown,
}

impl Action {
    pub(crate) fn read(method: &str, path: &str, body: &[u8]) -> Result<Self, Refusal> {
        let parts = path.strip_prefix(PATH).unwrap_or_default();
        let parts: Vec<_> = parts.trim_end_matches('/').split('/').collect();
        let gets = method == "GET";
        match (parts.as_slice(), method) {
            (["workers"], "GET") => Ok(Self::Workers),
            (["workers", id], "GET") => Ok(Self::Worker(worker(id)?)),
            (["workers", id, "sessions"], "GET") => Ok(Self::Sessions(Some(worker(id)?))),
            (["sessions"], "GET") => Ok(Self::Sessions(None)),
            (["workers", id, deed @ ("drain" | "undrain" | "shutdown")], "POST") => {
                Ok(Self::Order(worker(id)?, order(deed, body)?))
            }
            (["gateway", deed @ ("drain" | "undrain" | "shutdown")], "POST") => {
                leaving(deed, body).map(Self::Gateway)
            }
            (["sessions", id, "end"], "POST") => end(id, body),
            (
                ["workers", _, "drain" | "undrain" | "shutdown"]
                | ["gateway", "drain" | "undrain" | "shutdown"]
                | ["sessions", _, "end"],
                _,
            ) => Err(not_allowed("only POST is answered here")),
            (["workers" | "sessions"] | ["workers", _] | ["workers", _, "sessions"], _)
                if !gets =>
            {
                Err(not_allowed("only GET is answered here"))
            }
            _ => Err(not_found(path)),
        }
    }

    /// Whether anything is different after it.
    pub(crate) fn changes(&self) -> bool {
        matches!(self, Self::Order(..) | Self::Gateway(_) | Self::End(..))
    }

    pub(crate) fn label(&self) -> OperatorAction {
        match self {
            Self::Workers | Self::Worker(_) => OperatorAction::Workers,
            Self::Sessions(_) | Self::Order(_, Deed::Sessions) => OperatorAction::Sessions,
            Self::Order(_, Deed::Drain) | Self::Gateway(Leaving::Drain) => OperatorAction::Drain,
            Self::Order(_, Deed::Undrain) | Self::Gateway(Leaving::Undrain) => {
                OperatorAction::Undrain
            }
            Self::Order(_, Deed::Shutdown { .. }) | Self::Gateway(Leaving::Shutdown) => {
                OperatorAction::Shutdown
            }
            Self::Order(_, Deed::End { .. }) | Self::End(..) => OperatorAction::End,
        }
    }
}

fn order(deed: &str, body: &[u8]) -> Result<Deed, Refusal> {
    match deed {
        "shutdown" => {
            let Shutdown { within_seconds } = json(if body.is_empty() { b"{}" } else { body })?;
            Ok(Deed::Shutdown { within_seconds })
        }
        _ if !matches!(body, b"" | b"{}") => {
            Err(Refusal::bad_request(format!("{deed} takes no body")))
        }
        "drain" => Ok(Deed::Drain),
        _ => Ok(Deed::Undrain),
    }
}

fn leaving(deed: &str, body: &[u8]) -> Result<Leaving, Refusal> {
    match deed {
        _ if !matches!(body, b"" | b"{}") => {
            Err(Refusal::bad_request(format!("{deed} takes no body")))
        }
        "drain" => Ok(Leaving::Drain),
        "undrain" => Ok(Leaving::Undrain),
        _ => Ok(Leaving::Shutdown),
    }
}

fn end(id: &str, body: &[u8]) -> Result<Action, Refusal> {
    let EndSession { reason, worker: on } = json(body)?;
    let reason = operator::reason(&reason).map_err(|why| Refusal::bad_request(why.to_string()))?;
    if !is_name(id) {
        return Err(Refusal::bad_request(
            "this is no session's name: flotilla sessions lists them",
        ));
    }
    let on = on.as_deref().map(worker).transpose()?;
    Ok(Action::End(SessionId(id.to_owned()), reason.to_owned(), on))
}

fn worker(id: &str) -> Result<WorkerId, Refusal> {
    match is_name(id) {
        true => Ok(WorkerId(id.to_owned())),
        false => Err(Refusal::bad_request(
            "a worker's name is 1 to 64 letters, digits, dots, dashes and underscores",
        )),
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|why| Refusal::bad_request(format!("the body cannot be read: {why}")))
}

fn not_allowed(words: &str) -> Refusal {
    Refusal::other(405, "method_not_allowed", words)
}

fn not_found(path: &str) -> Refusal {
    let path: String = path.chars().take(80).collect();
    Refusal::other(
        404,
        "not_found",
        format!("nothing is at {path:?}: operators find {PATH}workers and {PATH}sessions here"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, path: &str, body: &str) -> Result<Action, u16> {
        Action::read(method, path, body.as_bytes()).map_err(|refusal| refusal.status)
    }

    fn w() -> WorkerId {
        WorkerId("w-1".to_owned())
    }

    #[test]
    fn requests_say_what_is_wanted() {
        assert_eq!(read("GET", "/v1/workers", ""), Ok(Action::Workers));
        assert_eq!(read("GET", "/v1/workers/w-1/", ""), Ok(Action::Worker(w())));
        assert_eq!(read("GET", "/v1/workers/w-1/sessions", ""), Ok(Action::Sessions(Some(w()))));
        assert_eq!(read("GET", "/v1/sessions", ""), Ok(Action::Sessions(None)));
        let order = |deed| Ok(Action::Order(w(), deed));
        assert_eq!(read("POST", "/v1/workers/w-1/drain", ""), order(Deed::Drain));
        assert_eq!(read("POST", "/v1/workers/w-1/undrain", "{}"), order(Deed::Undrain));
        let shutdown = |within_seconds| order(Deed::Shutdown { within_seconds });
        assert_eq!(read("POST", "/v1/workers/w-1/shutdown", ""), shutdown(None));
        let body = r#"{"within_seconds":300}"#;
        assert_eq!(read("POST", "/v1/workers/w-1/shutdown", body), shutdown(Some(300)));
        let end = |on| Ok(Action::End(SessionId("s1".into()), "it hangs".into(), on));
        assert_eq!(read("POST", "/v1/sessions/s1/end", r#"{"reason":" it hangs"}"#), end(None));
        let body = r#"{"reason":"it hangs","worker":"w-1"}"#;
        assert_eq!(read("POST", "/v1/sessions/s1/end", body), end(Some(w())));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_status_that_says_so() {
        for (method, path, body, status) in [
            ("POST", "/v1/workers", "", 405),
            ("DELETE", "/v1/workers/w-1", "", 405),
            ("GET", "/v1/workers/w-1/drain", "", 405),
            ("HEAD", "/v1/sessions", "", 405),
            ("GET", "/v1/sessions/s1/end", "", 405),
            ("GET", "/v1/", "", 404),
            ("GET", "/v1/worker", "", 404),
            ("POST", "/v1/workers/w-1/explode", "", 404),
            ("POST", "/v1/workers/w%201/drain", "", 400),
            ("POST", "/v1/workers//drain", "", 400),
            ("POST", "/v1/workers/w-1/drain", r#"{"now":true}"#, 400),
            ("POST", "/v1/workers/w-1/shutdown", r#"{"within":3}"#, 400),
            ("POST", "/v1/sessions/s1/end", "", 400),
            ("POST", "/v1/sessions/s1/end", r#"{"reason":""}"#, 400),
            ("POST", "/v1/sessions/s%0a1/end", r#"{"reason":"x"}"#, 400),
        ] {
            assert_eq!(read(method, path, body), Err(status), "{method} {path} {body}");
        }
    }
}

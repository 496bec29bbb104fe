//! What the supervisor and `driver/host.mjs` say to each other: JSON lines, described there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flotilla_core::BrowserKind;
use flotilla_core::launcher::BrowserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The protocol of the `host.mjs` that is embedded here.
pub(super) const PROTOCOL: u32 = 1;

/// A request, without the id that the supervisor adds.
#[derive(Debug, Serialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(super) enum Request {
    Launch(LaunchRequest),
    Close { browser: BrowserId },
    Release { browser: BrowserId, session: String },
    Ping {},
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LaunchRequest {
    pub(super) browser: BrowserId,
    pub(super) kind: BrowserKind,
    pub(super) socket: PathBuf,
    pub(super) path: String,
    pub(super) options: BTreeMap<String, Value>,
    pub(super) expose_network: Option<String>,
    pub(super) warm: bool,
    /// Milliseconds.
    pub(super) timeout: u64,
}

/// A request as it goes over the pipe.
#[derive(Debug, Serialize)]
pub(super) struct Numbered<'a> {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) request: &'a Request,
}

/// A line from the driver: an answer carries an id, everything else is an event.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Answer(Answer),
    Event(Event),
}

#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) error: Option<String>,
    #[serde(flatten)]
    pub(super) fields: serde_json::Map<String, Value>,
}

/// The answer to a launch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LaunchAnswer {
    pub(super) pid: u32,
    pub(super) browser_version: String,
    pub(super) warm: Option<WarmAnswer>,
}

/// How the page that warmed the browser went: one of the two.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WarmAnswer {
    pub(super) ms: Option<f64>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    Ready { protocol: u32, playwright: String, node: String },
    SessionOpen { browser: BrowserId, session: String },
    SessionDisposed { browser: BrowserId, session: String, ms: f64 },
    BrowserExited { browser: BrowserId, code: Option<i32>, signal: Option<String>, expected: bool },
    Log { level: String, message: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_flat_object() {
        let request = Request::Release { browser: BrowserId("b1".into()), session: "s1".into() };
        let line = serde_json::to_value(Numbered { id: 7, request: &request });
        assert_eq!(
            line.unwrap(),
            serde_json::json!({"id": 7, "do": "release", "browser": "b1", "session": "s1"})
        );
    }

    #[test]
    fn answers_and_events_are_told_apart() {
        let answer = r#"{"id":1,"ok":true,"pid":9,"browserVersion":"1","warm":{"error":"no"}}"#;
        let Line::Answer(answer) = serde_json::from_str(answer).unwrap() else {
            panic!("an answer")
        };
        let launch: LaunchAnswer = serde_json::from_value(Value::Object(answer.fields)).unwrap();
        assert_eq!(launch.warm.unwrap().error.as_deref(), Some("no"));
        let event = r#"{"event":"browser_exited","browser":"b","code":null,"signal":"SIGKILL","expected":false}"#;
        let line: Line = serde_json::from_str(event).unwrap();
        assert!(matches!(line, Line::Event(Event::BrowserExited { .. })));
    }
}

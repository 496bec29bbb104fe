//! Messages of the Playwright protocol, and what the objects in them are to a probe.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::value;

/// The text of a call. `timeout: 0` leaves the waiting to the caller, who has a deadline of his
/// own; newer servers look for it in the metadata, older ones in the parameters.
pub(super) fn call(id: u64, guid: &str, method: &str, params: &Value) -> String {
    let metadata = json!({"internal": false, "timeout": 0});
    json!({"id": id, "guid": guid, "method": method, "params": params, "metadata": metadata})
        .to_string()
}

/// What a server says.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    /// The end of a call: its result, or the server's words about why there is none.
    Reply { id: u64, result: Result<Value, String> },
    /// Something that happened to an object.
    Event(Value),
}

/// Reads one message; `None` for a text that is none.
pub(super) fn parse(text: &str) -> Option<Incoming> {
    let mut message: Value = serde_json::from_str(text).ok()?;
    let Some(id) = message["id"].as_u64() else {
        return message.is_object().then_some(Incoming::Event(message));
    };
    let result = match &message["error"] {
        Value::Null => Ok(message["result"].take()),
        error => Err(words(error)),
    };
    Some(Incoming::Reply { id, result })
}

fn words(error: &Value) -> String {
    match error["error"]["message"].as_str() {
        Some(message) => without_colors(message),
        None => value::parse(&error["value"]).to_string(),
    }
}

/// Playwright dims parts of its messages for terminals.
fn without_colors(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        clean.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    clean + rest
}

/// A browser that the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrowserObject {
    pub(super) guid: String,
    pub(super) name: String,
    pub(super) version: String,
}

/// The objects that a probe must know of, learned from the server's events.
#[derive(Debug, Default)]
pub(super) struct Objects {
    browsers: Vec<BrowserObject>,
    prelaunched: Option<String>,
    main_frames: HashMap<String, String>,
}

impl Objects {
    /// Takes in an event. Those about other objects pass.
    pub(super) fn learn(&mut self, event: &Value) {
        match event["method"].as_str() {
            Some("__create__") => self.create(&event["params"]),
            Some("__dispose__") => {
                if let Some(guid) = event["guid"].as_str() {
                    self.main_frames.remove(guid);
                }
            }
            _ => {}
        }
    }

    fn create(&mut self, params: &Value) {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let (guid, initializer) = (text(&params["guid"]), &params["initializer"]);
        match params["type"].as_str() {
            Some("Browser") => self.browsers.push(BrowserObject {
                guid,
                name: text(&initializer["name"]),
                version: text(&initializer["version"]),
            }),
            Some("Playwright") => {
                let browser = initializer["preLaunchedBrowser"]["guid"].as_str();
                self.prelaunched = browser.map(ToOwned::to_owned);
            }
            Some("Page") => {
                let frame = text(&initializer["mainFrame"]["guid"]);
                self.main_frames.insert(guid, frame);
            }
            _ => {}
        }
    }

    /// The browser that the connection is for.
    pub(super) fn browser(&self) -> Option<&BrowserObject> {
        let guid = self.prelaunched.as_ref()?;
        self.browsers.iter().find(|b| b.guid == *guid)
    }

    /// The frame in which a page's own document is.
    pub(super) fn main_frame(&self, page: &str) -> Option<&str> {
        self.main_frames.get(page).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Value {
        match parse(text) {
            Some(Incoming::Event(event)) => event,
            other => panic!("no event: {other:?}"),
        }
    }

    #[test]
    fn replies_and_events_are_told_apart() {
        assert_eq!(
            parse(r#"{"id":3,"result":{"a":1}}"#),
            Some(Incoming::Reply { id: 3, result: Ok(json!({"a": 1})) })
        );
        assert_eq!(parse(r#"{"id":3}"#), Some(Incoming::Reply { id: 3, result: Ok(Value::Null) }));
        assert!(parse("[]").is_none());
        assert!(parse("{").is_none());
        assert_eq!(event(r#"{"guid":"","method":"x"}"#)["method"], "x");
    }

    #[test]
    fn an_error_is_the_servers_words_without_colour() {
        let text =
            r#"{"id":1,"error":{"error":{"name":"Error","message":"no \u001b[2mway\u001b[22m"}}}"#;
        let Some(Incoming::Reply { result, .. }) = parse(text) else { panic!("no reply") };
        assert_eq!(result, Err("no way".into()));
    }

    #[test]
    fn the_browser_is_the_one_that_playwright_points_to() {
        let mut objects = Objects::default();
        let browser = |guid: &str, name: &str| {
            json!({"method": "__create__", "params": {"type": "Browser", "guid": guid,
                   "initializer": {"name": name, "version": "1"}}})
        };
        objects.learn(&browser("b1", "firefox"));
        objects.learn(&browser("b2", "chromium"));
        assert_eq!(objects.browser(), None);
        objects
            .learn(&json!({"method": "__create__", "params": {"type": "Playwright", "guid": "p",
               "initializer": {"preLaunchedBrowser": {"guid": "b2"}}}}));
        assert_eq!(objects.browser().unwrap().name, "chromium");
    }

    #[test]
    fn a_page_that_is_gone_is_forgotten() {
        let mut objects = Objects::default();
        objects.learn(&json!({"method": "__create__", "params": {"type": "Page", "guid": "page@1",
               "initializer": {"mainFrame": {"guid": "frame@1"}}}}));
        assert_eq!(objects.main_frame("page@1"), Some("frame@1"));
        objects.learn(&json!({"guid": "page@1", "method": "__dispose__", "params": {}}));
        assert_eq!(objects.main_frame("page@1"), None);
    }
}

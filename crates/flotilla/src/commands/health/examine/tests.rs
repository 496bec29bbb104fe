//! The check against grids that are made up on a real socket: what they say is true or not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use super::*;

/// A grid of canned pages, and a Playwright server of a few canned objects.
struct FakeGrid {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeGrid {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Default)]
struct Script {
    pages: HashMap<&'static str, (u16, String)>,
    /// Browsers that are refused, with the words.
    refuses: HashMap<&'static str, &'static str>,
    /// Takes connections for sessions, and never answers.
    queues: bool,
    /// What is added to every sum that a page computes.
    miscounts_by: u64,
}

impl Script {
    fn healthy() -> Self {
        let mut script = Self::default();
        script.pages.insert("/healthz", (200, "ok".into()));
        script.pages.insert("/readyz", (200, "ready".into()));
        script.status(|_| {});
        script
    }

    fn status(&mut self, change: impl FnOnce(&mut Value)) -> &mut Self {
        let mut status = json!({
            "version": "0.1.0", "state": "ready", "uptime_seconds": 1.0,
            "endpoint": "ws://127.0.0.1:1",
            "slots": {"total": 5, "used": 0, "free": 5, "draining": 0},
            "queue": {"depth": 0, "limit": 100, "oldest_wait_seconds": 0.0},
            "pools": [
                {"browser": "chromium", "version": "1.65", "used": 0, "queued": 0, "default": true},
                {"browser": "firefox", "version": "1.64", "used": 0, "queued": 0}],
            "workers": [{"id": "w1", "state": "available", "slots": 5, "used": 0,
                "sessions_served": 0, "started_at": 0, "browsers": []}],
            "sessions": []});
        change(&mut status);
        let page = (200, status.to_string());
        self.pages.insert("/status.json", page);
        self
    }

    async fn start(self) -> FakeGrid {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(self);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(script.clone().serve(stream));
            }
        });
        FakeGrid { address, task }
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let head = peek_head(&stream).await.to_ascii_lowercase();
        if !head.contains("upgrade: websocket") {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let missing = (404, String::new());
            let (code, body) = self.pages.get(path).unwrap_or(&missing);
            return answer(&mut stream, *code, body).await;
        }
        if self.queues {
            return std::future::pending().await;
        }
        let browser = head
            .split_once("x-playwright-browser: ")
            .and_then(|(_, rest)| rest.split_once('\r'))
            .map_or(String::new(), |(name, _)| name.to_owned());
        if let Some(words) = self.refuses.get(browser.as_str()) {
            return answer(&mut stream, 503, words).await;
        }
        self.playwright(stream, &browser).await;
    }

    async fn playwright(&self, stream: TcpStream, browser: &str) {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut sum = 0;
        while let Some(Ok(Message::Text(text))) = socket.next().await {
            let call: Value = serde_json::from_str(&text).unwrap();
            if let Some(url) = call["params"]["url"].as_str() {
                sum = product(url) + 1 + self.miscounts_by;
            }
            for message in replies(&call, browser, sum) {
                let message = Message::text(message.to_string());
                socket.send(message).await.unwrap();
            }
        }
        // A close is answered while the stream is read to its end.
        while let Some(Ok(_)) = socket.next().await {}
    }
}

async fn peek_head(stream: &TcpStream) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = stream.peek(&mut buffer).await.unwrap();
        let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if head.contains("\r\n\r\n") || length == 0 {
            return head;
        }
        tokio::task::yield_now().await;
    }
}

async fn answer(stream: &mut TcpStream, code: u16, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {code} Said\r\nContent-Length: {length}\r\n\r\n");
    let _ = stream.write_all((head + body).as_bytes()).await;
    // Closing with the request unread would reset the connection under the answer.
    let mut rest = [0; 4096];
    let _ = stream.try_read(&mut rest);
}

fn product(url: &str) -> u64 {
    let terms = url.split_once("document.title=").unwrap().1;
    let terms = terms.split_once('<').unwrap().0.split('*');
    terms.map(|t| t.parse::<u64>().unwrap()).product()
}

fn replies(call: &Value, browser: &str, sum: u64) -> Vec<Value> {
    let create = |kind: &str, guid: &str, initializer: Value| {
        json!({"guid": "", "method": "__create__",
            "params": {"type": kind, "guid": guid, "initializer": initializer}})
    };
    let reply = |result: Value| json!({"id": call["id"], "result": result});
    match call["method"].as_str().unwrap() {
        "initialize" => vec![
            create("Browser", "b", json!({"name": browser, "version": "9.9"})),
            create("Playwright", "p", json!({"preLaunchedBrowser": {"guid": "b"}})),
            reply(json!({"playwright": {"guid": "p"}})),
        ],
        "newContext" => vec![reply(json!({"context": {"guid": "c"}}))],
        "newPage" => vec![
            create("Page", "page", json!({"mainFrame": {"guid": "f"}})),
            reply(json!({"page": {"guid": "page"}})),
        ],
        "evaluateExpression" => vec![reply(json!({"value": {"n": sum}}))],
        _ => vec![reply(json!({}))],
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Teller for Lines {
    fn line(&mut self, line: &str, _: Option<Paint>) {
        self.0.push(line.to_owned());
    }
    fn busy(&mut self, _: &str) {}
}

impl Lines {
    fn has(&self, line: &str) -> bool {
        self.0.iter().any(|l| l == line)
    }
}

fn plan(address: SocketAddr) -> Plan {
    Plan {
        endpoint: format!("ws://{address}").parse().unwrap(),
        browsers: Vec::new(),
        versions: Vec::new(),
        timeout: Duration::from_secs(20),
    }
}

async fn check(script: Script) -> (HealthReport, Lines) {
    let grid = script.start().await;
    let mut lines = Lines::default();
    let report = examine(&plan(grid.address), &mut lines).await;
    (report, lines)
}

#[tokio::test]
async fn a_healthy_grid_is_told_in_the_guides_words() {
    let (report, lines) = check(Script::healthy()).await;
    assert_eq!(report.outcome, Outcome::Healthy, "{:?}", lines.0);
    for line in [
        "Checking proxy...",
        "Redis: not used (standalone)",
        "Checking workers...",
        "Workers registered: 1",
        "End-to-end test...",
        "OK",
    ] {
        assert!(lines.has(line), "{line} in {:?}", lines.0);
    }
    let phases: Vec<_> = report.probes[1].phases.iter().map(|t| t.phase.as_str()).collect();
    assert_eq!(phases, ["connect", "context", "navigate", "evaluate", "close"]);
    assert!(lines.0.iter().any(|l| l.starts_with("  firefox  1.64  ok    connect ")));
}

#[tokio::test]
async fn nobody_at_the_door_is_down() {
    let gone = Script::healthy().start().await.address;
    let mut lines = Lines::default();
    let report = examine(&plan(gone), &mut lines).await;
    assert_eq!(report.outcome, Outcome::Down);
    assert!(lines.has("FAIL: Proxy not responding"));
    assert!(report.problems[0].starts_with("Proxy not responding: nobody answers at "));
    assert!(!lines.has("Checking workers..."));
}

#[tokio::test]
async fn a_name_that_leads_nowhere_says_nothing_about_the_grid() {
    let mut plan = plan(([127, 0, 0, 1], 1).into());
    plan.endpoint = "ws://grid.invalid:8080".parse().unwrap();
    let report = examine(&plan, &mut Lines::default()).await;
    assert_eq!(report.outcome, Outcome::CouldNotCheck);
}

#[tokio::test]
async fn an_empty_fleet_is_down_though_the_script_of_the_guide_counted_one() {
    let mut script = Script::healthy();
    script.status(|s| s["workers"] = json!([]));
    let (report, lines) = check(script).await;
    assert_eq!(report.outcome, Outcome::Down);
    assert!(lines.has("Workers registered: 0"));
    assert!(lines.has("FAIL: No workers registered"));
}

#[tokio::test]
async fn a_worker_that_drains_is_listed_and_not_counted() {
    let mut script = Script::healthy();
    script.status(|s| s["workers"][0]["state"] = json!("draining"));
    let (report, lines) = check(script).await;
    assert_eq!(report.outcome, Outcome::Down);
    assert!(lines.has("Workers registered: 0") && lines.has("  and w1: draining"));
    assert!(lines.has("FAIL: No workers registered"));
    assert_eq!(report.workers, Some(Workers { registered: 1, available: 0 }));
}

#[tokio::test]
async fn one_browser_that_fails_is_degraded_and_the_last_one_is_down() {
    let mut script = Script::healthy();
    script.refuses.insert("firefox", "its driver died");
    let (report, lines) = check(script.clone()).await;
    assert_eq!(report.outcome, Outcome::Degraded);
    assert!(lines.has("FAIL: End-to-end connection failed") && !lines.has("OK"));
    assert!(report.problems[0].contains("firefox 1.64: refused with 503"));
    assert!(report.problems[0].contains("its driver died"));
    script.refuses.insert("chromium", "so did this one");
    assert_eq!(check(script).await.0.outcome, Outcome::Down);
}

#[tokio::test]
async fn a_page_that_counts_wrong_is_a_failure() {
    let mut script = Script::healthy();
    script.miscounts_by = 1;
    let (report, _) = check(script).await;
    assert_eq!(report.outcome, Outcome::Down);
    let failure = report.probes[0].failure.as_ref().unwrap();
    assert_eq!(failure.kind, "wrong_value");
}

#[tokio::test]
async fn a_grid_that_is_full_is_not_down_but_one_that_hangs_is() {
    let mut script = Script { queues: true, ..Script::healthy() };
    for (slots, outcome) in [
        (json!({"total": 5, "used": 5, "free": 0, "draining": 0}), Outcome::Degraded),
        (json!({"total": 5, "used": 0, "free": 5, "draining": 0}), Outcome::Down),
    ] {
        script.status(|s| s["slots"] = slots);
        let grid = script.clone().start().await;
        let mut plan = plan(grid.address);
        plan.timeout = Duration::from_millis(300);
        let mut lines = Lines::default();
        assert_eq!(examine(&plan, &mut lines).await.outcome, outcome);
        assert!(lines.has("FAIL: End-to-end connection failed"));
        let full = "  no slot of 5 was free when it began, and 0 waited";
        assert_eq!(lines.has(full), outcome == Outcome::Degraded);
    }
}

#[tokio::test]
async fn alive_is_not_ready() {
    let mut script = Script::healthy();
    script.pages.insert("/readyz", (503, "draining".into()));
    let (report, lines) = check(script).await;
    assert_eq!(report.outcome, Outcome::Degraded);
    assert!(report.live.unwrap().ok);
    assert!(!report.ready.unwrap().ok);
    assert!(lines.has("FAIL: Proxy not ready") && lines.has("  draining"));
    assert!(!lines.has("OK"));
}

#[tokio::test]
async fn a_browser_that_is_asked_for_and_not_served_is_a_failure() {
    let grid = Script::healthy().start().await;
    let mut plan = plan(grid.address);
    plan.browsers = vec![BrowserKind::Chromium, BrowserKind::Webkit];
    let mut lines = Lines::default();
    let report = examine(&plan, &mut lines).await;
    assert_eq!(report.outcome, Outcome::Degraded);
    assert_eq!(report.probes.len(), 1);
    assert!(lines.has("FAIL: webkit is not served (served: chromium 1.65, firefox 1.64)"));
    plan.browsers = vec![BrowserKind::Firefox];
    plan.versions = vec!["1.65".parse().unwrap()];
    let report = examine(&plan, &mut lines).await;
    assert_eq!((report.outcome, report.probes.len()), (Outcome::Degraded, 0));
}

#[tokio::test]
async fn something_else_at_the_door_could_not_be_checked() {
    let mut script = Script::healthy();
    script.pages.insert("/status.json", (200, "<html>".into()));
    assert_eq!(check(script.clone()).await.0.outcome, Outcome::CouldNotCheck);
    script.pages.remove("/status.json");
    assert_eq!(check(script).await.0.outcome, Outcome::CouldNotCheck);
}

#[tokio::test]
async fn a_redis_that_is_away_or_slow_is_told() {
    let mut script = Script::healthy();
    script.status(|s| s["registry"] = json!({"kind": "redis", "reachable": false}));
    let (report, lines) = check(script.clone()).await;
    assert_eq!(report.outcome, Outcome::Degraded);
    assert!(lines.has("Checking Redis...") && lines.has("FAIL: Redis not responding"));
    for (ms, outcome) in [(0.8, Outcome::Healthy), (51.0, Outcome::Degraded)] {
        let registry = json!({"kind": "redis", "reachable": true, "latency_ms": ms});
        script.status(|s| s["registry"] = registry);
        assert_eq!(check(script.clone()).await.0.outcome, outcome);
    }
}

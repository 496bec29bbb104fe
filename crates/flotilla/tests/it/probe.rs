//! The Playwright client that is in the binary, against bare `launchServer`s: it must pass where a
//! real client would, and say what is wrong where one would fail.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flotilla::probe::{Phase, ProbeError, Session, Target, check};
use flotilla_testkit::wait::wait_until;
use flotilla_testkit::{bed, procs};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use crate::{NEWEST, VERSIONS, WITH_FIREFOX};

const LONG: Duration = Duration::from_secs(60);

const LAUNCH: &str = "
    const [playwright, kind, executablePath, channel] = process.argv.slice(1);
    const options = { executablePath, chromiumSandbox: false, host: '127.0.0.1' };
    if (channel)
      options.channel = channel;
    require(playwright)[kind].launchServer(options).then(server => {
      console.log(JSON.stringify({ endpoint: server.wsEndpoint(), pid: server.process().pid }));
      process.stdin.resume().on('end', () => server.close().finally(() => process.exit()));
    });";

/// A browser server as Playwright itself starts it.
struct Server {
    child: Child,
    endpoint: String,
    browser_pid: u32,
}

impl Server {
    fn launch(version: &str, kind: &str) -> Self {
        let (executable, channel) = build(kind);
        let mut child = Command::new("node")
            .args(["-e", LAUNCH])
            .arg(bed::npm(version).join("node_modules/playwright-core"))
            .args([kind, executable.to_str().unwrap(), channel])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be run");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("the server starts");
        Self {
            endpoint: ready["endpoint"].as_str().unwrap().to_owned(),
            browser_pid: ready["pid"].as_u64().unwrap().try_into().unwrap(),
            child,
        }
    }

    fn target(&self, kind: &str, version: &str) -> Target {
        Target {
            endpoint: self.endpoint.parse().unwrap(),
            kind: kind.parse().unwrap(),
            version: version.parse().unwrap(),
            headers: Vec::new(),
        }
    }

    /// Ends it in an orderly way, and checks that its browser went along.
    fn stop(mut self) {
        let browser = procs::tree(self.browser_pid);
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
        wait_until("the browser to end", LONG, || !browser.iter().any(procs::Proc::is_alive));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only a test that failed comes here with the server alive: its browser ends with the
        // pipe that it is driven through.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of that browser which the test bed found to work, and the channel to drive it by.
fn build(kind: &str) -> (PathBuf, &'static str) {
    let builds = VERSIONS.iter().rev().flat_map(|version| tried(version));
    let of_kind = |b: &Value| match b["flavour"].as_str().unwrap() {
        "headless-shell" | "chromium" | "chrome" => kind == "chromium",
        "firefox" | "moz-firefox" => kind == "firefox",
        _ => false,
    };
    let build = builds
        .filter(|b| b["probe"]["error"].is_null() && b["executable"].is_string())
        .find(of_kind)
        .unwrap_or_else(|| panic!("the test bed has no {kind} that works"));
    let system_firefox = build["flavour"] == "moz-firefox";
    let channel = if system_firefox { "moz-firefox" } else { "" };
    (build["executable"].as_str().unwrap().into(), channel)
}

/// The builds that were tried when that version was installed.
fn tried(version: &str) -> Vec<Value> {
    let manifest = bed::data().join("playwright").join(version).join("flotilla.json");
    let manifest = std::fs::read(manifest).expect("the test bed has the version");
    let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest is JSON");
    manifest["browsers"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_bare_server_of_every_version_passes_the_check() {
    for version in VERSIONS {
        let server = Server::launch(version, "chromium");
        let report = check(&server.target("chromium", version), LONG).await;
        assert!(report.ok, "{version}: {:?}", report.failure);
        let phases: Vec<_> = report.phases.iter().map(|t| t.phase.as_str()).collect();
        assert_eq!(phases, ["connect", "context", "navigate", "evaluate", "close"]);
        assert!(report.browser_version.is_some_and(|v| !v.is_empty()));
        server.stop();
    }
}

#[tokio::test]
async fn firefox_passes_the_check_where_it_works() {
    let server = Server::launch(WITH_FIREFOX, "firefox");
    let report = check(&server.target("firefox", WITH_FIREFOX), LONG).await;
    assert!(report.ok, "{:?}", report.failure);
    server.stop();
}

#[tokio::test]
async fn a_session_has_its_own_pages_and_values() {
    let server = Server::launch(NEWEST, "chromium");
    let target = server.target("chromium", NEWEST);
    let mut session = Session::connect(&target, Instant::now() + LONG).await.unwrap();
    let context = session.new_context().await.unwrap();
    let one = session.new_page(&context).await.unwrap();
    let two = session.new_page(&context).await.unwrap();
    session.goto(&one, "data:text/html,<title>one</title>").await.unwrap();
    session.goto(&two, "data:text/html,<title>two</title>").await.unwrap();
    assert_eq!(session.evaluate(&one, "document.title").await.unwrap(), "one");
    let value = session.evaluate(&two, "[document.title, { n: 1.5, u: undefined }]");
    let expected = serde_json::json!(["two", { "n": 1.5, "u": null }]);
    assert_eq!(value.await.unwrap(), expected);
    let thrown = session.evaluate(&one, "nobody.home").await.unwrap_err();
    assert!(thrown.to_string().contains("nobody is not defined"), "{thrown}");
    // An error of a script is the script's: the session goes on.
    assert_eq!(session.evaluate(&one, "6 * 7").await.unwrap(), 42);
    session.close_context(context).await.unwrap();
    session.close().await.unwrap();
    server.stop();
}

#[tokio::test]
async fn a_client_of_another_minor_is_refused_in_the_servers_words() {
    let server = Server::launch(NEWEST, "chromium");
    let target = server.target("chromium", WITH_FIREFOX);
    let refused = Session::connect(&target, Instant::now() + LONG).await;
    let Err(ProbeError::Refused(answer)) = refused else { panic!("not refused: {refused:?}") };
    assert_eq!(answer.status, 428);
    assert!(answer.text().contains("version mismatch"));
    server.stop();
}

#[tokio::test]
async fn a_wrong_browser_is_not_taken_for_the_right_one() {
    // A bare server gives every client its one browser, whatever they ask for.
    let server = Server::launch(NEWEST, "chromium");
    let report = check(&server.target("firefox", NEWEST), LONG).await;
    let failure = report.failure.expect("it is not the browser that was asked for");
    assert_eq!(failure.kind, "wrong_browser", "{failure:?}");
    server.stop();
}

#[tokio::test]
async fn the_death_of_the_browser_is_told_with_its_reason() {
    let server = Server::launch(NEWEST, "chromium");
    let target = server.target("chromium", NEWEST);
    let mut session = Session::connect(&target, Instant::now() + LONG).await.unwrap();
    session.new_context().await.unwrap();
    // A system's browser may be a shell script around the program.
    for process in procs::tree(server.browser_pid) {
        let pid = Pid::from_raw(process.pid.try_into().unwrap()).unwrap();
        // Some of them end with their parent.
        let _ = kill_process(pid, Signal::KILL);
    }
    let end = session.hold(Instant::now() + LONG).await;
    let Err(ProbeError::Closed { code, .. }) = &end else { panic!("not told: {end:?}") };
    assert_eq!(*code, Some(1001), "{end:?}");
    server.stop();
}

#[tokio::test]
async fn a_server_that_hangs_is_a_timeout_in_its_phase() {
    let server = Server::launch(NEWEST, "chromium");
    let target = server.target("chromium", NEWEST);
    let mut session = Session::connect(&target, Instant::now() + LONG).await.unwrap();
    procs::signal(server.child.id(), Signal::STOP);
    session.set_deadline(Instant::now() + Duration::from_millis(300));
    let hung = session.new_context().await;
    procs::signal(server.child.id(), Signal::CONT);
    let Err(ProbeError::Timeout { phase, .. }) = hung else { panic!("no timeout: {hung:?}") };
    assert_eq!(phase, Phase::Context);
    // With time to spare the same session works: the late answer to the call before is let go.
    session.set_deadline(Instant::now() + LONG);
    session.new_context().await.unwrap();
    session.close().await.unwrap();
    server.stop();
}

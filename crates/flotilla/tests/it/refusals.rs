//! A refusal is written for the person who reads it: Playwright shows the whole body.

use flotilla_testkit::program::Program;
use flotilla_testkit::raw::USER_AGENT;
use flotilla_testkit::wait::wait_until;

use crate::{NEWEST, SOON, grid};

const TOO_OLD: (&str, &str) = ("User-Agent", "Playwright/1.40.0 (x64; debian 12) node/20.20");

#[test]
fn a_version_that_nobody_serves_is_told_the_lines_that_fix_it() {
    let grid = grid().env("MAX_CONCURRENT_SESSIONS", 1).start();
    // A busy grid refuses it just as quickly: waiting would not help.
    let holder = grid.open("/", &[]).unwrap();
    grid.wait_used(1, SOON);
    let refusal = grid.open("/", &[TOO_OLD]).unwrap_err();
    assert_eq!(refusal.status, 428);
    for words in [
        "does not serve Playwright 1.40",
        "1.62, 1.64, 1.65",
        "npm install playwright@~1.62.0",
        "pip install \"playwright==1.62.*\"",
        "flotilla browsers install 1.40",
    ] {
        assert!(refusal.body.contains(words), "{words}: {}", refusal.body);
    }
    assert_eq!(refusal.header("retry-after"), None, "trying again never helps");
    holder.close();
    grid.stop_and_check();
}

#[test]
fn a_refusal_is_plain_text_and_json_where_asked_for() {
    let grid = grid().start();
    let text = grid.open("/?browser=netscape", &[]).unwrap_err();
    assert!(text.header("content-type").unwrap().starts_with("text/plain"));
    assert!(text.body.starts_with("unknown browser"), "{}", text.body);

    let json = grid.open("/?browser=netscape", &[("Accept", "application/json")]).unwrap_err();
    assert_eq!(json.status, text.status);
    assert!(json.header("content-type").unwrap().starts_with("application/json"));
    let body: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(body["error"]["code"], "unknown_browser");
    assert_eq!(body["error"]["message"].as_str().unwrap(), text.body.trim_end());
    grid.stop_and_check();
}

#[test]
fn a_client_of_an_unknown_shape_gets_the_default_version() {
    let grid = grid().start();
    for agent in ["my-own-client/1.0", "", "Playwright/next"] {
        let session = grid.open("/", &[("User-Agent", agent)]).expect(agent);
        assert_eq!(grid.only_session().version.to_string(), "1.65");
        session.close();
        grid.wait_used(0, SOON);
    }
    grid.stop_and_check();
}

#[test]
fn a_client_learns_the_id_of_its_session() {
    let grid = grid().start();
    let session = grid.open("/", &[("User-Agent", USER_AGENT)]).unwrap();
    let id = grid.only_session().id;
    let told = session.head().header("x-playwright-debug-log").unwrap();
    assert!(told.contains(&id), "{told:?} names {id}");
    wait_until("the id in the log", SOON, || grid.log().contains(&id));
    session.close();
    grid.stop_and_check();
}

#[test]
fn a_token_in_the_query_is_in_no_log() {
    let grid = grid().env("LOG_LEVEL", "debug").start();
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(
        "const headers = { Authorization: 'Bearer s3cret-bearer' };
         const b = await chromium.connect(endpoint + '/?token=s3cret-token', { headers });
         await b.close();",
    );
    grid.wait_used(0, SOON);
    wait_until("the end in the log", SOON, || grid.log().contains("session ended"));
    let log = grid.log();
    assert!(!log.is_empty() && !log.contains("s3cret"), "{log}");
    grid.stop_and_check();
}

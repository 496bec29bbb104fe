//! What an operator does with a grid in one process: sees, drains, ends, stops; and who may.

use std::process::Output;
use std::time::{Duration, Instant};

use flotilla_core::call::Call;
use flotilla_core::keyring::Keyring;
use flotilla_core::status::WorkerState;
use flotilla_testkit::grid::Grid;
use flotilla_testkit::http::{self, Response};
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Socket, Waiting};
use flotilla_testkit::wait::{wait_for, wait_until};
use serde_json::{Value, json};

use crate::{NEWEST, SOON, connect_as, flotilla, grid, words};

/// What an operator counts on: that long may it take until a session is ended.
const AT_ONCE: Duration = Duration::from_secs(1);

fn ask(grid: &Grid, args: &[&str]) -> Output {
    flotilla(args).env("FLOTILLA_ENDPOINT", grid.http("")).output().unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

fn state(grid: &Grid) -> WorkerState {
    grid.status().workers[0].state
}

#[test]
fn an_operator_sees_workers_and_sessions() {
    let grid = grid().start();
    let held: Vec<Socket> = (0..2).map(|_| grid.open("/", &[]).unwrap()).collect();
    grid.wait_used(2, SOON);

    let workers = ask(&grid, &["workers", "--json"]);
    assert_eq!(workers.status.code(), Some(0), "{}", words(&workers));
    let worker = &json_of(&workers)["workers"][0];
    assert_eq!(
        (&worker["state"], &worker["used"], &worker["slots"]),
        (&json!("available"), &json!(2), &json!(5))
    );
    let table = words(&ask(&grid, &["workers"]));
    assert!(table.contains("chromium 1.62 1.64 1.65, firefox 1.62 1.64"), "{table}");

    let sessions = json_of(&ask(&grid, &["sessions", "--json"]));
    let told: Vec<_> = grid.status().sessions.into_iter().map(|s| json!(s.id)).collect();
    let listed = sessions["sessions"].as_array().unwrap();
    assert_eq!(listed.iter().map(|s| s["id"].clone()).collect::<Vec<_>>(), told);
    let elsewhere = ask(&grid, &["sessions", "--worker", "w-9"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{}", words(&elsewhere));
    assert!(words(&elsewhere).contains("there is no worker w-9"), "{}", words(&elsewhere));

    let top = ask(&grid, &["top", "--once", "--json"]);
    assert_eq!(top.status.code(), Some(0), "{}", words(&top));
    assert_eq!(String::from_utf8_lossy(&top.stdout).lines().count(), 1, "one line a refresh");
    assert_eq!(json_of(&top)["slots"]["used"], 2);
    let page = words(&ask(&grid, &["top", "--once"]));
    assert!(page.contains(told[0].as_str().unwrap()), "{page}");
    for session in held {
        session.close();
    }
    let gone = grid.http("");
    grid.stop_and_check();
    for command in ["workers", "sessions"] {
        let output = flotilla(&[command]).env("FLOTILLA_ENDPOINT", &gone).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    }
}

#[test]
fn a_session_is_ended_in_under_a_second_and_its_client_reads_why() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(&connect_as("b", ""));
    let session = grid.only_session();
    let mut other = grid.open("/", &[]).unwrap();
    let call = node.start("await s.b_page.evaluate(() => new Promise(() => {}))", json!({}));

    let rehearsed = ask(&grid, &["sessions", "kill", &session.id, "--reason", "x", "--dry-run"]);
    assert_eq!(rehearsed.status.code(), Some(0), "{}", words(&rehearsed));
    assert!(words(&rehearsed).contains(&session.id) && call.done().is_none());

    let began = Instant::now();
    let killed = ask(&grid, &["sessions", "kill", &session.id, "--reason", "it hangs, sorry"]);
    let message = call.outcome().expect_err("the session was ended");
    let took = began.elapsed();
    assert_eq!(killed.status.code(), Some(0), "{}", words(&killed));
    assert!(took < AT_ONCE, "{took:?}");
    let why = "Flotilla: an operator ended this session: it hangs, sorry";
    assert!(message.contains(why), "{message}");
    wait_until("it to be counted", SOON, || {
        grid.metric("flotilla_sessions_ended_total", &[r#"cause="operator""#]) == Some(1.0)
    });
    grid.wait_used(1, SOON);
    wait_until("who ended what to be in the log", SOON, || grid.log().contains("it hangs, sorry"));

    let again = ask(&grid, &["sessions", "kill", &session.id, "--reason", "x", "--json"]);
    assert_eq!(again.status.code(), Some(1), "{}", words(&again));
    assert_eq!(json_of(&again)["sessions"][0]["error"]["code"], "no_such_session");
    let wordless = ask(&grid, &["sessions", "kill", &session.id]);
    assert_eq!(wordless.status.code(), Some(2), "a reason is needed: {}", words(&wordless));
    other.send(0x89, b"still here").unwrap();
    other.close();
    grid.stop_and_check();
}

#[test]
fn a_session_that_waits_for_its_browser_can_be_ended() {
    let grid = grid().start();
    // Another version's browser has to be started first, and its driver.
    let agent = "Playwright/1.62.1 (x64; debian 12) node/20.20";
    let waiting = Waiting::send(grid.address(), "/", &[("User-Agent", agent)]);
    let session = wait_for("the session", SOON, || {
        let list = json_of(&ask(&grid, &["sessions", "--json"]));
        list["sessions"][0]["id"].as_str().map(str::to_owned)
    });
    let killed = ask(&grid, &["sessions", "kill", &session, "--reason", "not needed any more"]);
    assert_eq!(killed.status.code(), Some(0), "{}", words(&killed));
    match waiting.answer() {
        Err(refusal) => {
            assert_eq!(refusal.status, 503);
            assert!(refusal.body.contains("not needed any more"), "{}", refusal.body);
        }
        // It had begun meanwhile: then it ends as one.
        Ok(mut begun) => assert!(begun.wait_close(SOON).1.contains("not needed any more")),
    }
    grid.stop_and_check();
}

#[test]
fn a_drained_worker_keeps_its_sessions_and_takes_new_ones_once_it_is_undrained() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(&connect_as("b", ""));

    let drained = ask(&grid, &["drain", "--all", "--wait=1", "--json"]);
    assert_eq!(drained.status.code(), Some(1), "a session was left: {}", words(&drained));
    let told = json_of(&drained);
    assert_eq!(
        (&told["workers"][0]["done"], &told["waited"][0]["ended"]),
        (&json!(true), &json!("timed_out"))
    );
    assert_eq!(told["waited"][0]["sessions"][0]["id"], grid.only_session().id);
    assert_eq!(grid.get("/readyz", &[]).status, 503);
    let waiting = Waiting::send(grid.address(), "/", &[]);
    grid.wait_queued(1, SOON);
    assert_eq!(grid.status().workers[0].sessions_served, 1, "nobody new was let in");
    assert_eq!(node.run("return await s.b_page.evaluate('5')"), 5, "who is there stays");

    let undrained = ask(&grid, &["undrain", "--browser", "chromium"]);
    assert_eq!(undrained.status.code(), Some(0), "{}", words(&undrained));
    waiting.answer().unwrap().close();
    let unserved = ask(&grid, &["drain", "--browser", "webkit"]);
    assert_eq!(unserved.status.code(), Some(2), "{}", words(&unserved));

    node.run("await s.b.close()");
    let empty = ask(&grid, &["drain", "--all", "--wait"]);
    assert_eq!(empty.status.code(), Some(0), "{}", words(&empty));
    assert_eq!(state(&grid), WorkerState::Draining);
    let drains = grid.metric("flotilla_worker_drain_seconds_count", &[]);
    assert_eq!(drains, Some(1.0), "the one that was called off never ended");
    grid.stop_and_check();
}

#[test]
fn sessions_are_ended_for_a_scale_down_only_when_somebody_agrees() {
    let mut grid = grid().start();
    let mut held = grid.open("/", &[]).unwrap();
    let session = grid.only_session().id;

    let plan = ask(&grid, &["scale-down", "--to", "0", "--now", "--dry-run"]);
    assert_eq!(plan.status.code(), Some(0), "{}", words(&plan));
    assert!(words(&plan).contains(&session), "what would be ended is shown: {}", words(&plan));
    let refused = ask(&grid, &["scale-down", "--to", "0", "--now"]);
    assert_eq!(refused.status.code(), Some(1), "{}", words(&refused));
    let why = "the workers that stay have 0 slots, and sessions hold 1 now";
    assert!(words(&refused).contains(why), "{}", words(&refused));
    assert_eq!(state(&grid), WorkerState::Available, "nothing was changed");

    let processes = grid.processes();
    let agreed =
        ask(&grid, &["scale-down", "--to", "0", "--now", "--yes", "--reason", "cut", "--wait"]);
    assert_eq!(agreed.status.code(), Some(0), "{}", words(&agreed));
    assert!(words(&agreed).contains(&session), "{}", words(&agreed));
    let (code, reason) = held.wait_close(SOON);
    assert_eq!((code, reason.as_str()), (4000, "Flotilla: an operator ended this session: cut"));
    assert!(grid.wait_exit(SOON).success(), "a grid goes with its worker: {}", grid.log());
    grid.check_nothing_left(&processes);
}

const OWN: (&str, &str) = ("x-flotilla-operator", "1");

fn drain_by_hand(grid: &Grid, headers: &[(&str, &str)]) -> Response {
    let path = format!("/v1/workers/{}/drain", grid.status().workers[0].id);
    http::send(grid.address(), "POST", &path, headers, "").unwrap()
}

#[test]
fn a_page_in_a_browser_cannot_operate_the_grid() {
    let grid = grid().start();
    let evil = ("Origin", "https://evil.example");
    for headers in [
        &[][..],
        &[evil, OWN],
        &[("Host", "evil.example"), OWN],
        &[("X-Forwarded-For", "10.0.0.7"), OWN],
    ] {
        let answer = drain_by_hand(&grid, headers);
        assert_eq!(answer.status, 403, "{headers:?}: {}", answer.body);
    }
    assert_eq!(http::send(grid.address(), "GET", "/v1/sessions", &[evil], "").unwrap().status, 403);
    assert_eq!(state(&grid), WorkerState::Available);
    let refused = grid.metric("flotilla_auth_failures_total", &[]);
    assert_eq!(refused, Some(5.0));
    let own = drain_by_hand(&grid, &[OWN]);
    assert_eq!(own.status, 200, "{}", own.body);
    assert_eq!(state(&grid), WorkerState::Draining);
    grid.stop_and_check();
}

#[test]
fn with_a_secret_a_request_needs_a_token_of_its_own() {
    let secret = "a-secret-of-this-grid-alone";
    let grid = grid().env("FLOTILLA_FLEET_SECRET", secret).start();
    let unsigned = ask(&grid, &["workers"]);
    assert_eq!(unsigned.status.code(), Some(2), "{}", words(&unsigned));
    assert!(words(&unsigned).contains("FLOTILLA_FLEET_SECRET"), "{}", words(&unsigned));
    assert_eq!(drain_by_hand(&grid, &[OWN]).status, 401, "being on this machine is not enough");

    let path = format!("/v1/workers/{}/drain", grid.status().workers[0].id);
    let call = Call { method: "POST", path: &path, body: b"" };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let bearer = |secret: &str, at| {
        format!("Bearer {}", call.token(&Keyring::parse(secret).unwrap(), at, 7))
    };
    let with = |bearer: &str| drain_by_hand(&grid, &[("Authorization", bearer)]);
    for (bearer, code) in [
        (bearer("some-other-secret-of-theirs", now), "token_forged"),
        (bearer(secret, now - Duration::from_secs(600)), "token_stale"),
        ("Bearer nonsense".to_owned(), "token_forged"),
    ] {
        let answer = with(&bearer);
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert!(answer.body.contains(code), "{}", answer.body);
    }
    assert_eq!(state(&grid), WorkerState::Available);
    let good = bearer(secret, now);
    assert_eq!(with(&good).status, 200);
    assert_eq!(state(&grid), WorkerState::Draining);
    let again = with(&good);
    assert!(again.status == 401 && again.body.contains("token_replayed"), "{}", again.body);

    let signed = flotilla(&["undrain", "--all"])
        .env("FLOTILLA_ENDPOINT", grid.http(""))
        .env("FLOTILLA_FLEET_SECRET", secret)
        .output()
        .unwrap();
    assert_eq!(signed.status.code(), Some(0), "{}", words(&signed));
    assert!(!grid.log().contains(secret) && !grid.log().contains(&good), "{}", grid.log());
    grid.stop_and_check();
}

#[test]
fn the_operators_paths_answer_in_json_and_say_what_is_wrong() {
    let grid = grid().start();
    let id = grid.status().workers[0].id.clone();
    let one: Value =
        serde_json::from_str(&grid.get(&format!("/v1/workers/{id}"), &[]).body).unwrap();
    assert_eq!(one["worker"]["id"], json!(id));
    for (method, path, body, status, code) in [
        ("GET", "/v1/workers/w-9", "", 404, "no_such_worker"),
        ("POST", "/v1/workers/w-9/drain", "", 404, "no_such_worker"),
        ("POST", "/v1/sessions/s9/end", r#"{"reason":"x"}"#, 404, "no_such_session"),
        ("POST", "/v1/sessions/s9/end", r#"{"reason":""}"#, 400, "bad_request"),
        ("DELETE", "/v1/workers/w-9", "", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", "", 404, "not_found"),
    ] {
        let answer = http::send(grid.address(), method, path, &[OWN], body).unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let error: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(error["error"]["code"], code);
    }
    let huge = "x".repeat(20_000);
    let answer = http::send(grid.address(), "POST", "/v1/sessions/s9/end", &[OWN], &huge).unwrap();
    assert_eq!(answer.status, 413, "{}", answer.body);
    grid.stop_and_check();
}

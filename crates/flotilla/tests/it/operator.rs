//! What the operator sees and sets: configuration, status, health, metrics.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use flotilla_testkit::folder::Folder;
use flotilla_testkit::grid::Grid;
use flotilla_testkit::procs;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::Socket;
use rustix::process::Signal;
use serde_json::Value;

use crate::{SOON, VERSIONS, connect_as, flotilla, grid, words};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

/// `flotilla config ARGS…` with these variables, in a folder of its own with this file.
fn config(args: &[&str], env: &[(&str, &str)], file: Option<&str>) -> Output {
    let folder = Folder::new();
    if let Some(text) = file {
        std::fs::write(folder.join("flotilla.toml"), text).unwrap();
    }
    let mut command = flotilla(&[]);
    command.arg("config").args(args).current_dir(folder.path());
    command.envs(env.iter().copied()).output().unwrap()
}

#[test]
fn config_show_tells_what_is_in_force_and_where_it_comes_from() {
    let env = [("PORT", "9999"), ("REDIS_URL", "redis://:s3cret@redis.example:6379")];
    let file = "queue_limit = 7\nport = 7777\n";
    let output = config(&["show"], &env, Some(file));
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    let line = |name: &str| {
        let starts = |line: &&str| line.split([' ', '*']).any(|word| word == name);
        text.lines().find(starts).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
    };
    assert!(line("port").contains("9999") && line("port").contains("env PORT"));
    assert!(line("queue_limit").contains('7') && line("queue_limit").contains("flotilla.toml"));
    assert!(line("drain_timeout").contains("default"));
    assert!(line("redis_url").contains("hidden"), "{}", line("redis_url"));
    assert!(!text.contains("s3cret"), "{text}");

    let all = json(&config(&["show", "--json"], &env, Some(file)));
    assert!(!all.to_string().contains("s3cret"));
}

#[test]
fn timings_that_break_a_rule_are_refused_with_the_rule_and_the_order_to_change_them() {
    let output = config(&["check"], &[("HEARTBEAT_INTERVAL", "90")], None);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in ["env HEARTBEAT_INTERVAL", "raise REDIS_KEY_TTL first", "90s", "1m"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let up = grid().env("HEARTBEAT_INTERVAL", "90").output();
    assert_eq!(up.status.code(), Some(2), "up refuses it as well: {}", words(&up));
    let fine =
        [("HEARTBEAT_INTERVAL", "90"), ("REDIS_KEY_TTL", "200"), ("SHUTDOWN_COMMAND_TTL", "200")];
    let output = config(&["check"], &fine, None);
    assert!(output.status.success(), "{}", words(&output));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let env = [("PORT", "eighty"), ("MAX_CONCURRENT_SESSIONS", "0")];
    let output = config(&["check"], &env, Some("queue_limt = 5\n"));
    let text = words(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in ["eighty", "65535", "MAX_CONCURRENT_SESSIONS", "queue_limt", "queue_limit"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_grid_without_keys_is_not_opened_to_the_network_by_accident() {
    let refused = grid().arg("--host").arg("0.0.0.0").output();
    let text = words(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("allow_anyone") || text.contains("allow-anyone"), "{text}");
    let allowed = grid().arg("--host").arg("0.0.0.0").arg("--allow-anyone").start();
    allowed.stop_and_check();
}

#[test]
fn up_refuses_a_port_that_is_taken_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = grid().env("PORT", port).output();
    let text = words(&output);
    assert!(!output.status.success());
    assert!(text.contains(&port.to_string()), "{text}");
    assert!(text.to_lowercase().contains("in use"), "{text}");
}

fn status(grid: &Grid, args: &[&str]) -> Output {
    let endpoint = grid.http("");
    flotilla(&["status", "--endpoint", &endpoint]).args(args).output().unwrap()
}

fn sessions(grid: &Grid, count: u32) -> Vec<Socket> {
    let sessions = (0..count).map(|_| grid.open("/", &[]).unwrap()).collect();
    grid.wait_used(count, SOON);
    sessions
}

#[test]
fn status_tells_the_slots_and_its_exit_code_the_thresholds() {
    let grid = grid().start();
    let idle = status(&grid, &[]);
    assert_eq!(idle.status.code(), Some(0), "{}", words(&idle));
    let mut held = sessions(&grid, 4);
    let busy = status(&grid, &["--json"]);
    assert_eq!(busy.status.code(), Some(1), "80 % is a warning: {}", words(&busy));
    let slots = &json(&busy)["slots"];
    assert_eq!((&slots["used"], &slots["free"]), (&4.into(), &1.into()));
    held.push(grid.open("/", &[]).unwrap());
    grid.wait_used(5, SOON);
    let full = status(&grid, &[]);
    assert_eq!(full.status.code(), Some(2), "100 % is critical: {}", words(&full));
    let text = words(&full);
    assert!(text.contains("chromium") && text.contains("1.65"), "{text}");
    for session in held {
        session.close();
    }
    let nobody = grid.http("");
    grid.stop_and_check();
    let output = flotilla(&["status", "--endpoint", &nobody]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
}

fn health(endpoint: &str, args: &[&str]) -> Output {
    flotilla(&["health", "--endpoint", endpoint]).args(args).output().unwrap()
}

#[test]
fn health_opens_a_session_for_every_browser_and_version() {
    let grid = grid().start();
    let output = health(&grid.http(""), &[]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in [
        "Checking proxy...",
        "Checking workers...",
        "Workers registered: 1",
        "End-to-end test...",
        "OK",
    ] {
        assert!(text.lines().any(|l| l.trim() == line), "{line}:\n{text}");
    }
    assert!(!text.contains("FAIL"), "{text}");
    let pools = grid.status().pools;
    assert_eq!(pools.len(), 5, "Chromium on three versions, Firefox on two: {pools:?}");
    let ok = grid.metric("flotilla_sessions_started_total", &["result=\"ok\""]);
    assert_eq!(ok, Some(5.0), "one session through the front door for each");
    grid.stop_and_check();
}

#[test]
fn health_fails_where_something_really_fails() {
    let grid = grid().start();
    // A driver that hangs: what it serves does not work, everything else does.
    let node = Program::node(VERSIONS[0], grid.endpoint());
    let before = grid.drivers();
    node.run(&connect_as("b", ""));
    let driver = grid.drivers().into_iter().find(|pid| !before.contains(pid)).unwrap();
    procs::signal(driver, Signal::STOP);
    let output = health(&grid.http(""), &["--timeout", "4s", "--browser", "chromium"]);
    procs::signal(driver, Signal::CONT);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(1), "degraded: {text}");
    assert!(text.contains("FAIL: End-to-end connection failed"), "{text}");
    node.kill();

    let unserved = health(&grid.http(""), &["--browser", "webkit"]);
    assert!(!unserved.status.success(), "asking for what is not there: {}", words(&unserved));
    let endpoint = grid.http("");
    grid.stop_and_check();
    let down = health(&endpoint, &[]);
    assert_eq!(down.status.code(), Some(2), "{}", words(&down));
    assert!(words(&down).contains("FAIL: Proxy not responding"), "{}", words(&down));
    let nonsense = health("not an address", &[]);
    assert_eq!(nonsense.status.code(), Some(3), "{}", words(&nonsense));
}

#[test]
fn health_counts_no_worker_that_is_not_there() {
    // The guide's own check counted an empty answer as one worker. A grid that drains has none
    // that takes sessions.
    let grid = grid().env("DRAIN_TIMEOUT", 60).start();
    let held = sessions(&grid, 1);
    grid.signal(Signal::TERM);
    flotilla_testkit::wait::wait_until("the drain", SOON, || {
        grid.status().available_workers() == 0
    });
    let output = health(&grid.http(""), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(words(&output).contains("FAIL: No workers registered"), "{}", words(&output));
    for session in held {
        session.close();
    }
}

#[test]
fn metrics_answer_prometheus_and_the_guides_json() {
    let grid = grid().start();
    let held = sessions(&grid, 2);
    let json = grid.get("/metrics", &[("Accept", "application/json")]);
    let body: Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(body["activeConnections"], 2);
    let text = grid.get("/metrics", &[]);
    assert!(text.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(grid.metric("flotilla_sessions_active", &["browser=\"chromium\""]), Some(2.0));
    let used = grid.metric("flotilla_slots", &["state=\"used\""]);
    assert_eq!(used, Some(2.0));
    let counters: BTreeMap<_, _> =
        ["flotilla_sessions_started_total", "flotilla_sessions_ended_total"]
            .map(|name| (name, grid.metric(name, &[])))
            .into();
    assert_eq!(counters["flotilla_sessions_ended_total"], Some(0.0), "it begins at zero");
    for session in held {
        session.close();
    }
    grid.stop_and_check();
}

#[test]
fn the_paths_for_looking_answer_and_others_are_not_found() {
    let grid = grid().start();
    assert_eq!(grid.get("/healthz", &[]).status, 200);
    assert_eq!(grid.get("/readyz", &[]).status, 200);
    let json: Value = serde_json::from_str(&grid.get("/json", &[]).body).unwrap();
    assert!(json["wsEndpointPath"].is_string(), "{json}");
    assert_eq!(grid.get("/no/such/page", &[]).status, 404);
    let status = grid.status();
    assert_eq!(status.endpoint, grid.endpoint());
    assert_eq!(status.slots.total, 5);
    grid.stop_and_check();
}

#[test]
fn up_says_where_to_connect_and_what_it_serves() {
    let grid = grid().env("PORT", 0).start();
    let pools = grid.status().pools;
    let of = |kind: &str| pools.iter().filter(|p| p.browser.as_str() == kind).count();
    assert_eq!((of("chromium"), of("firefox"), of("webkit")), (3, 2, 0), "{pools:?}");
    let default: Vec<_> = pools.iter().filter(|p| p.default).collect();
    assert_eq!(default.len(), 1);
    assert_eq!(default[0].version.to_string(), "1.65");
    grid.stop_and_check();
}

#[test]
fn the_ready_event_is_one_line_of_json() {
    let folder = Folder::new();
    let mut child = flotilla(&["up", "--json"])
        .current_dir(folder.path())
        .env("PORT", "0")
        .env("FLOTILLA_RUN_DIR", folder.join("run"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    procs::signal(child.id(), Signal::TERM);
    assert!(child.wait().unwrap().success());
    let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
    assert_eq!(event["event"], "ready");
    assert_eq!(event["serves"].as_array().unwrap().len(), 5, "{event}");
    assert_eq!(event["slots"], 5);
}

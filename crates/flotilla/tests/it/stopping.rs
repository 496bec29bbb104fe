//! How a grid is stopped: it finishes what it has, within limits.

use std::time::{Duration, Instant};

use flotilla_core::status::GridState;
use flotilla_testkit::grid::Grid;
use flotilla_testkit::http;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::Waiting;
use flotilla_testkit::wait::wait_until;
use rustix::process::Signal;
use serde_json::json;

use crate::{NEWEST, SOON, connect_as, grid};

fn wait_draining(grid: &Grid) {
    wait_until("the drain to begin", SOON, || grid.status().state == GridState::Draining);
}

fn ends_with_success(mut grid: Grid, ceiling: Duration) {
    let processes = grid.processes();
    let status = grid.wait_exit(ceiling);
    assert!(status.success(), "{status}\n{}", grid.log());
    grid.check_nothing_left(&processes);
}

#[test]
fn sigterm_lets_sessions_finish_and_takes_no_new_ones() {
    let grid = grid().env("DRAIN_TIMEOUT", 60).start();
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(&connect_as("b", ""));
    assert_eq!(grid.get("/readyz", &[]).status, 200);

    grid.signal(Signal::TERM);
    wait_draining(&grid);
    let refusal = grid.open("/", &[]).unwrap_err();
    assert_eq!(refusal.status, 503);
    assert!(refusal.body.contains("draining"), "{}", refusal.body);
    assert!(refusal.header("retry-after").is_some());
    let message = node.fail("await chromium.connect(endpoint)");
    assert!(message.contains("draining"), "{message}");
    assert_eq!(grid.get("/readyz", &[]).status, 503, "no new clients, please");
    assert_eq!(grid.get("/healthz", &[]).status, 200, "it lives");

    assert_eq!(node.run("return await s.b_page.evaluate('5')"), 5);
    node.run("await s.b.close()");
    ends_with_success(grid, SOON);
}

#[test]
fn a_session_that_does_not_finish_in_time_is_told_why_it_ends() {
    let grid = grid().env("DRAIN_TIMEOUT", 1).start();
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(&connect_as("b", ""));
    let mut raw = grid.open("/", &[]).unwrap();
    let call = node.start("await s.b_page.evaluate(() => new Promise(() => {}))", json!({}));
    grid.signal(Signal::TERM);
    let message = call.outcome().expect_err("the grid stops");
    assert!(message.contains("this grid is stopping"), "{message}");
    let (code, reason) = raw.wait_close(SOON);
    assert_eq!(code, 1012, "service restart: {reason}");
    ends_with_success(grid, SOON);
}

#[test]
fn a_second_signal_hurries() {
    let grid = grid().env("DRAIN_TIMEOUT", 300).start();
    let mut raw = grid.open("/", &[]).unwrap();
    grid.wait_used(1, SOON);
    grid.signal(Signal::TERM);
    wait_draining(&grid);
    let began = Instant::now();
    grid.signal(Signal::TERM);
    let (code, reason) = raw.wait_close(SOON);
    assert_eq!(code, 1012);
    assert!(reason.contains("stopping"), "{reason}");
    ends_with_success(grid, SOON);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn who_waits_in_the_queue_is_told_that_the_grid_stops() {
    let grid = grid().env("MAX_CONCURRENT_SESSIONS", 1).start();
    let holder = grid.open("/", &[]).unwrap();
    let waiting = Waiting::send(grid.address(), "/", &[]);
    grid.wait_queued(1, SOON);
    grid.signal(Signal::INT);
    let refusal = waiting.answer().unwrap_err();
    assert_eq!(refusal.status, 503);
    assert!(refusal.body.contains("draining"), "{}", refusal.body);
    holder.close();
    ends_with_success(grid, SOON);
}

#[test]
fn an_idle_grid_stops_at_once_and_its_port_is_free() {
    let grid = grid().start();
    let address = grid.address().to_owned();
    let began = Instant::now();
    grid.stop_and_check();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(http::get(&address, "/healthz", &[]).is_err());
}

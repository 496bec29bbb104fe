//! Browsers, drivers and the grid itself are killed: who notices, and what is left.

use std::collections::BTreeSet;

use flotilla_testkit::grid::Grid;
use flotilla_testkit::procs;
use flotilla_testkit::program::{Program, Running};
use flotilla_testkit::wait::wait_until;
use serde_json::json;

use crate::{NEWEST, SOON, VERSIONS, WITH_FIREFOX, connect_as, grid};

/// A call that ends only with its session.
fn pending_call(node: &Program, name: &str) -> Running {
    node.start(
        &format!("await s['{name}_page'].evaluate(() => new Promise(() => {{}}))"),
        json!({}),
    )
}

fn pid_of(node: &Program, name: &str, rest: &str) -> u32 {
    node.run(&connect_as(name, rest)).as_u64().unwrap() as u32
}

#[test]
fn a_browser_killed_under_five_sessions_ends_these_with_a_reason_and_no_other() {
    let grid = grid().env("MAX_CONCURRENT_SESSIONS", 6).start();
    let node = Program::node(NEWEST, grid.endpoint());
    let other = Program::node(NEWEST, grid.endpoint());
    pid_of(&other, "own", "/?isolation=session");
    let names = ["a", "b", "c", "d", "e"];
    let pids: BTreeSet<_> = names.iter().map(|name| pid_of(&node, name, "")).collect();
    assert_eq!(pids.len(), 1, "all five share it");
    let shared = *pids.first().unwrap();
    let calls = names.map(|name| pending_call(&node, name));

    procs::kill(shared);
    for call in calls {
        let message = call.outcome().expect_err("its browser is dead");
        assert!(message.contains("died"), "{message}");
        assert!(message.contains("Connect again"), "{message}");
    }
    grid.wait_used(1, SOON);
    assert_eq!(other.run("return await s.own_page.evaluate('1')"), 1);

    let next = pid_of(&node, "next", "");
    assert_ne!(next, shared, "another browser has taken its place");
    let crashes = grid.metric("flotilla_browser_exits_total", &["reason=\"crash\""]);
    assert_eq!(crashes, Some(1.0));
    let ended = grid.metric("flotilla_sessions_ended_total", &["cause=\"worker_crash\""]);
    assert_eq!(ended, Some(5.0));
    node.run("await s.next.close()");
    other.run("await s.own.close()");
    grid.stop_and_check();
}

#[test]
fn a_driver_killed_ends_only_its_own_sessions_and_comes_back() {
    let grid = grid().start();
    let new = Program::node(NEWEST, grid.endpoint());
    let old = Program::node(VERSIONS[0], grid.endpoint());
    let before: BTreeSet<_> = grid.drivers().into_iter().collect();
    pid_of(&new, "b", "");
    pid_of(&old, "b", "");
    let drivers: BTreeSet<_> = grid.drivers().into_iter().collect();
    let of_old: Vec<_> = drivers.difference(&before).copied().collect();
    let [victim] = of_old[..] else {
        panic!("one more driver for one more version: {before:?}, then {drivers:?}")
    };
    let below = procs::tree(victim);
    assert!(below.len() > 1, "its browsers are its children: {below:?}");
    let call = pending_call(&old, "b");

    procs::kill(victim);
    let message = call.outcome().expect_err("its driver is dead");
    assert!(message.contains("died"), "{message}");
    wait_until("its browsers to be gone", flotilla_testkit::grid::ORPHANS_GONE, || {
        !below.iter().any(procs::Proc::is_alive)
    });
    assert_eq!(new.run("return await s.b_page.evaluate('2')"), 2);
    pid_of(&old, "again", "");
    old.run("await s.again.close()");
    new.run("await s.b.close()");
    grid.stop_and_check();
}

#[test]
fn a_browser_of_its_own_that_dies_ends_one_session() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    pid_of(&node, "shared", "");
    let own = pid_of(&node, "own", "/?isolation=session");
    let call = pending_call(&node, "own");
    procs::kill(own);
    let message = call.outcome().expect_err("its browser is dead");
    assert!(message.contains("died"), "{message}");
    assert_eq!(node.run("return await s.shared_page.evaluate('2')"), 2);
    grid.wait_used(1, SOON);
    node.run("await s.shared.close()");
    grid.stop_and_check();
}

/// Every kind of browser process there is: shared, warm, own, Chromium and Firefox.
fn full_grid() -> (Grid, Program) {
    let grid = grid().start();
    let node = Program::node(WITH_FIREFOX, grid.endpoint());
    node.run(&connect_as("shared", ""));
    node.run(&connect_as("own", "/?isolation=session"));
    node.run(
        "s.fox = await firefox.connect(endpoint);
         await (await s.fox.newPage()).goto('data:text/html,fox');",
    );
    (grid, node)
}

#[test]
fn nothing_survives_the_grid_when_it_is_killed() {
    let (grid, _node) = full_grid();
    let names: BTreeSet<_> = grid.processes().into_iter().map(|p| p.name).collect();
    assert!(names.len() >= 3, "driver, Chromium and Firefox run: {names:?}");
    grid.kill_and_check();
}

#[test]
fn nothing_survives_a_grid_that_is_killed_while_browsers_are_starting() {
    let grid = grid().start();
    let node = Program::node(VERSIONS[0], grid.endpoint());
    let _coming = node.start("await firefox.connect(endpoint)", json!({}));
    wait_until("a second driver", SOON, || grid.drivers().len() == 2);
    grid.kill_and_check();
}

#[test]
fn what_a_killed_grid_left_on_disk_is_cleaned_by_the_next() {
    let runs = flotilla_testkit::folder::Folder::new();
    let start = || grid().env("FLOTILLA_RUN_DIR", runs.path().display()).start();
    let entries = || -> BTreeSet<_> {
        let folders = std::fs::read_dir(runs.path()).unwrap().flatten();
        folders.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let killed = start();
    let stale = entries();
    assert!(!stale.is_empty());
    killed.kill_and_check();
    let next = start();
    let now = entries();
    assert!(now.is_disjoint(&stale), "{stale:?} is still in {now:?}");
    next.stop_and_check();
    assert_eq!(entries(), BTreeSet::new());
}

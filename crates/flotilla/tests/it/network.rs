//! Peers that vanish, fall silent or dawdle cost their own session and nothing else.

use std::time::{Duration, Instant};

use flotilla_testkit::grid::Grid;
use flotilla_testkit::procs;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Vanish, Waiting};
use flotilla_testkit::throttle::{Throttle, Way};
use flotilla_testkit::wait::wait_until;
use serde_json::json;

use crate::{NEWEST, SOON, connect_as, grid};

const MIB: u64 = 1024 * 1024;

/// A session that works in the same grid, for showing that it still does.
fn bystander(grid: &Grid) -> Program {
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(&connect_as("b", ""));
    node
}

fn still_works(bystander: &Program) -> Duration {
    let began = Instant::now();
    assert_eq!(bystander.run("return await s.b_page.evaluate('3 * 7')"), 21);
    began.elapsed()
}

#[test]
fn two_hundred_clients_that_vanish_without_a_close_leave_nothing() {
    let grid = grid().env("MAX_CONCURRENT_SESSIONS", 21).start();
    let node = bystander(&grid);
    for round in 0..5 {
        let how = [Vanish::Fin, Vanish::Reset][round % 2];
        let connected: Vec<_> =
            (0..20).map(|_| grid.open("/", &[]).expect("a slot is free")).collect();
        grid.wait_used(21, SOON);
        let waiting: Vec<_> = (0..20).map(|_| Waiting::send(grid.address(), "/", &[])).collect();
        grid.wait_queued(20, SOON);
        // Those that wait go first: else they would be let in and go as sessions.
        for client in waiting {
            client.vanish(how);
        }
        grid.wait_queued(0, SOON);
        for client in connected {
            client.vanish(how);
        }
        grid.wait_used(1, SOON);
    }
    let lost = grid.metric("flotilla_sessions_ended_total", &["cause=\"client_lost\""]);
    assert_eq!(lost, Some(100.0), "the other hundred never had a session");
    still_works(&node);
    node.run("await s.b.close()");
    grid.stop_and_check();
}

#[test]
fn a_client_program_that_is_killed_leaves_no_page_behind() {
    let grid = grid().env("MAX_CONCURRENT_SESSIONS", 6).start();
    let node = bystander(&grid);
    let victim = Program::node(NEWEST, grid.endpoint());
    victim.run(
        "for (let i = 0; i < 5; i++) {
           const browser = await chromium.connect(endpoint);
           await browser.newPage();
           await browser.newPage();
         }",
    );
    grid.wait_used(6, SOON);
    victim.kill();
    grid.wait_used(1, SOON);
    let pages = node.run(
        "const cdp = await s.b.newBrowserCDPSession();
         const { browserContextIds } = await cdp.send('Target.getBrowserContexts');
         return browserContextIds.length;",
    );
    assert_eq!(pages, 1, "only the bystander's own context is left");
    node.run("await s.b.close()");
    grid.stop_and_check();
}

/// A client whose machine lost its network sends neither FIN nor pong.
#[test]
fn a_half_open_connection_is_found_and_its_slot_is_free_again() {
    let grid =
        grid().env("FLOTILLA_PING_INTERVAL", "500ms").env("FLOTILLA_PEER_TIMEOUT", "2s").start();
    let node = bystander(&grid);
    let network = Throttle::to(grid.address());
    let gone = Program::node(NEWEST, &network.endpoint());
    gone.run(&connect_as("b", ""));
    grid.wait_used(2, SOON);
    network.stop(Way::Up);
    network.stop(Way::Down);
    grid.wait_used(1, SOON);
    let lost = grid.metric("flotilla_sessions_ended_total", &["cause=\"client_lost\""]);
    assert_eq!(lost, Some(1.0));
    still_works(&node);
    node.run("await s.b.close()");
    network.resume(Way::Up);
    network.resume(Way::Down);
    grid.stop_and_check();
}

#[test]
fn a_slow_reader_costs_no_memory_and_slows_nobody_else() {
    let grid = grid().start();
    let node = bystander(&grid);
    let network = Throttle::to(grid.address());
    let slow = Program::node(NEWEST, &network.endpoint());
    slow.run(&connect_as("b", ""));
    let before = procs::resident(grid.pid());

    network.stop(Way::Down);
    let answer = slow.start(
        "return (await s.b_page.evaluate('\"x\".repeat(60 * 1024 * 1024)')).length",
        json!({}),
    );
    // The bytes are on their way as soon as the relay cannot get rid of them.
    wait_until("the relay to be held up", SOON, || {
        grid.metric("flotilla_relay_bytes_total", &[]).unwrap_or(0.0) > 100_000.0
            && answer.done().is_none()
    });
    let times: Vec<_> = (0..50).map(|_| still_works(&node)).collect();
    let held = procs::resident(grid.pid()).saturating_sub(before);
    assert!(held < 16 * MIB, "{} MiB more for one slow reader", held / MIB);
    let mut sorted = times;
    sorted.sort();
    assert!(sorted[25] < Duration::from_millis(500), "{sorted:?}");

    network.resume(Way::Down);
    assert_eq!(answer.outcome().unwrap(), 60 * MIB);
    slow.run("await s.b.close()");
    node.run("await s.b.close()");
    grid.stop_and_check();
}

/// A peer that sends what is no WebSocket is told so, and costs only itself.
#[test]
fn a_peer_that_breaks_the_protocol_is_closed_with_a_reason() {
    let grid = grid().start();
    let node = bystander(&grid);
    for bytes in [
        // Unmasked, from a client; a reserved opcode; a control frame in two parts.
        &[0x81, 0x02, b'{', b'}'][..],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x09, 0x80, 0, 0, 0, 0],
    ] {
        let mut session = grid.open("/", &[]).unwrap();
        session.send_bytes(bytes).unwrap();
        let (code, reason) = session.wait_close(SOON);
        assert_eq!(code, 1002, "{bytes:?}: {reason}");
        assert!(!reason.is_empty());
    }
    grid.wait_used(1, SOON);
    still_works(&node);
    node.run("await s.b.close()");
    grid.stop_and_check();
}

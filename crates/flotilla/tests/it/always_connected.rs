//! Silence of any length is fine. The module's name puts its long test first in line, so that it
//! runs beside all the others.

use std::time::Duration;

use flotilla_testkit::program::Program;

use crate::{NEWEST, SOON, grid};

#[test]
fn ninety_seconds_of_silence_end_nothing() {
    let grid = grid().idle().start();
    let node = Program::node(NEWEST, grid.endpoint());
    let waited = node.run(
        "const browser = await chromium.connect(endpoint);
         const page = await browser.newPage();
         await page.evaluate('window.before = 7');
         const began = Date.now();
         await page.waitForTimeout(90_000);
         const before = await page.evaluate('window.before');
         await browser.close();
         return before === 7 ? Date.now() - began : 0;",
    );
    assert!(waited.as_u64().unwrap() >= 90_000, "{waited}");
    grid.stop_and_check();
}

/// The same with the clocks of the relay set fast, so that many pings pass.
#[test]
fn a_client_that_answers_pings_is_never_taken_for_dead() {
    let grid = grid()
        .idle()
        .env("FLOTILLA_PING_INTERVAL", "200ms")
        .env("FLOTILLA_PEER_TIMEOUT", "1s")
        .start();
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(
        "s.b = await chromium.connect(endpoint);
         s.page = await s.b.newPage();
         await s.page.waitForTimeout(8_000);
         await s.page.evaluate('1');
         await s.b.close();",
    );
    grid.wait_used(0, SOON);
    let closed = grid.metric("flotilla_sessions_ended_total", &["cause=\"client_close\""]);
    assert_eq!(closed, Some(1.0));
    grid.stop_and_check();
}

#[test]
fn a_session_lasts_no_longer_than_the_operator_lets_it() {
    let grid = grid().env("FLOTILLA_SESSION_MAX_DURATION", "2s").start();
    let mut session = grid.open("/", &[]).unwrap();
    let (code, reason) = session.wait_close(Duration::from_secs(15));
    assert_eq!(code, 1008);
    assert!(reason.contains("longest time allowed (2 s)"), "{reason}");
    grid.wait_used(0, SOON);
    let counted = grid.metric("flotilla_sessions_ended_total", &["cause=\"deadline\""]);
    assert_eq!(counted, Some(1.0));
    grid.stop_and_check();
}

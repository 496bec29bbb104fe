//! Who shares a browser with whom, told by the browsers themselves.

use flotilla_testkit::procs;
use flotilla_testkit::program::Program;
use flotilla_testkit::wait::{wait_for, wait_until};

use crate::{NEWEST, SOON, connect_as, grid};

fn pid(value: &serde_json::Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn sessions_of_one_tenant_share_a_warm_browser() {
    let grid = grid().start();
    let warm = wait_for("a shared browser", SOON, || grid.browsers("serving").first().copied());
    let (node, other) =
        (Program::node(NEWEST, grid.endpoint()), Program::node(NEWEST, grid.endpoint()));
    assert_eq!(pid(&node.run(&connect_as("a", ""))), warm);
    assert_eq!(pid(&other.run(&connect_as("b", "/?isolation=tenant"))), warm);
    node.run("await s.a.close()");
    other.run("await s.b.close()");
    grid.wait_used(0, SOON);
    assert!(procs::find(warm).is_some(), "a shared browser outlives its sessions");
    grid.stop_and_check();
}

#[test]
fn a_session_of_its_own_gets_a_warm_browser_that_is_thrown_away_after() {
    let grid = grid().start();
    let warm = wait_for("a warm browser", SOON, || grid.browsers("warm").first().copied());
    let node = Program::node(NEWEST, grid.endpoint());
    let shared = pid(&node.run(&connect_as("a", "")));
    let own = pid(&node.run(&connect_as("b", "/?isolation=session")));
    assert_ne!(own, shared);
    assert_eq!(own, warm, "the browser had been started before it was asked for");
    assert_eq!(grid.browsers("own"), [own].into());

    let third = pid(&node.run(&connect_as("c", "/?isolation=session")));
    assert!(third != own && third != shared);

    node.run("await s.b.close(); await s.c.close(); await s.a.close()");
    wait_until("the sessions' own browsers to be gone", SOON, || {
        procs::find(own).is_none() && procs::find(third).is_none()
    });
    assert!(procs::find(shared).is_some());
    let refilled =
        wait_for("the warm pool to be full again", SOON, || grid.browsers("warm").first().copied());
    assert!(refilled != own && refilled != third);
    grid.stop_and_check();
}

#[test]
fn isolation_by_default_is_the_operators_choice() {
    let grid = grid().env("FLOTILLA_ISOLATION", "session").start();
    let node = Program::node(NEWEST, grid.endpoint());
    let (a, b) = (node.run(&connect_as("a", "")), node.run(&connect_as("b", "")));
    assert_ne!(a, b);
    let isolation: Vec<_> = grid.status().sessions;
    assert!(isolation.iter().all(|session| session.isolation == "session"));
    node.run("await s.a.close(); await s.b.close()");
    grid.stop_and_check();
}

#[test]
fn an_isolation_that_does_not_exist_is_refused_in_words() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    let message = node.fail("await chromium.connect(endpoint + '/?isolation=container')");
    assert!(message.contains("isolation=container"), "{message}");
    assert!(message.contains("isolation=session"), "{message}");
    grid.stop_and_check();
}

#[test]
fn nothing_of_a_session_is_there_for_the_next_one() {
    let grid = grid().env("MAX_CONCURRENT_SESSIONS", 1).start();
    let node = Program::node(NEWEST, grid.endpoint());
    // With one slot, the second session cannot begin before the first one's contexts are gone.
    let targets = node.run(
        "const first = await chromium.connect(endpoint);
         for (let i = 0; i < 3; i++) await (await first.newContext()).newPage();
         await first.close();
         const second = await chromium.connect(endpoint);
         const cdp = await second.newBrowserCDPSession();
         const { targetInfos } = await cdp.send('Target.getTargets');
         const { browserContextIds } = await cdp.send('Target.getBrowserContexts');
         await second.close();
         return [targetInfos.filter(t => t.type === 'page' && t.url !== 'about:blank').length,
                 browserContextIds.length];",
    );
    assert_eq!(targets, serde_json::json!([0, 0]));
    grid.stop_and_check();
}

//! Which browser and which Playwright a client gets: the one that it asked for, or words.

use std::collections::BTreeSet;

use flotilla_testkit::program::Program;

use crate::{NEWEST, SOON, VERSIONS, WITH_FIREFOX, connect_as, grid};

#[test]
fn three_playwright_versions_work_at_the_same_time() {
    let grid = grid().start();
    let programs: Vec<_> =
        VERSIONS.iter().map(|version| Program::node(version, grid.endpoint())).collect();
    let starting: Vec<_> = programs
        .iter()
        .map(|program| program.start(&connect_as("b", ""), serde_json::Value::Null))
        .collect();
    let browsers: BTreeSet<_> =
        starting.into_iter().map(|running| running.outcome().unwrap().as_u64().unwrap()).collect();
    assert_eq!(browsers.len(), 3, "each version drives a browser of its own");

    let served: BTreeSet<_> =
        grid.status().sessions.iter().map(|session| session.version.to_string()).collect();
    assert_eq!(served, ["1.62", "1.64", "1.65"].map(String::from).into());
    assert_eq!(grid.drivers().len(), 3);
    for program in &programs {
        assert_eq!(program.run("return await s.b_page.evaluate('1 + 1')"), 2);
        program.run("await s.b.close()");
    }
    grid.stop_and_check();
}

#[test]
fn the_clients_own_header_chooses_the_browser() {
    let grid = grid().start();
    let node = Program::node(WITH_FIREFOX, grid.endpoint());
    for (kind, product) in [("chromium", "Chrome/"), ("firefox", "Firefox/")] {
        let agent = node.run(&format!(
            "const browser = await {kind}.connect(endpoint);
             const page = await browser.newPage();
             const agent = await page.evaluate('navigator.userAgent');
             await browser.close();
             return agent;"
        ));
        assert!(agent.as_str().unwrap().contains(product), "{kind}: {agent}");
    }
    grid.stop_and_check();
}

#[test]
fn the_query_chooses_the_browser_over_the_header() {
    let grid = grid().start();
    let node = Program::node(WITH_FIREFOX, grid.endpoint());
    let agent = node.run(
        "const browser = await chromium.connect(endpoint + '/?browser=firefox');
         const page = await browser.newPage();
         const agent = await page.evaluate('navigator.userAgent');
         await browser.close();
         return agent;",
    );
    assert!(agent.as_str().unwrap().contains("Firefox/"), "{agent}");
    grid.stop_and_check();
}

/// The system's Firefox does not work with that Playwright, so the grid must not pretend.
#[test]
fn firefox_is_refused_in_words_where_it_does_not_work() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    let message = node.fail("await firefox.connect(endpoint)");
    assert!(message.contains("no firefox for Playwright 1.65"), "{message}");
    assert!(message.contains("It has firefox for Playwright"), "{message}");
    grid.stop_and_check();
}

/// WebKit comes only as Playwright's own download; the path to it is the same as Firefox's.
#[test]
fn webkit_is_refused_in_words_and_never_replaced_by_another() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    for code in
        ["await webkit.connect(endpoint)", "await chromium.connect(endpoint + '/?browser=webkit')"]
    {
        let message = node.fail(code);
        assert!(message.contains("404"), "{message}");
        assert!(message.contains("no webkit for Playwright 1.65"), "{message}");
        assert!(message.contains("it has: chromium"), "{message}");
        assert!(message.contains("flotilla browsers install"), "{message}");
    }
    assert_eq!(grid.status().workers[0].sessions_served, 0);
    grid.stop_and_check();
}

#[test]
fn an_unknown_browser_is_refused_with_the_names_that_exist() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    let message = node.fail("await chromium.connect(endpoint + '/?browser=netscape')");
    assert!(message.contains("unknown browser \"netscape\""), "{message}");
    assert!(message.contains("chromium, firefox or webkit"), "{message}");
    grid.stop_and_check();
}

#[test]
fn only_the_browsers_that_the_operator_names_are_served() {
    let grid = grid().env("BROWSER_TYPE", "chromium").start();
    let node = Program::node(WITH_FIREFOX, grid.endpoint());
    let message = node.fail("await firefox.connect(endpoint)");
    assert!(message.contains("no firefox for Playwright 1.64"), "{message}");
    let kinds: BTreeSet<_> = grid.status().pools.iter().map(|p| p.browser).collect();
    assert_eq!(kinds.len(), 1, "{kinds:?}");
    grid.stop_and_check();
}

#[test]
fn a_driver_of_another_version_starts_only_when_a_client_wants_it() {
    let grid = grid().start();
    let before = grid.drivers();
    assert_eq!(before.len(), 1, "only the default version's driver runs");
    let node = Program::node(VERSIONS[0], grid.endpoint());
    node.run(&connect_as("b", ""));
    assert_eq!(grid.drivers().len(), 2);
    node.run("await s.b.close()");
    grid.wait_used(0, SOON);
    grid.stop_and_check();
}

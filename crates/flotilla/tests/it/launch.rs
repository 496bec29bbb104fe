//! Launch options and `exposeNetwork`: what needs a browser of its own gets one, and it works.

use flotilla_testkit::pages::Pages;
use flotilla_testkit::program::Program;
use flotilla_testkit::wait::wait_until;
use serde_json::json;

use crate::{NEWEST, PID_OF_B, SOON, grid};

/// JavaScript that connects with launch options as `b`, and goes on with `then`.
fn with_options(options: &serde_json::Value, then: &str) -> String {
    format!(
        "const headers = {{ 'x-playwright-launch-options': JSON.stringify({options}) }};
         const b = s.b = await chromium.connect(endpoint, {{ headers }});
         {then}"
    )
}

#[test]
fn options_that_ask_for_nothing_special_are_served_by_the_shared_browser() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    wait_until("the shared browser", SOON, || !grid.browsers("serving").is_empty());
    let shared = grid.browsers("serving");
    for options in [
        json!({}),
        json!({"headless": true}),
        json!({"headless": true, "timeout": 30000, "args": [], "slowMo": 0}),
        // About the client's own machine: they mean nothing here.
        json!({"handleSIGINT": false, "downloadsPath": "/etc", "tracesDir": "/etc"}),
    ] {
        let pid = node.run(&with_options(&options, PID_OF_B)).as_u64().unwrap();
        assert!(shared.contains(&(pid as u32)), "{options}: {pid} of {shared:?}");
        node.run("await s.b.close()");
    }
    grid.stop_and_check();
}

#[test]
fn options_that_ask_for_something_get_a_browser_that_does_it() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    // Nobody listens there: a browser that really uses this proxy cannot open any page.
    let options = json!({"proxy": {"server": "http://127.0.0.1:9"}});
    let pid = node.run(&with_options(&options, PID_OF_B)).as_u64().unwrap();
    assert_eq!(grid.browsers("own"), [pid as u32].into());
    let message = node.fail("await (await s.b.newPage()).goto('http://example.test/')");
    assert!(message.contains("ERR_PROXY_CONNECTION_FAILED"), "{message}");
    node.run("await s.b.close()");
    grid.stop_and_check();
}

#[test]
fn arguments_are_refused_unless_the_operator_allows_them() {
    let agent = json!({"args": ["--user-agent=Submarine"]});
    let ask = with_options(
        &agent,
        "const page = await b.newPage();
         const agent = await page.evaluate('navigator.userAgent');
         await b.close();
         return agent;",
    );

    let strict = grid().start();
    let message = Program::node(NEWEST, strict.endpoint()).fail(&ask);
    assert!(message.contains("403"), "{message}");
    assert!(message.contains("args"), "{message}");
    strict.stop_and_check();

    let lenient = grid()
        .env("FLOTILLA_ALLOWED_LAUNCH_OPTIONS", "headless,args")
        .env("FLOTILLA_ALLOWED_LAUNCH_ARGS", "--user-agent=")
        .start();
    let node = Program::node(NEWEST, lenient.endpoint());
    assert_eq!(node.run(&ask), "Submarine");
    let other = json!({"args": ["--remote-debugging-port=9222"]});
    let message = node.fail(&with_options(&other, ""));
    assert!(message.contains("--remote-debugging-port"), "{message}");
    lenient.stop_and_check();
}

#[test]
fn what_reaches_the_machine_is_never_a_launch_option() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    for options in [
        json!({"executablePath": "/bin/true"}),
        json!({"env": {"LD_PRELOAD": "/tmp/x.so"}}),
        json!({"userDataDir": "/root"}),
        json!({"chromiumSandbox": true}),
    ] {
        let message = node.fail(&with_options(&options, ""));
        let name = options.as_object().unwrap().keys().next().unwrap();
        assert!(message.contains("403") && message.contains(name), "{message}");
    }
    let message = node.fail(
        "await chromium.connect(endpoint, { headers: { 'x-playwright-launch-options': '{oops' } })",
    );
    assert!(message.contains("400"), "{message}");
    grid.stop_and_check();
}

#[test]
fn a_remote_browser_opens_a_page_on_the_clients_localhost() {
    let grid = grid().start();
    let pages = Pages::new();
    let node = Program::node(NEWEST, grid.endpoint());
    let title = node.run_with(
        "s.b = await chromium.connect(endpoint, { exposeNetwork: '<loopback>' });
         const page = await s.b.newPage();
         await page.goto(args.url);
         return await page.title();",
        json!({ "url": pages.url("/") }),
    );
    assert_eq!(title, "served by the client");
    assert_eq!(grid.browsers("own").len(), 1);
    let visitors = pages.visitors();
    assert!(!visitors.is_empty());
    assert!(
        visitors.iter().all(|&pid| pid == node.pid()),
        "the page was fetched by the client {}, not on the grid's side: {visitors:?}",
        node.pid()
    );
    node.run("await s.b.close()");

    // The same without exposeNetwork is fetched by the browser: so the check above can fail.
    node.run_with(
        "s.b = await chromium.connect(endpoint);
         await (await s.b.newPage()).goto(args.url);
         await s.b.close();",
        json!({ "url": pages.url("/") }),
    );
    assert_ne!(pages.visitors().last(), Some(&node.pid()));
    grid.stop_and_check();
}

#[test]
fn expose_network_is_refused_where_the_operator_forbids_it() {
    let grid = grid().env("FLOTILLA_EXPOSE_NETWORK", "false").start();
    let node = Program::node(NEWEST, grid.endpoint());
    let message = node.fail("await chromium.connect(endpoint, { exposeNetwork: '*' })");
    assert!(message.contains("exposeNetwork is not allowed"), "{message}");
    grid.stop_and_check();
}

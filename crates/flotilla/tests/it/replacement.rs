//! Browsers are replaced at their limits, and nobody's capacity dips meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_core::status::{BrowserState, Status};
use flotilla_testkit::procs;
use flotilla_testkit::program::Program;
use flotilla_testkit::sampler::Sampler;
use flotilla_testkit::wait::{wait_for, wait_until};
use serde_json::json;

use crate::{NEWEST, SOON, connect_as, grid};

const LIFETIME: u64 = 4;

/// `args.lanes` loops beside each other, each opening session after session with a page.
const LOAD: &str = "
    let left = args.sessions, worked = 0;
    const lane = async () => {
      while (left-- > 0) {
        const browser = await chromium.connect(endpoint);
        const page = await browser.newPage();
        if (await page.evaluate('6 * 7') === 42) worked++;
        await browser.close();
      }
    };
    await Promise.all(Array.from({ length: args.lanes }, lane));
    return worked;";

/// A browser that takes sessions at this moment.
fn has_a_serving_browser(sample: &Status) -> bool {
    sample.workers[0].browsers.iter().any(|b| b.state == BrowserState::Serving && b.pid.is_some())
}

#[test]
fn no_slot_is_missing_while_browsers_are_replaced_under_load() {
    let grid = grid().env("MAX_LIFETIME_SESSIONS", LIFETIME).start();
    wait_until("the first browser", SOON, || has_a_serving_browser(&grid.status()));
    let node = Program::node(NEWEST, grid.endpoint());
    let sampler = Sampler::start(&grid, 100);
    let worked = node.run_with(LOAD, json!({"sessions": 60, "lanes": 4}));
    let samples = sampler.finish();
    assert_eq!(worked, 60);

    let mut serving = BTreeSet::new();
    for sample in &samples {
        let slots = sample.slots;
        assert_eq!((slots.total, slots.draining), (5, 0));
        assert_eq!(slots.used + slots.free, 5, "{slots:?}");
        assert!(
            has_a_serving_browser(sample),
            "no browser took sessions at some moment: {:?}",
            sample.workers[0].browsers
        );
        let browsers = &sample.workers[0].browsers;
        for browser in browsers {
            assert!(browser.served <= LIFETIME, "{browser:?} served more than it may");
            if browser.state == BrowserState::Serving {
                serving.insert(browser.pid);
            }
        }
    }
    assert!(samples.len() > 50, "sampled {} times", samples.len());
    assert!(serving.len() >= 10, "60 sessions, {LIFETIME} a browser: {serving:?}");
    let replaced = grid.metric("flotilla_browser_exits_total", &["reason=\"lifetime_sessions\""]);
    wait_until("the replaced browsers to be gone", SOON, || grid.browsers("retiring").is_empty());
    assert!(replaced >= Some(10.0), "{replaced:?}");
    grid.stop_and_check();
}

#[test]
fn a_session_outlives_the_replacement_of_its_browser() {
    let grid = grid().env("MAX_LIFETIME_SESSIONS", LIFETIME).start();
    let node = Program::node(NEWEST, grid.endpoint());
    let old = node.run(&connect_as("b", "")).as_u64().unwrap() as u32;
    assert_eq!(node.run_with(LOAD, json!({"sessions": 8, "lanes": 1})), 8);
    wait_until("its browser to be retiring", SOON, || grid.browsers("retiring").contains(&old));
    assert_eq!(node.run("return await s.b_page.evaluate('9')"), 9);
    let new = wait_for("the successor", SOON, || grid.browsers("serving").first().copied());
    assert_ne!(old, new);
    node.run("await s.b.close()");
    wait_until("the old browser to leave with its last session", SOON, || {
        procs::find(old).is_none()
    });
    grid.stop_and_check();
}

#[test]
fn a_browser_is_replaced_at_its_age_even_when_nobody_comes() {
    let grid = grid().env("FLOTILLA_MAX_BROWSER_AGE", "2s").start();
    let first = wait_for("a browser", SOON, || grid.browsers("serving").first().copied());
    let second = wait_for("its successor", Duration::from_secs(30), || {
        let now = grid.browsers("serving");
        now.iter().copied().find(|&pid| pid != first)
    });
    assert_ne!(first, second);
    wait_until("the old one to be gone", SOON, || procs::find(first).is_none());
    grid.stop_and_check();
}

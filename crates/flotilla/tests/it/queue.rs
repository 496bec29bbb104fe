//! All slots busy: who waits, in which order, and for how long.

use std::time::{Duration, Instant};

use flotilla_testkit::grid::Grid;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Socket, Vanish, Waiting};
use flotilla_testkit::sampler::Sampler;
use serde_json::json;

use crate::{NEWEST, SOON, grid};

/// A grid with one slot, which is taken.
fn busy_grid(limit: u32, timeout: &str) -> (Grid, Socket) {
    let grid = grid()
        .env("MAX_CONCURRENT_SESSIONS", 1)
        .env("FLOTILLA_QUEUE_LIMIT", limit)
        .env("QUEUE_TIMEOUT", timeout)
        .start();
    let holder = grid.open("/", &[]).expect("the slot is free");
    grid.wait_used(1, SOON);
    (grid, holder)
}

/// Connects 50 clients one behind the other, each when the one before stands in line. Then closes
/// session after session, each only when the next one in line has been let in and has worked.
/// What it returns is the order in which they were let in.
const FIFTY: &str = "
    const order = [], working = [], browsers = [];
    const until = async predicate => {
      while (!await predicate()) await new Promise(resolve => setTimeout(resolve, 5));
    };
    const status = async () => (await fetch(args.status)).json();
    const session = async index => {
      browsers[index] = await chromium.connect(endpoint);
      order.push(index);
      const page = await browsers[index].newPage();
      working[index] = await page.evaluate('6 * 7') === 42;
    };
    const sessions = [];
    for (let index = 0; index < args.clients; index++) {
      sessions.push(session(index));
      await until(async () => {
        const { slots, queue } = await status();
        return slots.used + queue.depth === index + 1;
      });
      // For these there is a slot at once: two on their way at one time may overtake each other.
      if (index < args.slots) await until(() => order.includes(index));
    }
    for (let index = 0; index < args.clients; index++) {
      await until(() => working[index]);
      await browsers[index].close();
      const next = Math.min(index + args.slots, args.clients - 1);
      await until(() => order.includes(next));
    }
    await Promise.all(sessions);
    return order;";

#[test]
fn fifty_sessions_over_five_slots_lose_none_oversell_none_and_keep_their_order() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    let sampler = Sampler::start(&grid, 100);
    let order = node
        .run_with(FIFTY, json!({"clients": 50, "slots": 5, "status": grid.http("/status.json")}));
    let samples = sampler.finish();
    assert_eq!(order, json!((0..50).collect::<Vec<_>>()));

    let most = samples.iter().map(|s| s.slots.used).max();
    assert_eq!(most, Some(5), "five at once, and never more");
    for sample in &samples {
        assert!(sample.sessions.len() <= 5, "{:?}", sample.sessions);
        let in_browsers: u32 = sample.workers[0].browsers.iter().map(|b| b.sessions).sum();
        assert!(in_browsers <= 5, "{:?}", sample.workers[0].browsers);
        assert_eq!(sample.slots.used + sample.slots.free, 5);
    }
    grid.wait_used(0, SOON);
    let ok = grid.metric("flotilla_sessions_started_total", &["result=\"ok\""]);
    assert_eq!(ok, Some(50.0));
    let closed = grid.metric("flotilla_sessions_ended_total", &["cause=\"client_close\""]);
    assert_eq!(closed, Some(50.0));
    let ended = grid.metric("flotilla_sessions_ended_total", &[]);
    assert_eq!(ended, Some(50.0), "one end for every session");
    grid.stop_and_check();
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_again() {
    let (grid, holder) = busy_grid(2, "60");
    let waiting = [1, 2].map(|depth| {
        let client = Waiting::send(grid.address(), "/", &[]);
        grid.wait_queued(depth, SOON);
        client
    });
    let refusal = grid.open("/", &[]).unwrap_err();
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert!(refusal.header("content-type").unwrap().starts_with("text/plain"));
    assert!(refusal.body.contains("the queue is full (2 waiting, limit 2)"), "{}", refusal.body);
    let message = Program::node(NEWEST, grid.endpoint()).fail("await chromium.connect(endpoint)");
    assert!(message.contains("the queue is full"), "{message}");

    for client in waiting {
        client.vanish(Vanish::Fin);
    }
    holder.close();
    grid.stop_and_check();
}

#[test]
fn a_client_that_waits_too_long_is_told_so() {
    let (grid, holder) = busy_grid(10, "1");
    let began = Instant::now();
    let refusal = grid.open("/", &[("Accept", "application/json")]).unwrap_err();
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").is_some());
    let body: serde_json::Value = serde_json::from_str(&refusal.body).unwrap();
    assert_eq!(body["error"]["code"], "queue_timeout");
    assert!(body["error"]["message"].as_str().unwrap().contains("no browser became free"));
    let counted = grid.metric("flotilla_sessions_started_total", &["result=\"no_capacity\""]);
    assert_eq!(counted, Some(1.0));
    holder.close();
    grid.stop_and_check();
}

#[test]
fn a_client_that_leaves_the_queue_loses_its_place_to_the_next() {
    let (grid, holder) = busy_grid(10, "60");
    let leaves = [Vanish::Fin, Vanish::Reset].map(|how| {
        let client = Waiting::send(grid.address(), "/", &[]);
        (client, how)
    });
    grid.wait_queued(2, SOON);
    let stays = Waiting::send(grid.address(), "/", &[]);
    grid.wait_queued(3, SOON);
    for (client, how) in leaves {
        client.vanish(how);
    }
    grid.wait_queued(1, SOON);
    holder.close();
    let session = stays.answer().expect("the slot goes to the one who stayed");
    session.close();
    let started = grid.metric("flotilla_sessions_started_total", &["result=\"ok\""]);
    assert_eq!(started, Some(2.0));
    grid.stop_and_check();
}

#[test]
fn who_waits_is_let_in_as_soon_as_a_slot_is_free() {
    let (grid, holder) = busy_grid(10, "60");
    let mut waiting = Waiting::send(grid.address(), "/", &[]);
    grid.wait_queued(1, SOON);
    assert!(!waiting.answered());
    holder.close();
    waiting.answer().expect("its turn has come").close();
    grid.stop_and_check();
}

//! A fleet comes up in whatever order its parts are started.

use std::time::{Duration, Instant};

use flotilla_testkit::fleet::{Fleet, Gateway, Worker};
use flotilla_testkit::program::Program;
use flotilla_testkit::redis::{Redis, RedisBuilder};
use serde_json::json;

use super::{fleet, measured};
use crate::NEWEST;

#[derive(Clone, Copy, Debug)]
enum Part {
    Redis,
    Gateways,
    Worker,
}

use Part::{Gateways as G, Redis as R, Worker as W};

const ORDERS: [[Part; 3]; 6] = [[R, G, W], [R, W, G], [G, R, W], [G, W, R], [W, R, G], [W, G, R]];

/// The default.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What of a fleet has been started.
struct Started {
    fleet: Fleet,
    unstarted: Option<RedisBuilder>,
    redis: Option<Redis>,
    gateways: Vec<Gateway>,
    worker: Option<Worker>,
}

impl Started {
    fn nothing() -> Self {
        let redis = Redis::builder();
        let fleet = fleet(&redis.url());
        let gateways = Vec::new();
        Self { fleet, unstarted: Some(redis), redis: None, gateways, worker: None }
    }

    fn start(&mut self, part: Part) {
        match part {
            R => self.redis = self.unstarted.take().map(RedisBuilder::start),
            G => self.gateways = (0..2).map(|_| self.fleet.gateway().start()).collect(),
            W => self.worker = Some(self.fleet.worker().start()),
        }
    }
}

const OPEN_A_PAGE: &str = "
    const browser = await chromium.connect(args.endpoint);
    const page = await browser.newPage();
    await page.goto('data:text/html,<title>a page</title>');
    const title = await page.title();
    await browser.close();
    return title;";

#[test]
fn a_fleet_serves_in_whatever_order_its_parts_are_started() {
    let node = Program::node(NEWEST, "");
    for order in ORDERS {
        let mut parts = Started::nothing();
        order.into_iter().for_each(|part| parts.start(part));
        let began = Instant::now();
        parts.gateways.iter().for_each(|gateway| gateway.wait_workers(1, HEARTBEAT));
        measured(format_args!("{order:?}: all capacity after {:?}", began.elapsed()));
        for gateway in parts.gateways {
            let title = node.run_with(OPEN_A_PAGE, json!({"endpoint": gateway.endpoint()}));
            assert_eq!(title, "a page");
            gateway.stop_and_check();
        }
        parts.worker.unwrap().stop_and_check();
    }
}

//! Clients that never stop while something is rolled, and what they noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_core::status::WorkerState;
use flotilla_testkit::program::{Program, Running};
use flotilla_testkit::raw::Socket;
use flotilla_testkit::role::status_of;
use serde_json::{Value, json};

use crate::NEWEST;

/// JavaScript: each of several clients connects, opens a page, works, holds it for a while, works
/// again and closes; over and over until `s.over`. What it did not bring about itself is told.
const WORK: &str = "
    const told = { sessions: 0, noticed: [] };
    const sleep = ms => new Promise(done => setTimeout(done, ms));
    async function once(hold) {
        const browser = await chromium.connect(endpoint, { timeout: 30000 });
        let ours = false;
        browser.on('disconnected', () => ours || told.noticed.push('disconnected'));
        const page = await browser.newPage();
        await page.goto('data:text/html,<title>work</title>');
        if (await page.evaluate('6 * 7') !== 42) throw new Error('wrong');
        await sleep(hold);
        if (await page.title() !== 'work') throw new Error('another page');
        ours = true;
        await browser.close();
        told.sessions++;
    }
    async function again(number) {
        for (let n = 0; !s.over; n++)
            await once(args.hold * ((number + n) % 3) / 2).catch(e => told.noticed.push(String(e)));
    }
    await Promise.all(Array.from({ length: args.clients }, (_, number) => again(number)));
    return told;";

/// Clients at work.
pub(super) struct Load {
    node: Program,
    work: Running,
    over: Arc<AtomicBool>,
    raw: Vec<JoinHandle<Vec<String>>>,
    opened: Arc<AtomicU64>,
}

/// What clients noticed of all that went on.
#[derive(Debug)]
pub(super) struct Noticed {
    pub(super) sessions: u64,
    pub(super) opened: u64,
    pub(super) noticed: Vec<String>,
}

impl Load {
    /// So many Playwright clients that hold their pages for at most `hold`, and so many raw ones.
    pub(super) fn start(endpoint: &str, clients: u32, raw: u32, hold: Duration) -> Self {
        let node = Program::node(NEWEST, endpoint);
        let args = json!({ "clients": clients, "hold": hold.as_millis() as u64 });
        let work = node.start(WORK, args);
        let (over, opened) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let address = endpoint.trim_start_matches("ws://").to_owned();
        let raw = (0..raw).map(|_| {
            let (address, over, opened) = (address.clone(), over.clone(), opened.clone());
            std::thread::spawn(move || come_and_go(&address, &over, &opened))
        });
        Self { node, work, raw: raw.collect(), over, opened }
    }

    /// Lets everybody finish: what they noticed.
    pub(super) fn end(self) -> Noticed {
        self.over.store(true, Ordering::Relaxed);
        self.node.run("s.over = true");
        let told = self.work.outcome().expect("the clients' own code does not fail");
        let words = |told: &Value| told.as_str().unwrap_or_default().to_owned();
        let mut noticed: Vec<_> = told["noticed"].as_array().unwrap().iter().map(words).collect();
        noticed.extend(self.raw.into_iter().flat_map(|thread| thread.join().unwrap()));
        let (sessions, opened) =
            (told["sessions"].as_u64().unwrap(), self.opened.load(Ordering::Relaxed));
        Noticed { sessions, opened, noticed }
    }
}

/// Opens sessions on the WebSocket level and closes them as fast as they come.
fn come_and_go(address: &str, over: &AtomicBool, opened: &AtomicU64) -> Vec<String> {
    let mut noticed = Vec::new();
    while !over.load(Ordering::Relaxed) {
        match Socket::open(address, "/", &[]) {
            Ok(socket) => {
                opened.fetch_add(1, Ordering::Relaxed);
                socket.close();
            }
            Err(refused) => noticed.push(format!("{}: {}", refused.status, refused.body)),
        }
        // What it is compared with is the fastest client that a grid of this size has.
        std::thread::sleep(Duration::from_millis(20));
    }
    noticed
}

/// Looks fifty times a second how many slots are to be had or in use, on workers that take
/// sessions.
pub(super) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Lowest>,
}

/// The fewest that were seen, in so many looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowest {
    pub(super) slots: u32,
    pub(super) workers: usize,
    pub(super) most: usize,
    pub(super) looks: u64,
}

impl Watch {
    pub(super) fn start(gateway: &str) -> Self {
        let over = Arc::<AtomicBool>::default();
        let (address, until) = (gateway.to_owned(), over.clone());
        let thread = std::thread::spawn(move || {
            let mut lowest = Lowest { slots: u32::MAX, workers: usize::MAX, most: 0, looks: 0 };
            while !until.load(Ordering::Relaxed) {
                lowest.look(&address);
                std::thread::sleep(Duration::from_millis(18));
            }
            lowest
        });
        Self { over, thread }
    }

    pub(super) fn end(self) -> Lowest {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Lowest {
    fn look(&mut self, gateway: &str) {
        let status = status_of(gateway).expect("the gateway answers");
        let takes = |state| matches!(state, WorkerState::Available | WorkerState::Busy);
        let serving = status.workers.iter().filter(|worker| takes(worker.state));
        self.slots = self.slots.min(serving.clone().map(|worker| worker.slots).sum());
        self.workers = self.workers.min(serving.count());
        self.most = self.most.max(status.workers.len());
        self.looks += 1;
    }
}

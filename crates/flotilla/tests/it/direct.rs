//! Clients that a gateway sends to their workers, and that are then none of its business.

use flotilla_testkit::fleet::{Fleet, Gateway, Worker};
use flotilla_testkit::http::Response;
use flotilla_testkit::pages::Pages;
use flotilla_testkit::procs;
use flotilla_testkit::program::{Program, Running};
use flotilla_testkit::raw::Socket;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_equal, wait_until};
use serde_json::{Value, json};

use crate::{NEWEST, PID_OF_B, SOON, VERSIONS, connect_as, flotilla, grid, words};

const DIRECT: &str = "/?route=direct";
/// Where a worker says that clients reach it: at its own port, whichever that is.
const PUBLIC: (&str, &str) = ("FLOTILLA_PUBLIC_ENDPOINT", "ws://127.0.0.1:{port}");

/// A gateway and its workers, on a Redis of their own.
struct Rig {
    gateway: Gateway,
    workers: Vec<Worker>,
    _redis: Redis,
}

impl Rig {
    /// With so many workers that clients reach, and these settings for all.
    fn new(workers: usize, env: &[(&str, &str)]) -> Self {
        Self::with(workers, &[&[PUBLIC], env].concat())
    }

    fn with(workers: usize, env: &[(&str, &str)]) -> Self {
        let redis = Redis::start();
        let fleet = Fleet::new(env!("CARGO_BIN_EXE_flotilla")).redis(&redis.url());
        let fleet = fleet.env("LOG_LEVEL", "debug");
        let fleet = env.iter().fold(fleet, |fleet, (name, value)| fleet.env(name, value));
        let gateway = fleet.gateway().start();
        let workers: Vec<_> = (0..workers).map(|_| fleet.worker().start()).collect();
        gateway.wait_workers(workers.len(), SOON);
        Self { gateway, workers, _redis: redis }
    }

    fn node(&self) -> Program {
        Program::node(NEWEST, self.gateway.endpoint())
    }

    fn used(&self) -> u32 {
        self.workers.iter().map(|worker| worker.status().slots.used).sum()
    }

    fn wait_used(&self, used: u32) {
        wait_equal("slots in use", SOON, &used, || self.used());
    }

    /// Sessions that its gateway relays, by its own account.
    fn relayed(&self) -> usize {
        self.gateway.status().sessions.len()
    }

    /// Handshakes that its gateway answered with this status.
    fn answered(&self, status: u16) -> f64 {
        let (route, status) = ("route=\"connect\"", format!("status=\"{status}\""));
        self.gateway.metric("http_requests_total", &[route, &status]).unwrap_or_default()
    }

    /// Sessions whose end the workers have counted, by cause.
    fn ended(&self, cause: &str) -> f64 {
        let label = format!("cause=\"{cause}\"");
        let ended = |worker: &Worker| worker.metric("flotilla_sessions_ended_total", &[&label]);
        self.workers.iter().filter_map(ended).sum()
    }

    fn refused_tickets(&self, reason: &str) -> f64 {
        let label = format!("reason=\"{reason}\"");
        let refused = |worker: &Worker| worker.metric("flotilla_tickets_refused_total", &[&label]);
        self.workers.iter().filter_map(refused).sum()
    }

    /// What a client is told that asks to be sent on: the worker's address, and the path.
    fn sent(&self) -> (String, String) {
        let answer = self.gateway.open(DIRECT, &[]).expect_err("it is sent on");
        assert_eq!(answer.status, 307, "{}", answer.body);
        let location = answer.header("location").unwrap();
        let rest = location.strip_prefix("ws://").unwrap();
        let (address, path) = rest.split_once('/').unwrap();
        (address.to_owned(), format!("/{path}"))
    }

    /// Ends a test: nothing in use, nothing left, and no ticket in any log.
    fn stop_and_check(self) {
        for role in self.workers.iter().chain([&self.gateway]) {
            let log = role.log();
            assert!(log.contains("session"), "the log tells of sessions: {log}");
            for path in ["/session/", "/reserve/"] {
                assert!(!log.contains(path), "a ticket is in the log: {log}");
            }
        }
        self.workers.into_iter().for_each(Worker::stop_and_check);
        self.gateway.stop_and_check();
    }
}

fn forbidden(address: &str, path: &str) -> Response {
    let answer = Socket::open(address, path, &[]).expect_err("it is refused");
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("connect to the grid again"), "{}", answer.body);
    answer
}

/// Opens a page and returns what it evaluates to, over `args.endpoint`.
const NODE_PAGE: &str = "
    const b = await chromium.connect(args.endpoint);
    const page = await b.newPage();
    await page.goto('data:text/html,<title>direct</title>');
    const title = await page.title();
    await b.close();
    return title;";
const PYTHON_PAGE: &str = "
    b = p.chromium.connect(args['endpoint'])
    page = b.new_page()
    page.goto('data:text/html,<title>direct</title>')
    title = page.title()
    b.close()
    return title
    ";

#[test]
fn clients_of_every_version_and_language_go_to_their_workers_by_themselves() {
    let rig = Rig::new(2, &[]);
    let mut clients: Vec<_> =
        VERSIONS.map(|version| (Program::node(version, ""), NODE_PAGE)).into_iter().collect();
    clients.extend(["1.62.0", "1.65.2"].map(|v| (Program::python(v, ""), PYTHON_PAGE)));
    let mut sent = 0.0;
    for (client, page) in clients {
        for endpoint in [rig.gateway.ws(DIRECT), rig.gateway.http(DIRECT)] {
            assert_eq!(client.run_with(page, json!({ "endpoint": endpoint })), "direct");
            sent += 1.0;
            assert_eq!(rig.answered(307), sent, "{endpoint}");
        }
    }
    assert_eq!(rig.answered(101), 0.0, "none was relayed");
    rig.wait_used(0);
    wait_equal("ends", SOON, &sent, || rig.ended("client_close"));
    rig.stop_and_check();
}

#[test]
fn a_direct_session_is_its_workers_to_show_and_its_own_log_names_it() {
    let rig = Rig::new(1, &[]);
    let session = {
        let (address, path) = rig.sent();
        assert_eq!(address, rig.workers[0].address());
        Socket::open(&address, &path, &[]).expect("a session")
    };
    let id = rig.workers[0].only_session().id;
    let told = session.head().header("x-playwright-debug-log").unwrap();
    assert!(told.contains(&id), "{told:?} names {id}");
    assert_eq!(rig.relayed(), 0);
    let started = rig.gateway.metric("flotilla_sessions_started_total", &["result=\"ok\""]);
    assert_eq!(started, Some(1.0), "the gateway has let it in");
    session.close();
    rig.wait_used(0);
    wait_equal("ends", SOON, &1.0, || rig.ended("client_close"));
    rig.stop_and_check();
}

#[test]
fn an_address_is_good_for_one_connection_of_its_own_client() {
    let rig = Rig::new(2, &[("FLOTILLA_RESERVATION_TIMEOUT", "1s")]);
    let (address, path) = rig.sent();
    let session = Socket::open(&address, &path, &[]).expect("a session");
    assert!(forbidden(&address, &path).body.contains("has been used"));
    assert_eq!(rig.refused_tickets("ticket_replayed"), 1.0);

    let (address, path) = rig.sent();
    let other = rig.workers.iter().map(Worker::address).find(|other| *other != address).unwrap();
    assert!(forbidden(other, &path).body.contains("another worker"));
    assert_eq!(rig.refused_tickets("ticket_foreign"), 1.0);

    // One letter of what it says, and one of the signature.
    for at in [path.find("/session/").unwrap() + 20, path.len() - 5] {
        let other = if path.as_bytes()[at] == b'A' { "B" } else { "A" };
        let forged = format!("{}{other}{}", &path[..at], &path[at + 1..]);
        assert!(forbidden(&address, &forged).body.contains("not signed"));
    }
    assert_eq!(rig.refused_tickets("ticket_forged"), 2.0);

    // Nobody comes: the slot is free again, and the address is of no more use.
    assert_eq!(rig.used(), 2);
    rig.wait_used(1);
    assert!(forbidden(&address, &path).body.contains("expired"));
    assert_eq!(rig.refused_tickets("ticket_expired"), 1.0);
    wait_equal("ends", SOON, &1.0, || rig.ended("client_lost"));
    session.close();
    rig.wait_used(0);
    rig.stop_and_check();
}

#[test]
fn who_cannot_be_sent_on_is_relayed() {
    // A worker that clients do not reach.
    let rig = Rig::with(1, &[]);
    let endpoint = rig.gateway.ws(DIRECT);
    assert_eq!(rig.node().run_with(NODE_PAGE, json!({ "endpoint": endpoint })), "direct");
    assert_eq!((rig.answered(101), rig.answered(307)), (1.0, 0.0));
    let refusal = rig.gateway.open("/?route=scenic", &[]).unwrap_err();
    assert_eq!(refusal.status, 400);
    assert!(
        refusal.body.contains("route=direct or route=relay")
            || refusal.body.contains("route=relay")
    );
    rig.wait_used(0);
    rig.stop_and_check();

    // A grid in one process has no worker to be sent to.
    let grid = grid().start();
    let endpoint = grid.ws(DIRECT);
    let node = Program::node(NEWEST, grid.endpoint());
    assert_eq!(node.run_with(NODE_PAGE, json!({ "endpoint": endpoint })), "direct");
    grid.stop_and_check();
}

#[test]
fn where_clients_are_sent_on_by_default_one_may_choose_the_relay() {
    let rig = Rig::new(1, &[("FLOTILLA_REDIRECT", "true")]);
    let node = rig.node();
    node.run(&connect_as("sent", ""));
    assert_eq!((rig.answered(307), rig.relayed()), (1.0, 0));
    node.run(&connect_as("kept", "/?route=relay"));
    assert_eq!((rig.answered(101), rig.relayed()), (1.0, 1));
    // Nobody knows whether this one would follow.
    let stranger = [("User-Agent", "my-own-client/1.0")];
    let session = rig.gateway.open("/", &stranger).expect("it is relayed");
    assert_eq!(rig.relayed(), 2);
    session.close();

    let health = flotilla(&["health", "--endpoint", rig.gateway.endpoint()])
        .args(["--browser", "chromium"])
        .output()
        .unwrap();
    assert_eq!(health.status.code(), Some(0), "{}", words(&health));
    assert_eq!(rig.answered(307), 4.0, "health goes where clients go, with each version");
    node.run("await s.sent.close(); await s.kept.close();");
    rig.wait_used(0);
    rig.stop_and_check();
}

#[test]
fn a_direct_session_outlives_the_gateway_that_brought_it_about() {
    let mut rig = Rig::new(1, &[]);
    let node = rig.node();
    node.run(&connect_as("b", DIRECT));
    node.run(&connect_as("relayed", ""));
    rig.gateway.kill9();
    wait_until("the relayed session's end", SOON, || rig.used() == 1);
    assert_eq!(node.run("return await s.b_page.evaluate('6 * 7')"), 42);
    node.run("await (await s.b.newPage()).goto('data:text/html,still here')");
    assert!(node.run("return s.relayed.isConnected()") == Value::Bool(false));
    node.run("await s.b.close()");
    rig.wait_used(0);
    wait_equal("ends", SOON, &1.0, || rig.ended("client_close"));
    rig.workers.remove(0).stop_and_check();
}

/// A call that ends only with its session.
fn pending_call(node: &Program, name: &str) -> Running {
    let code = format!("await s['{name}_page'].evaluate(() => new Promise(() => {{}}))");
    node.start(&code, json!({}))
}

/// The grid's own words in a client's exception.
fn told(call: Running) -> String {
    let message = call.outcome().expect_err("its session was ended");
    let from = message.find("Flotilla: ").unwrap_or_else(|| panic!("no words: {message}"));
    message[from..].lines().next().unwrap().to_owned()
}

#[test]
fn a_direct_client_reads_why_its_browser_died_in_the_words_of_a_relayed_one() {
    let rig = Rig::new(1, &[]);
    let node = rig.node();
    let shared = node.run(&connect_as("direct", DIRECT));
    assert_eq!(node.run(&connect_as("relayed", "")), shared, "both share it");
    let calls = ["direct", "relayed"].map(|name| pending_call(&node, name));
    procs::kill(shared.as_u64().unwrap() as u32);
    let [direct, relayed] = calls.map(told);
    assert_eq!(direct, relayed);
    assert!(direct.contains("died") && direct.contains("Connect again"), "{direct}");
    rig.wait_used(0);
    wait_equal("ends", SOON, &1.0, || rig.ended("worker_crash"));
    rig.stop_and_check();
}

#[test]
fn a_direct_session_lasts_as_long_as_its_gateway_allows() {
    let rig = Rig::new(1, &[("FLOTILLA_SESSION_MAX_DURATION", "2s")]);
    let node = rig.node();
    node.run(&connect_as("b", DIRECT));
    let words = told(pending_call(&node, "b"));
    assert!(words.contains("the longest time allowed (2 s)"), "{words}");
    rig.wait_used(0);
    wait_equal("ends", SOON, &1.0, || rig.ended("deadline"));
    rig.stop_and_check();
}

#[test]
fn a_worker_that_stops_waits_for_its_direct_sessions_and_then_tells_them() {
    let mut rig = Rig::new(1, &[("DRAIN_TIMEOUT", "2")]);
    let node = rig.node();
    node.run(&connect_as("direct", DIRECT));
    node.run(&connect_as("relayed", ""));
    let calls = ["direct", "relayed"].map(|name| pending_call(&node, name));
    let mut worker = rig.workers.remove(0);
    let all = worker.processes();
    worker.terminate();
    let [direct, relayed] = calls.map(told);
    assert_eq!(direct, relayed);
    assert!(direct.contains("drain time is over"), "{direct}");
    assert!(worker.wait_exit(SOON).success());
    worker.check_nothing_left(&all);
    rig.gateway.stop_and_check();
}

#[test]
fn a_direct_client_has_its_own_launch_options_and_its_own_network() {
    let rig = Rig::new(1, &[]);
    let pages = Pages::new();
    let node = rig.node();
    let title = node.run_with(
        "const b = await chromium.connect(endpoint + '/?route=direct', { exposeNetwork: '<loopback>' });
         const page = await b.newPage();
         await page.goto(args.url);
         const title = await page.title();
         await b.close();
         return title;",
        json!({ "url": pages.url("/") }),
    );
    assert_eq!((title, rig.answered(307)), (json!("served by the client"), 1.0));
    let visitors = pages.visitors();
    assert!(!visitors.is_empty() && visitors.iter().all(|&pid| pid == node.pid()), "{visitors:?}");

    let of_its_own = format!(
        "const options = {{ 'x-playwright-launch-options': JSON.stringify({{ slowMo: 1 }}) }};
         const b = s.b = await chromium.connect(endpoint + '/?route=direct', {{ headers: options }});
         {PID_OF_B}"
    );
    let own = node.run(&of_its_own).as_u64().unwrap() as u32;
    assert!(rig.workers[0].browsers("own").contains(&own));
    node.run("await s.b.close()");
    rig.wait_used(0);
    rig.stop_and_check();
}

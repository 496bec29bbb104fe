//! What an operator does with a fleet: real gateways, workers and Redis.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flotilla_core::keyring::Keyring;
use flotilla_core::order::{Deed, Order};
use flotilla_core::status::{Status, WorkerState};
use flotilla_core::{Instance, WorkerId, wire};
use flotilla_testkit::fleet::{Fleet, Gateway, Worker};
use flotilla_testkit::grid::status_of;
use flotilla_testkit::http;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::Socket;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::wait::{wait_equal, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{NEWEST, SOON, connect_as, flotilla, words};

/// A fleet with workers that are called `w-1` and so on.
struct Bed {
    fleet: Fleet,
    gateway: Gateway,
    workers: Vec<Worker>,
    redis: Redis,
}

impl Bed {
    fn start(workers: usize) -> Self {
        let redis = Redis::start();
        let fleet = Fleet::new(env!("CARGO_BIN_EXE_flotilla")).redis(&redis.url());
        let fleet = fleet.env("HEARTBEAT_INTERVAL", "1");
        let gateway = fleet.gateway().start();
        let workers: Vec<_> = (1..=workers)
            .map(|n| {
                let worker = fleet.worker().env("FLOTILLA_WORKER_ID", format!("w-{n}"));
                worker.env("FLOTILLA_PUBLIC_ENDPOINT", "ws://{host}:{port}").start()
            })
            .collect();
        gateway.wait_workers(workers.len(), SOON);
        Self { fleet, gateway, workers, redis }
    }

    fn ask(&self, args: &[&str]) -> Output {
        self.ask_at(&self.gateway, args)
    }

    fn ask_at(&self, gateway: &Gateway, args: &[&str]) -> Output {
        flotilla(args)
            .env("FLOTILLA_ENDPOINT", gateway.http(""))
            .env("FLOTILLA_FLEET_SECRET", self.fleet.secret())
            .output()
            .unwrap()
    }

    fn done(&self, args: &[&str]) -> Output {
        let output = self.ask(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", words(&output));
        output
    }

    /// The same at a terminal, where a person answers what is asked.
    fn answering(&self, answer: &str, args: &[&str]) -> Output {
        let line: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
        let line = format!("'{}' {}", env!("CARGO_BIN_EXE_flotilla"), line.join(" "));
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("FLOTILLA_ENDPOINT", self.gateway.http(""))
            .env("FLOTILLA_FLEET_SECRET", self.fleet.secret())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("script (of util-linux) brings a terminal");
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{answer}").unwrap();
        child.wait_with_output().unwrap()
    }

    /// What the worker says of itself.
    fn of(&self, worker: usize) -> Status {
        status_of(self.workers[worker].address()).expect("the worker tells its status")
    }

    fn served(&self, worker: usize) -> u64 {
        self.of(worker).workers[0].sessions_served
    }

    /// Opens a session that the worker of that name gets: the others are drained meanwhile.
    fn open_on(&self, worker: &str) -> Socket {
        let others: Vec<_> =
            self.workers.iter().map(|w| w.id()).filter(|id| *id != worker).collect();
        self.done(&[&["drain"], &others[..]].concat());
        let session = self.gateway.open("/", &[]).unwrap();
        self.done(&[&["undrain"], &others[..]].concat());
        session
    }

    fn stop(self) {
        let Self { gateway, workers, redis, fleet } = self;
        gateway.stop_and_check();
        workers.into_iter().for_each(Worker::stop_and_check);
        drop((redis, fleet));
    }
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(output)))
}

fn close_all(sessions: impl IntoIterator<Item = Socket>) {
    sessions.into_iter().for_each(Socket::close);
}

#[test]
fn a_drained_worker_keeps_its_session_and_new_ones_go_elsewhere() {
    let bed = Bed::start(2);
    let second = bed.fleet.gateway().start();
    second.wait_workers(2, SOON);
    let node = Program::node(NEWEST, bed.gateway.endpoint());
    node.run(&connect_as("b", ""));
    let session = bed.gateway.only_session();
    let (drained, other) = if session.worker == "w-1" { (0, 1) } else { (1, 0) };

    bed.done(&["drain", &session.worker]);
    let at_the_answer = bed.served(drained);
    let held: Vec<_> = [&bed.gateway, &second, &bed.gateway, &second]
        .iter()
        .map(|gateway| gateway.open("/", &[]).unwrap())
        .collect();
    assert_eq!(bed.served(drained), at_the_answer, "whichever gateway they came through");
    assert_eq!(bed.of(other).slots.used, 4);
    assert_eq!(node.run("return await s.b_page.evaluate('5')"), 5, "who is there stays");
    let table = words(&bed.ask(&["workers"]));
    assert!(table.contains("draining") && table.contains("available"), "{table}");

    bed.done(&["undrain", &session.worker]);
    let back = bed.gateway.open("/", &[]).unwrap();
    assert_eq!(bed.served(drained), at_the_answer + 1, "it has the most free slots");
    close_all(held.into_iter().chain([back]));
    node.run("await s.b.close()");
    second.stop_and_check();
    bed.stop();
}

#[test]
fn a_session_is_ended_in_under_a_second_by_any_gateway() {
    let bed = Bed::start(2);
    let other = bed.fleet.gateway().start();
    other.wait_workers(2, SOON);
    let node = Program::node(NEWEST, bed.gateway.endpoint());
    node.run(&connect_as("b", ""));
    let neighbour = bed.gateway.open("/", &[]).unwrap();
    let listed = json_of(&bed.ask_at(&other, &["sessions", "--json"]));
    let all = listed["sessions"].as_array().unwrap();
    assert_eq!(all.len(), 2, "every session, whichever gateway relays it: {listed}");
    assert_eq!(other.status().sessions.len(), 0, "the other gateway relays none");
    let session = all[0]["id"].as_str().unwrap();
    assert_eq!(bed.gateway.status().sessions[0].id, session, "the oldest first");

    let call = node.start("await s.b_page.evaluate(() => new Promise(() => {}))", json!({}));
    let began = Instant::now();
    let killed = bed.ask_at(&other, &["sessions", "kill", session, "--reason", "it hangs"]);
    let message = call.outcome().expect_err("the session was ended");
    let took = began.elapsed();
    assert_eq!(killed.status.code(), Some(0), "{}", words(&killed));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(message.contains("Flotilla: an operator ended this session: it hangs"), "{message}");
    let ended = || bed.gateway.metric("flotilla_sessions_ended_total", &[r#"cause="operator""#]);
    wait_until("the gateway that relayed it to count it", SOON, || ended() == Some(1.0));
    let nobody = bed.ask_at(&other, &["sessions", "kill", session, "--reason", "again"]);
    assert_eq!(nobody.status.code(), Some(1), "{}", words(&nobody));
    neighbour.close();
    other.stop_and_check();
    bed.stop();
}

#[test]
fn a_session_that_no_gateway_relays_is_listed_and_ended_as_any_other() {
    let bed = Bed::start(1);
    let node = Program::node(NEWEST, bed.gateway.endpoint());
    node.run(&connect_as("b", "/?route=direct"));
    assert_eq!(bed.gateway.status().sessions.len(), 0, "it goes past the gateway");
    let listed = json_of(&bed.done(&["sessions", "--json"]));
    let session = listed["sessions"][0]["id"].as_str().unwrap();
    let call = node.start("await s.b_page.evaluate(() => new Promise(() => {}))", json!({}));
    bed.done(&["sessions", "kill", session, "--reason", "it hangs"]);
    let message = call.outcome().expect_err("the session was ended");
    assert!(message.contains("Flotilla: an operator ended this session: it hangs"), "{message}");
    bed.workers[0].wait_used(0, SOON);
    bed.stop();
}

#[test]
fn scaling_down_takes_the_workers_with_the_fewest_and_youngest_sessions() {
    let mut bed = Bed::start(3);
    // Two on w-1; one on w-2, and a younger one on w-3.
    let held = vec![bed.open_on("w-1"), bed.open_on("w-2"), bed.open_on("w-1")];
    let mut youngest = bed.open_on("w-3");
    let plan = |args: &[&str]| {
        let planned = json_of(&bed.done(&[&["scale-down", "--dry-run", "--json"], args].concat()));
        let victims = planned["victims"].as_array().unwrap().clone();
        victims.iter().map(|v| v["worker"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(plan(&["--to", "0"]), ["w-3", "w-2", "w-1"]);
    assert_eq!(plan(&["--by", "1"]), ["w-3"]);
    assert!(plan(&["--to", "3"]).is_empty());
    assert_eq!(plan(&["--to", "2", "--browser", "chromium"]), ["w-3"]);

    bed.done(&["scale-down", "--to", "2"]);
    let served = bed.served(2);
    let elsewhere: Vec<_> = (0..3).map(|_| bed.gateway.open("/", &[]).unwrap()).collect();
    assert_eq!(bed.served(2), served, "nothing new goes there");
    let undrained = bed.ask(&["undrain", "w-3"]);
    assert_eq!(undrained.status.code(), Some(1), "it cannot be called back: {}", words(&undrained));
    bed.done(&["scale-down", "--to", "2"]);
    assert_eq!(bed.gateway.status().available_workers(), 2, "a second try takes no more");
    youngest.send(0x89, b"its session goes on").unwrap();
    let told = || bed.workers[2].log().contains("an operator gives an order");
    wait_until("a line in its log", SOON, told);

    let mut leaver = bed.workers.pop().unwrap();
    let processes = leaver.processes();
    youngest.close();
    assert!(leaver.wait_exit(SOON).success(), "it ends after its last session: {}", leaver.log());
    leaver.check_nothing_left(&processes);
    wait_equal("workers that are known", SOON, &2, || bed.gateway.status().workers.len());
    close_all(held.into_iter().chain(elsewhere));
    bed.stop();
}

#[test]
fn sessions_are_ended_at_once_only_after_a_person_has_seen_them_and_said_yes() {
    let mut bed = Bed::start(2);
    let mut held = vec![bed.open_on("w-1"), bed.open_on("w-1")];
    let mut going = bed.open_on("w-2");
    let args = ["scale-down", "--by", "1", "--now", "--reason", "cut", "--wait"];
    let unasked = bed.ask(&args);
    assert_eq!(unasked.status.code(), Some(2), "nobody is there: {}", words(&unasked));
    let no = bed.answering("n", &args);
    assert_eq!(no.status.code(), Some(1), "{}", words(&no));
    assert_eq!(bed.gateway.status().available_workers(), 2, "nothing was changed");

    let session = json_of(&bed.done(&["sessions", "--worker", "w-2", "--json"]));
    let session = session["sessions"][0]["id"].as_str().unwrap();
    let yes = bed.answering("y", &args);
    assert_eq!(yes.status.code(), Some(0), "{}", words(&yes));
    assert!(words(&yes).contains(session) && words(&yes).contains("End 1 session?"));
    let (code, reason) = going.wait_close(SOON);
    assert_eq!((code, reason.as_str()), (4000, "Flotilla: an operator ended this session: cut"));
    assert!(bed.workers.pop().unwrap().wait_exit(SOON).success());
    for session in &mut held {
        session.send(0x89, b"the others go on").unwrap();
    }
    close_all(held);
    bed.stop();
}

#[test]
fn what_nothing_vouches_for_does_nothing_to_a_fleet() {
    let bed = Bed::start(1);
    let path = "/v1/workers/w-1/drain";
    for headers in [&[][..], &[("x-flotilla-operator", "1")], &[("Authorization", "Bearer x.y.z")]]
    {
        let answer = http::send(bed.gateway.address(), "POST", path, headers, "").unwrap();
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    let stranger = flotilla(&["drain", "--all"])
        .env("FLOTILLA_ENDPOINT", bed.gateway.http(""))
        .env("FLOTILLA_FLEET_SECRET", "some-other-secret-of-theirs")
        .output()
        .unwrap();
    assert_eq!(stranger.status.code(), Some(2), "{}", words(&stranger));
    let refused = bed.gateway.metric("flotilla_auth_failures_total", &[]);
    assert_eq!(refused, Some(4.0));

    let order = |secret: &str, instance: &str| {
        let order = Order {
            worker: WorkerId("w-1".to_owned()),
            instance: Instance(instance.to_owned()),
            deed: Deed::Drain,
            expires: 30_000,
            nonce: 7,
        };
        let sealed = order.seal(&Keyring::parse(secret).unwrap());
        let path = format!("{}{sealed}", wire::ORDER_PATH);
        http::send(bed.workers[0].address(), "POST", &path, &[], "").unwrap()
    };
    let forged = order("some-other-secret-of-theirs", "1");
    assert_eq!(forged.header(wire::REFUSAL_HEADER), Some("order_forged"), "{}", forged.body);
    let foreign = order(bed.fleet.secret(), "another-life");
    assert_eq!(foreign.header(wire::REFUSAL_HEADER), Some("order_foreign"), "{}", foreign.body);
    let refused = bed.workers[0].metric("flotilla_orders_refused_total", &[]);
    assert_eq!(refused, Some(2.0));
    assert_eq!(bed.of(0).workers[0].state, WorkerState::Available);
    let refused = || bed.workers[0].log().contains("an order was refused");
    wait_until("a line in its log", SOON, refused);
    let secret = bed.fleet.secret().to_owned();
    for log in [bed.gateway.log(), bed.workers[0].log()] {
        assert!(!log.contains(&secret), "{log}");
    }
    bed.stop();
}

#[test]
fn a_worker_that_does_not_answer_is_named_and_never_just_missing() {
    let bed = Bed::start(2);
    let on_both = vec![bed.open_on("w-1"), bed.open_on("w-2")];
    bed.workers[1].signal(Signal::STOP);
    let list = bed.ask(&["sessions", "--json"]);
    let drained = bed.ask(&["drain", "--all"]);
    let examined = bed.ask(&["doctor", "worker", "w-2", "--json"]);
    bed.workers[1].signal(Signal::CONT);

    assert_eq!(list.status.code(), Some(1), "{}", words(&list));
    let list = json_of(&list);
    assert_eq!(list["unanswered"][0]["worker"], "w-2", "{list}");
    let of: Vec<_> = list["sessions"].as_array().unwrap().iter().map(|s| &s["worker"]).collect();
    assert!(of.contains(&&json!("w-2")), "the gateway relays that one, and knows it: {list}");
    assert_eq!(drained.status.code(), Some(1), "{}", words(&drained));
    assert!(words(&drained).contains("worker w-2 did not say that it will drain"));
    assert_eq!(bed.of(0).workers[0].state, WorkerState::Draining, "the other one has");

    assert_eq!(examined.status.code(), Some(1), "{}", words(&examined));
    assert_eq!(json_of(&examined)["first_failing"]["name"], "route", "{}", words(&examined));
    let unknown = bed.ask(&["doctor", "worker", "w-9"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", words(&unknown));
    assert!(words(&unknown).contains("it knows w-1, w-2"), "{}", words(&unknown));
    bed.done(&["undrain", "--all"]);
    let well = bed.done(&["doctor", "worker", "w-1"]);
    assert!(words(&well).contains("Sessions can go to worker w-1."), "{}", words(&well));
    close_all(on_both);
    bed.stop();
}

#[test]
fn nobody_is_admitted_after_a_drain_was_acknowledged_however_many_are_coming() {
    let bed = Bed::start(2);
    let (stop, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let enough = Enough(&stop);
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    if let Ok(session) = bed.gateway.open("/", &[]) {
                        opened.fetch_add(1, Ordering::SeqCst);
                        session.close();
                    }
                }
            });
        }
        for round in 0..5 {
            let before = bed.served(0);
            wait_until("clients on the worker", SOON, || bed.served(0) > before + 2);
            bed.done(&["drain", "w-1"]);
            let at_the_answer = bed.served(0);
            let others = opened.load(Ordering::SeqCst);
            wait_until("more clients elsewhere", SOON, || {
                opened.load(Ordering::SeqCst) > others + 10
            });
            assert_eq!(bed.served(0), at_the_answer, "round {round}");
            bed.done(&["undrain", "w-1"]);
        }
        drop(enough);
    });
    bed.stop();
}

/// Lets threads end, also when their test has failed.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

//! A gateway that is updated while it is used: nobody notices.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use flotilla_testkit::fleet::{Fleet, Gateway, Worker};
use flotilla_testkit::folder::Folder;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw;
use flotilla_testkit::redis::Redis;
use flotilla_testkit::role::RoleBuilder;
use flotilla_testkit::wait::{wait_equal, wait_until};
use serde_json::{Value, json};

use crate::{NEWEST, SOON, words};

/// A fleet whose gateway is to be replaced.
struct Place {
    fleet: Fleet,
    _redis: Redis,
    run: Folder,
}

impl Place {
    fn new() -> Self {
        let redis = Redis::start();
        let fleet = Fleet::new(env!("CARGO_BIN_EXE_flotilla")).redis(&redis.url());
        Self { fleet, _redis: redis, run: Folder::new() }
    }

    fn worker(&self, slots: u32) -> Worker {
        self.fleet.worker().env("MAX_CONCURRENT_SESSIONS", slots).start()
    }

    fn gateway(&self) -> RoleBuilder {
        self.fleet.gateway().env("FLOTILLA_RUN_DIR", self.run.path().display())
    }

    fn first(&self) -> Gateway {
        let gateway = self.gateway().start();
        gateway.wait_workers(1, SOON);
        gateway
    }

    fn successor(&self, of: &Gateway) -> RoleBuilder {
        self.gateway().arg("--take-over").env("PORT", port(of))
    }

    fn door(&self, of: &Gateway) -> PathBuf {
        self.run.join(&format!("gateway-{}.sock", port(of)))
    }
}

fn port(of: &Gateway) -> &str {
    of.address().rsplit(':').next().unwrap()
}

fn files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Connects all the time, and asks something each time.
struct Probe {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Probe {
    fn start(address: &str) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, counts, address) = (stop.clone(), asked.clone(), address.to_owned());
        let thread = std::thread::spawn(move || {
            let mut failed = Vec::new();
            while !until.load(Ordering::SeqCst) {
                if let Err(error) = ask(&address) {
                    failed.push(error.to_string());
                }
                counts.fetch_add(1, Ordering::SeqCst);
            }
            failed
        });
        Self { stop, asked, thread: Some(thread) }
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Every failure.
    fn stop(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

fn ask(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(std::io::Error::other(answer)),
    }
}

/// JavaScript that uses a session all the time until it is told to stop, and counts wrong answers
/// and the longest time that one took.
const BUSY: &str = "
    s.b = await chromium.connect(endpoint);
    const page = s.page = await s.b.newPage();
    s.on = true;
    s.busy = (async () => {
      let n = 0, wrong = 0, longest = 0;
      while (s.on) {
        const began = performance.now();
        const answer = await page.evaluate(n => n * 7 + 1, n);
        longest = Math.max(longest, performance.now() - began);
        if (answer !== n * 7 + 1) wrong++;
        n++;
        await new Promise(done => setTimeout(done, 3));
      }
      return { n, wrong, longest };
    })();
    return true;";

/// The same with 20 megabytes to the browser and back each time.
const LARGE: &str = "
    s.b = await chromium.connect(endpoint);
    const page = s.page = await s.b.newPage();
    const { createHash, randomBytes } = await import('node:crypto');
    const hash = text => createHash('sha256').update(text).digest('hex');
    // Nothing makes it smaller on its way.
    const sent = randomBytes(15_000_000).toString('base64');
    s.on = true;
    s.busy = (async () => {
      let n = 0, wrong = 0;
      while (s.on) {
        const got = await page.evaluate(text => text, sent);
        if (hash(got) !== hash(sent)) wrong++;
        n++;
      }
      return { n, wrong, longest: 0 };
    })();
    return sent.length;";

const STOP: &str = "s.on = false; const all = await s.busy; await s.b.close(); return all;";

#[test]
fn five_takeovers_in_a_row_are_noticed_by_nobody() {
    let place = Place::new();
    let worker = place.worker(12);
    let mut gateway = place.first();
    let endpoint = gateway.endpoint().to_owned();
    let programs: Vec<_> = (0..10).map(|_| Program::node(NEWEST, &endpoint)).collect();
    let (idle, rest) = programs.split_first().unwrap();
    let (large, busy) = rest.split_first().unwrap();
    idle.run("s.b = await chromium.connect(endpoint); s.page = await s.b.newPage(); return 1;");
    assert_eq!(large.run(LARGE), 20_000_000);
    busy.iter().for_each(|program| assert_eq!(program.run(BUSY), true));
    let before: HashMap<_, _> = ages(&gateway);
    assert_eq!(before.len(), 10);
    let probe = Probe::start(gateway.address());
    let mut open = Vec::new();
    for generation in 2..=6 {
        let next = place.successor(&gateway).start();
        assert_eq!(next.endpoint(), endpoint);
        let ended = gateway.wait_exit(SOON);
        assert!(ended.success(), "the old one ended with {ended}:\n{}", gateway.log());
        gateway = next;
        let now = ages(&gateway);
        assert_eq!(now.len(), 10, "all are here: {now:?}");
        for (id, (began, age)) in &before {
            let (began_now, age_now) = now[id];
            assert_eq!((began_now, age_now >= *age), (*began, true), "the same session, older");
        }
        assert_eq!(gateway.metric("flotilla_gateway_generation", &[]), Some(generation.into()));
        assert_eq!(taken_over(&gateway), 10.0);
        let asked = probe.asked();
        wait_until("the probe to connect here", SOON, || probe.asked() > asked + 20);
        let large_moves = gateway.metric("flotilla_relay_bytes_total", &[]).unwrap();
        wait_until("the payload to move", 3 * SOON, || {
            gateway.metric("flotilla_relay_bytes_total", &[]).unwrap() > large_moves + 5e6
        });
        open.push(files(gateway.pid()));
    }
    assert_eq!(probe.stop(), Vec::<String>::new(), "connects that failed");
    for program in programs.iter().skip(1) {
        let all = program.run(STOP);
        assert_eq!(all["wrong"], 0, "{all}");
        assert!(all["n"].as_u64().unwrap() > 1, "{all}");
    }
    assert_eq!(idle.run("return await s.page.evaluate(() => 6 * 7)"), 42);
    idle.run("await s.b.close(); return 1;");
    wait_equal("its sessions", SOON, &0, || gateway.status().sessions.len());
    let ended = |labels: &[&str]| gateway.metric("flotilla_sessions_ended_total", labels).unwrap();
    assert_eq!(ended(&[]), 10.0, "each ended once");
    assert_eq!(ended(&["cause=\"client_close\""]), 10.0);
    assert_eq!(gateway.metric("flotilla_gateway_draining_generations", &[]), Some(0.0));
    let (least, most) = (open.iter().min().unwrap(), open.iter().max().unwrap());
    assert!(most - least <= 4, "open files do not add up: {open:?}");
    drop(programs);
    worker.wait_used(0, SOON);
    gateway.stop_and_check();
    worker.stop_and_check();
}

/// Every session's beginning and age.
fn ages(gateway: &Gateway) -> HashMap<String, (u64, f64)> {
    let sessions = gateway.status().sessions.into_iter();
    sessions.map(|session| (session.id, (session.started_at, session.age_seconds))).collect()
}

fn taken_over(gateway: &Gateway) -> f64 {
    let labels = ["result=\"taken_over\""];
    gateway.metric("flotilla_handover_sessions_total", &labels).unwrap()
}

#[test]
fn who_waits_for_a_slot_keeps_its_place_and_comes_over_later() {
    let place = Place::new();
    let worker = place.worker(1);
    let mut old = place.first();
    let holder = old.open("/", &[]).unwrap();
    let mut waits = raw::Waiting::send(old.address(), "/", &[]);
    old.wait_queued(1, SOON);
    let new = place.successor(&old).start();
    assert_eq!(taken_over(&new), 1.0);
    assert_eq!(new.metric("flotilla_gateway_draining_generations", &[]), Some(1.0));
    let second = place.successor(&new).output();
    assert_eq!(second.status.code(), Some(2));
    assert!(
        words(&second).contains("another process is taking over already"),
        "{}",
        words(&second)
    );
    assert!(!waits.answered());
    holder.close();
    let late = waits.answer().expect("it is let in by the one that it came to");
    assert!(old.wait_exit(SOON).success());
    wait_equal("the late one to come over", SOON, &2.0, || taken_over(&new));
    let session = new.only_session();
    assert!(session.age_seconds < 60.0);
    late.close();
    wait_equal("its end", SOON, &Some(2.0), || {
        new.metric("flotilla_sessions_ended_total", &["cause=\"client_close\""])
    });
    new.stop_and_check();
    worker.stop_and_check();
}

/// One side of the conversation between two gateways, by hand.
struct Impostor(UnixStream);

impl Impostor {
    fn come(door: &Path) -> Self {
        let stream = UnixStream::connect(door).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(stream)
    }

    fn say(&mut self, message: &Value) {
        let json = message.to_string();
        let mut bytes = b"FLHO".to_vec();
        bytes.extend((json.len() as u32).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(json.as_bytes());
        self.0.write_all(&bytes).unwrap();
    }

    /// What it says; its files are closed by the kernel, as those of one that dies.
    fn hear(&mut self) -> Value {
        let mut header = [0; 12];
        self.0.read_exact(&mut header).unwrap();
        let length =
            |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap()) as usize;
        let mut body = vec![0; length(4) + length(8)];
        self.0.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body[..length(4)]).unwrap()
    }

    fn hello(&mut self, protocol: u32) -> Value {
        let pid = std::process::id();
        self.say(&json!({"says": "hello", "protocol": protocol, "release": "9.9.9", "pid": pid}));
        self.hear()
    }
}

#[test]
fn a_successor_that_dies_half_way_takes_only_what_it_had() {
    let place = Place::new();
    let worker = place.worker(8);
    let gateway = place.first();
    let sessions: Vec<_> = (0..8).map(|_| gateway.open("/", &[]).unwrap()).collect();
    wait_equal("sessions", SOON, &8, || gateway.status().sessions.len());
    let before = files(gateway.pid());
    let mut dies = Impostor::come(&place.door(&gateway));
    let welcome = dies.hello(1);
    assert_eq!((&welcome["says"], &welcome["generation"]), (&json!("welcome"), &json!(1)));
    dies.say(&json!({"says": "ready"}));
    let mut taken = Vec::new();
    for _ in 0..3 {
        let session = dies.hear();
        taken.push(session["id"].as_str().unwrap().to_owned());
        dies.say(&json!({"says": "taken", "problem": null}));
    }
    let fourth = dies.hear();
    assert_eq!(fourth["says"], "session");
    // Nobody accepts now; whoever connects waits in the kernel.
    let probe = Probe::start(gateway.address());
    drop(dies);
    wait_equal("the rest goes on here", SOON, &5, || gateway.status().sessions.len());
    wait_until("the probe to be answered", SOON, || probe.asked() > 5);
    assert_eq!(probe.stop(), Vec::<String>::new());
    let left: Vec<_> = gateway.status().sessions.into_iter().map(|session| session.id).collect();
    assert!(taken.iter().all(|id| !left.contains(id)), "{taken:?} of {left:?}");
    assert!(left.iter().any(|id| *id == fourth["id"]), "the unconfirmed one stayed");
    let abandoned = gateway.metric("flotilla_handover_total", &["result=\"abandoned\""]);
    assert_eq!(abandoned, Some(1.0));
    worker.wait_used(5, SOON);
    wait_until("the files of those that went", SOON, || files(gateway.pid()) <= before - 6);
    // The next one takes over for real, and every session that is left still works.
    let mut old = gateway;
    let new = place.successor(&old).start();
    assert!(old.wait_exit(SOON).success());
    assert_eq!(new.status().sessions.len(), 5);
    // Those that went with the first one find their connection closed.
    let mut alive = 0;
    for mut session in sessions {
        // Pings of clients go through to the browser's server, whose pong comes back.
        if session.send(0x89, b"are you there").is_ok() && session.hears_pong(SOON) {
            alive += 1;
            session.close();
        }
    }
    assert_eq!(alive, 5);
    new.stop_and_check();
    worker.stop_and_check();
}

#[test]
fn a_successor_that_is_killed_leaves_its_predecessor_everything() {
    let place = Place::new();
    let worker = place.worker(2);
    let gateway = place.first();
    let node = Program::node(NEWEST, gateway.endpoint());
    node.run("s.b = await chromium.connect(endpoint); s.page = await s.b.newPage(); return 1;");
    let mut dies = Impostor::come(&place.door(&gateway));
    assert_eq!(dies.hello(1)["says"], "welcome");
    drop(dies);
    assert_eq!(node.run("return await s.page.evaluate(() => 6 * 7)"), 42);
    // One that falls silent with a session in its hands does not keep it.
    let mut silent = Impostor::come(&place.door(&gateway));
    assert_eq!(silent.hello(1)["says"], "welcome");
    silent.say(&json!({"says": "ready"}));
    assert_eq!(silent.hear()["says"], "session");
    let began = Instant::now();
    assert_eq!(node.run("return await s.page.evaluate(() => 6 * 7)"), 42);
    assert!(began.elapsed() < SOON);
    let said = silent.0.write_all(b"FLHO");
    assert!(said.is_err(), "its answer is not heard any more: {said:?}");
    node.run("await s.b.close(); return 1;");
    gateway.stop_and_check();
    worker.stop_and_check();
}

#[test]
fn who_cannot_take_over_is_told_why_and_disturbs_nobody() {
    let place = Place::new();
    let worker = place.worker(2);
    let gateway = place.first();
    let session = gateway.open("/", &[]).unwrap();
    let refused = |builder: RoleBuilder, why: &str| {
        let output = builder.output();
        assert_eq!(output.status.code(), Some(2), "{}", words(&output));
        assert!(words(&output).contains(why), "{why:?}: {}", words(&output));
    };
    let other_port = flotilla_testkit::ports::Port::new();
    let nobody = place.gateway().arg("--take-over").env("PORT", other_port.number());
    refused(nobody, "no gateway to take over from");
    refused(place.gateway().arg("--take-over"), "--take-over needs the port");
    let stranger = place.successor(&gateway).env("FLOTILLA_FLEET_SECRET", "0123456789".repeat(7));
    refused(stranger, "reaches workers that this one does not");
    refused(place.gateway().env("PORT", port(&gateway)), "To take its place: --take-over");
    let up = crate::flotilla(&["up", "--take-over"]).output().unwrap();
    assert_eq!(up.status.code(), Some(2));
    assert!(words(&up).contains("cannot be taken over"), "{}", words(&up));
    let mut newer = Impostor::come(&place.door(&gateway));
    let answer = newer.hello(99);
    assert_eq!(answer["says"], "refused");
    let why = answer["why"].as_str().unwrap();
    assert!(why.contains("number 99") && why.contains("without --take-over"), "{why}");
    refused_as_another_user(&place, &gateway);
    assert_eq!(gateway.status().sessions.len(), 1);
    assert_eq!(gateway.metric("flotilla_sessions_ended_total", &[]), Some(0.0));
    session.close();
    gateway.stop_and_check();
    worker.stop_and_check();
}

#[expect(clippy::print_stderr, reason = "what is not exercised is said aloud")]
fn refused_as_another_user(place: &Place, gateway: &Gateway) {
    const NOBODY: u32 = 65534;
    if !rustix_is_root() {
        eprintln!("not exercised: another user's process needs root");
        return;
    }
    // Even when the folder's and the socket's permissions are no obstacle.
    let door = place.door(gateway);
    Command::new("chmod").arg("0777").args([place.run.path(), &door]).status().unwrap();
    let script = "const s = require('node:net').connect(process.argv[1]);
        const hello = JSON.stringify({says: 'hello', protocol: 1, release: '0', pid: 1});
        const head = Buffer.alloc(12); head.write('FLHO'); head.writeUInt32BE(hello.length, 4);
        s.write(Buffer.concat([head, Buffer.from(hello)]));
        s.on('data', data => { console.log(data.subarray(12).toString()); s.end(); });";
    let output = Command::new("node").args(["-e", script]).arg(&door).uid(NOBODY).output().unwrap();
    assert!(words(&output).contains("only a process of the same user"), "{}", words(&output));
}

fn rustix_is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t0"))
}

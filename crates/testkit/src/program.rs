//! Real Playwright programs in Node and Python, written line by line by a test: the code that a
//! user would write stands in the test, and runs in a client of the version that it names.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed;
use crate::place::Place;

const CEILING: Duration = Duration::from_secs(120);

/// What a piece of code came to: its value, or the message of its exception.
pub type Outcome = Result<Value, String>;

type Pending = Arc<Mutex<HashMap<u64, Sender<Outcome>>>>;

/// A running client program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdin: Mutex<ChildStdin>,
    pending: Pending,
    next: AtomicU64,
}

impl Program {
    /// A Node program with playwright-core of that version. Its code sees `chromium`, `firefox`,
    /// `webkit`, `endpoint`, `args`, and `s`, where it keeps what later code needs.
    pub fn node(version: &str, endpoint: &str) -> Self {
        Self::node_at(&Place::Loopback, version, endpoint)
    }

    /// The same on a host of its own.
    pub fn node_at(place: &Place, version: &str, endpoint: &str) -> Self {
        let mut command = place.command("node");
        command
            .arg(bed::client("driven.mjs"))
            .arg(bed::npm(version).join("node_modules/playwright-core"))
            .arg(endpoint);
        Self::start_command(command)
    }

    /// A Python program with the synchronous interface of that version. Its code sees `p`,
    /// `endpoint`, `args` and `s`, and runs one piece after the other.
    pub fn python(version: &str, endpoint: &str) -> Self {
        let mut command = Command::new(bed::python(version));
        command.arg(bed::client("driven.py")).arg(endpoint);
        Self::start_command(command)
    }

    fn start_command(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client's interpreter can be run");
        let stdin = Mutex::new(child.stdin.take().expect("stdin is piped"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let pending = Pending::default();
        let waiting = Arc::clone(&pending);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                deliver(&line, &waiting);
            }
            // Whoever still waits learns that the program is gone.
            waiting.lock().expect("no thread panics with it").clear();
        });
        Self { child, stdin, pending, next: AtomicU64::new(0) }
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts a piece of code, and does not wait for it.
    ///
    /// # Panics
    /// When the program is gone.
    pub fn start(&self, code: &str, args: Value) -> Running {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, outcome) = channel();
        self.pending.lock().expect("no thread panics with it").insert(id, tell);
        let line = json!({"id": id, "code": code, "args": args});
        writeln!(self.stdin.lock().expect("no thread panics with it"), "{line}")
            .expect("the program listens");
        Running(outcome)
    }

    /// Runs a piece of code: what it returns.
    ///
    /// # Panics
    /// When it throws.
    pub fn run(&self, code: &str) -> Value {
        self.run_with(code, json!({}))
    }

    /// The same with `args`.
    ///
    /// # Panics
    /// When it throws.
    pub fn run_with(&self, code: &str, args: Value) -> Value {
        match self.start(code, args).outcome() {
            Ok(value) => value,
            Err(message) => panic!("the client's code failed: {message}\nthe code:\n{code}"),
        }
    }

    /// Runs a piece of code that must throw: its message.
    ///
    /// # Panics
    /// When it does not.
    pub fn fail(&self, code: &str) -> String {
        match self.start(code, json!({})).outcome() {
            Ok(value) => panic!("this should have failed, and gave {value}:\n{code}"),
            Err(message) => message,
        }
    }

    /// Ends the program with `kill -9`: its connections vanish without a close.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A piece of code under way.
#[derive(Debug)]
pub struct Running(Receiver<Outcome>);

impl Running {
    /// Waits for it.
    ///
    /// # Panics
    /// When it takes longer than two minutes, or its program ends.
    pub fn outcome(self) -> Outcome {
        self.0.recv_timeout(CEILING).expect("the client's code comes to an end")
    }

    /// Its outcome, if it has come to one.
    pub fn done(&self) -> Option<Outcome> {
        self.0.try_recv().ok()
    }
}

fn deliver(line: &str, pending: &Pending) {
    let Ok(reply) = serde_json::from_str::<Value>(line) else {
        return;
    };
    let Some(tell) = reply["id"]
        .as_u64()
        .and_then(|id| pending.lock().expect("no thread panics with it").remove(&id))
    else {
        return;
    };
    let outcome = match reply["error"].as_str() {
        Some(message) => Err(message.to_owned()),
        None => Ok(reply["value"].clone()),
    };
    let _ = tell.send(outcome);
}

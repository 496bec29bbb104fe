//! A child process of a test: watched, and ended with its value.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use crate::procs;
use crate::wait::wait_for;

/// A running process. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    lines: Mutex<Receiver<String>>,
    exited: Option<ExitStatus>,
}

// === impl Process ===

impl Process {
    /// Starts it without a stdin; what it prints is read to the end, so that it never blocks.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
        let log = collect(child.stderr.take().expect("stderr is piped"));
        let lines = Mutex::new(lines(child.stdout.take().expect("stdout is piped")));
        Self { child, log, lines, exited: None }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stderr so far.
    ///
    /// # Panics
    /// Never: nothing panics with the lock held.
    pub fn log(&self) -> String {
        self.log.lock().expect("no thread panics with it").clone()
    }

    /// The next line of its stdout that nobody has taken yet.
    ///
    /// # Errors
    /// When none comes within `ceiling`, or ever, since it has closed its stdout.
    ///
    /// # Panics
    /// Never: nothing panics with the lock held.
    pub fn next_line(&self, ceiling: Duration) -> Result<String, RecvTimeoutError> {
        self.lines.lock().expect("no thread panics with it").recv_timeout(ceiling)
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// Never: it is our child.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.child.try_wait().expect("it is our child");
        }
        self.exited
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `ceiling`.
    pub fn wait_exit(&mut self, ceiling: Duration) -> ExitStatus {
        wait_for("a process to end", ceiling, || self.ended())
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended and been waited for.
    pub fn signal(&self, signal: Signal) {
        assert!(self.exited.is_none(), "the process {} has ended already", self.pid());
        procs::signal(self.pid(), signal);
    }

    /// `kill -9`, and waits for its end. Nothing to do when it has ended.
    pub fn kill9(&mut self) {
        if self.exited.is_none() {
            let _ = self.child.kill();
            self.exited = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut bytes = [0; 8192];
        while let Ok(n @ 1..) = pipe.read(&mut bytes) {
            sink.lock()
                .expect("no thread panics with it")
                .push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
    });
    text
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Nobody may listen any more; the pipe must be read all the same.
            let _ = tell.send(line);
        }
    });
    told
}

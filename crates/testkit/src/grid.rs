//! A real grid: the real binary, started in a folder of its own, watched and ended.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flotilla_core::status::{SessionStatus, Status};
use rustix::process::Signal;

use crate::folder::Folder;
use crate::http::{self, Response};
use crate::permit::Permit;
use crate::procs::{self, Proc};
use crate::wait::{wait_equal, wait_for, wait_until};
use crate::{bed, raw};

const READY: Duration = Duration::from_secs(60);
const SETTLED: Duration = Duration::from_secs(10);
/// The promise: however a grid ends, no process of its is left after this.
pub const ORPHANS_GONE: Duration = Duration::from_secs(2);

/// How to start a grid.
#[derive(Debug)]
pub struct GridBuilder {
    binary: PathBuf,
    folder: Folder,
    env: Vec<(String, String)>,
    args: Vec<String>,
    counted: bool,
}

impl GridBuilder {
    /// Sets an environment variable of the grid.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds an argument to `flotilla up`.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// The grid will do next to nothing, so it does not count among those that may run at once.
    pub fn idle(mut self) -> Self {
        self.counted = false;
        self
    }

    /// Starts it, and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(self) -> Grid {
        let permit = self.counted.then(Permit::take);
        let began = Instant::now();
        let mut child = self.command().spawn().expect("the grid's binary can be run");
        let log = collect(child.stderr.take().expect("stderr is piped"));
        let lines = lines(child.stdout.take().expect("stdout is piped"));
        let mut grid = Grid {
            child,
            folder: self.folder,
            log,
            endpoint: String::new(),
            ready_after: Duration::ZERO,
            exited: None,
            _permit: permit,
        };
        grid.endpoint = grid.wait_ready(&lines);
        grid.ready_after = began.elapsed();
        grid
    }

    /// Runs it and waits for its end: for grids that must refuse to start.
    ///
    /// # Panics
    /// When the binary cannot be run.
    pub fn output(self) -> std::process::Output {
        self.command().output().expect("the grid's binary can be run")
    }

    /// The command line. The grid dies with the thread that started it, so that a test runner
    /// which is killed leaves none.
    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(&self.binary)
            .args(["up", "--json"])
            .args(&self.args)
            .current_dir(self.folder.path())
            .env("FLOTILLA_DATA", bed::data())
            .env("FLOTILLA_RUN_DIR", self.folder.join("run"))
            .env("PORT", "0")
            .env("LOG_FORMAT", "text")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A running grid. Ended when dropped; [`Grid::stop_and_check`] is how a test ends it.
#[derive(Debug)]
pub struct Grid {
    child: Child,
    folder: Folder,
    log: Arc<Mutex<String>>,
    endpoint: String,
    ready_after: Duration,
    exited: Option<ExitStatus>,
    _permit: Option<Permit>,
}

impl Grid {
    /// A grid of that binary: `env!("CARGO_BIN_EXE_flotilla")`.
    pub fn of(binary: &str) -> GridBuilder {
        GridBuilder {
            binary: binary.into(),
            folder: Folder::new(),
            env: Vec::new(),
            args: Vec::new(),
            counted: true,
        }
    }

    fn wait_ready(&mut self, lines: &Receiver<String>) -> String {
        let began = Instant::now();
        let mut said = String::new();
        loop {
            match lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    said += &line;
                    if let Some(endpoint) = ready_event(&said) {
                        return endpoint;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the grid ended before it was ready:\n{}", self.log())
                }
                Err(RecvTimeoutError::Timeout) => assert!(
                    began.elapsed() < READY,
                    "the grid is not ready after {READY:?}:\n{}",
                    self.log()
                ),
            }
        }
    }

    /// Where clients connect: `ws://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The endpoint with something after it, such as `/?browser=firefox`.
    pub fn ws(&self, rest: &str) -> String {
        format!("{}{rest}", self.endpoint)
    }

    /// The same as an `http://` endpoint.
    pub fn http(&self, rest: &str) -> String {
        format!("http://{}{rest}", self.address())
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.endpoint.trim_start_matches("ws://")
    }

    /// The process id of `flotilla`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it took from the start of the process to the line that says ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no thread panics with it").clone()
    }

    /// `GET path`.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        http::get(self.address(), path, headers).expect("the grid answers")
    }

    /// What it says about itself.
    ///
    /// # Panics
    /// When it says nothing that can be read.
    pub fn status(&self) -> Status {
        status_of(self.address()).expect("the grid tells its status")
    }

    /// The value of a metric, summed over those of its series whose labels contain every one of
    /// `labels` (such as `cause="drain_kill"`). `None` when there is no such series.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.get("/metrics", &[]).body;
        let values: Vec<f64> = text
            .lines()
            .filter(|line| series_name(line) == name && labels.iter().all(|l| line.contains(l)))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Waits until so many slots are in use.
    pub fn wait_used(&self, used: u32, ceiling: Duration) {
        wait_equal("used slots", ceiling, &used, || self.status().slots.used);
    }

    /// The one session that there is, once it is in the list.
    ///
    /// # Panics
    /// When there are none or several.
    pub fn only_session(&self) -> SessionStatus {
        wait_for("the one session", SETTLED, || {
            let mut sessions = self.status().sessions;
            (sessions.len() == 1).then(|| sessions.remove(0))
        })
    }

    /// Waits until so many clients are in the queue.
    pub fn wait_queued(&self, depth: u32, ceiling: Duration) {
        wait_equal("the queue's depth", ceiling, &depth, || self.status().queue.depth);
    }

    /// The browser processes of that state (such as `serving`), by process id.
    pub fn browsers(&self, state: &str) -> BTreeSet<u32> {
        self.status()
            .workers
            .iter()
            .flat_map(|worker| &worker.browsers)
            .filter(|browser| browser.state.as_str() == state)
            .filter_map(|browser| browser.pid)
            .collect()
    }

    /// Its process and everything below it.
    pub fn processes(&self) -> BTreeSet<Proc> {
        let mut all = procs::tree(self.pid());
        all.extend(procs::mentioning(&self.mark()));
        all
    }

    /// The processes of its drivers: Node with the host program.
    pub fn drivers(&self) -> Vec<u32> {
        procs::tree(self.pid())
            .into_iter()
            .filter(|p| p.pid != self.pid() && command_line(p.pid).contains("host.mjs"))
            .map(|p| p.pid)
            .collect()
    }

    /// What every process of this grid has in its command line or environment.
    fn mark(&self) -> String {
        // With the slash: one folder's name may be the beginning of another's.
        format!("{}/", self.folder.path().display())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        procs::signal(self.pid(), signal);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `ceiling`.
    pub fn wait_exit(&mut self, ceiling: Duration) -> ExitStatus {
        let child = &mut self.child;
        let status =
            wait_for("the grid's end", ceiling, || child.try_wait().expect("it is our child"));
        self.exited = Some(status);
        status
    }

    /// Kills it with `kill -9`, and checks that nothing of it is left two seconds later.
    ///
    /// # Panics
    /// When something is.
    pub fn kill_and_check(mut self) {
        let all = self.processes();
        assert!(all.len() > 2, "a grid with browsers has processes: {all:?}");
        procs::kill(self.pid());
        self.wait_exit(SETTLED);
        self.check_nothing_left(&all);
    }

    /// Ends a test: every slot is free again, SIGTERM ends it with success, and no process and no
    /// file of it is left.
    ///
    /// # Panics
    /// When one of these does not hold.
    pub fn stop_and_check(mut self) {
        self.wait_used(0, SETTLED);
        self.wait_queued(0, SETTLED);
        let all = self.processes();
        self.signal(Signal::TERM);
        let status = self.wait_exit(SETTLED);
        assert!(status.success(), "it ended with {status}:\n{}", self.log());
        self.check_nothing_left(&all);
        self.check_no_files_left();
    }

    /// Checks that of these processes, and of any that carry its mark, none runs any more.
    pub fn check_nothing_left(&self, all: &BTreeSet<Proc>) {
        let left = || -> BTreeSet<Proc> {
            let known = all.iter().filter(|p| p.is_alive()).cloned();
            known.chain(procs::mentioning(&self.mark())).collect()
        };
        wait_equal("the processes that the grid left", ORPHANS_GONE, &BTreeSet::new(), left);
    }

    fn check_no_files_left(&self) {
        let left = || -> Vec<PathBuf> {
            std::fs::read_dir(self.folder.join("run"))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .collect()
        };
        wait_equal("what the grid left on disk", SETTLED, &Vec::new(), left);
    }

    /// Opens a session without a Playwright client: the handshake only.
    ///
    /// # Errors
    /// The grid's answer when it is no 101.
    pub fn open(&self, rest: &str, headers: &[(&str, &str)]) -> Result<raw::Socket, Response> {
        raw::Socket::open(self.address(), rest, headers)
    }
}

impl Drop for Grid {
    fn drop(&mut self) {
        if self.exited.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let mark = self.mark();
            if !std::thread::panicking() {
                wait_until("the grid's processes to go", SETTLED, || {
                    procs::mentioning(&mark).is_empty()
                });
            }
        }
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the test runner shows it on failure")]
            {
                eprintln!("--- the grid's log ---\n{}", self.log());
            }
        }
    }
}

/// What the grid at that address says about itself.
///
/// # Errors
/// When it cannot be asked, or its answer cannot be read.
pub fn status_of(address: &str) -> std::io::Result<Status> {
    let answer = http::get(address, "/status.json", &[])?;
    serde_json::from_str(&answer.body).map_err(std::io::Error::other)
}

fn ready_event(text: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(text).ok()?;
    (event["event"] == "ready")
        .then(|| event["endpoint"].as_str().expect("ready names the endpoint").to_owned())
}

fn series_name(line: &str) -> &str {
    line.split(['{', ' ']).next().unwrap_or_default()
}

fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Reads a pipe to its end, so that the child never blocks on it.
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
            // Nobody listens once it is ready; the pipe must be read all the same.
            let _ = tell.send(line);
        }
    });
    told
}

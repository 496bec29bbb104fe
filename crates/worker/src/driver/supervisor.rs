//! The task that owns one driver process: its pipes, its pending calls, the news of its browsers.

use std::collections::HashMap;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::PlaywrightVersion;
use flotilla_core::launcher::{BrowserId, LauncherEvent};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::handle::{Driver, Fields, Order, Refused, Shared};
use super::lines::Lines;
use super::process;
use super::protocol::{Answer, Event, Line, Numbered, PROTOCOL, Request};
use super::rundir::RunDir;

/// How long a driver may take to load Playwright.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a driver may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// How long a driver whose pipe is closed may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(1);
const LONGEST_LINE: usize = 1 << 20;
const LONGEST_LOG_LINE: usize = 2_000;
/// How much of a driver's last words is kept for the error that says why it died.
const LAST_WORDS: usize = 8;

/// Starts a driver. Its handle takes calls at once; they wait until it is ready. The run directory
/// stays as long as the driver lives.
pub(super) fn start(
    version: PlaywrightVersion,
    command: Command,
    events: mpsc::UnboundedSender<LauncherEvent>,
    run: Arc<RunDir>,
) -> Driver {
    let (orders, inbox) = mpsc::unbounded_channel();
    let (ready, is_ready) = watch::channel(false);
    let shared = Arc::new(Shared::default());
    let supervisor = Supervisor {
        version,
        shared: Arc::clone(&shared),
        events,
        ready,
        pending: HashMap::new(),
        next_id: 0,
        why: None,
        stopping: false,
        deadline: None,
    };
    tokio::spawn(async move {
        supervisor.supervise(command, inbox).await;
        drop(run);
    });
    Driver::new(version, orders, is_ready, shared)
}

struct Supervisor {
    version: PlaywrightVersion,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<LauncherEvent>,
    ready: watch::Sender<bool>,
    pending: HashMap<u64, Pending>,
    next_id: u64,
    /// Why it is being ended, when that is known before its death.
    why: Option<String>,
    stopping: bool,
    /// When it is killed.
    deadline: Option<Instant>,
}

struct Pending {
    about: About,
    reply: oneshot::Sender<Result<Fields, Refused>>,
}

/// What a call's answer says beyond itself.
enum About {
    Launch(BrowserId),
    Close(BrowserId),
    Nothing,
}

impl About {
    fn of(request: &Request) -> Self {
        match request {
            Request::Launch(launch) => Self::Launch(launch.browser.clone()),
            Request::Close { browser } => Self::Close(browser.clone()),
            Request::Release { .. } | Request::Ping {} => Self::Nothing,
        }
    }
}

impl Supervisor {
    async fn supervise(mut self, command: Command, inbox: mpsc::UnboundedReceiver<Order>) {
        let why = match process::spawn(command).await {
            Ok(child) => self.run(child, inbox).await,
            Err(error) => format!("node did not start: {error}"),
        };
        self.bury(&why);
    }

    /// Serves until the process is gone; says why it went.
    async fn run(&mut self, mut child: Child, mut inbox: mpsc::UnboundedReceiver<Order>) -> String {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return "its pipes are missing".to_owned();
        };
        self.shared.lock().pid = child.id();
        self.deadline = Some(Instant::now() + START_LIMIT);
        let words = tokio::spawn(log_stderr(self.version, stderr));
        let mut requests = Some(write_requests(stdin));
        let mut lines = Lines::new(stdout, LONGEST_LINE);
        let patience = loop {
            tokio::select! {
                line = lines.next() => match line {
                    Ok(Some(line)) => self.heard(&line),
                    Ok(None) | Err(_) => break END_LIMIT,
                },
                order = inbox.recv(), if !self.stopping => self.obey(order, &mut requests),
                () = until(self.deadline) => {
                    self.why.get_or_insert_with(|| "it did not get ready in time".to_owned());
                    break Duration::ZERO;
                }
            }
        };
        drop(inbox);
        let status = end(&mut child, patience).await;
        // Its pipe may have heirs: their words are not waited for.
        let words = timeout(END_LIMIT, words).await.map(Result::unwrap_or_default);
        let words = words.unwrap_or_default();
        self.why.take().unwrap_or_else(|| last_words(status, &words))
    }

    fn obey(&mut self, order: Option<Order>, requests: &mut Option<mpsc::UnboundedSender<String>>) {
        match order {
            Some(Order::Call { request, reply }) => {
                self.next_id += 1;
                let id = self.next_id;
                let about = About::of(&request);
                self.pending.insert(id, Pending { about, reply });
                // Serializing plain words and numbers cannot fail.
                let line = serde_json::to_string(&Numbered { id, request: &request });
                if let (Ok(line), Some(requests)) = (line, requests.as_ref()) {
                    // A closed pipe is seen on the other one.
                    let _ = requests.send(line + "\n");
                }
            }
            Some(Order::Kill { why }) => {
                self.why = Some(why);
                self.deadline = Some(Instant::now());
            }
            Some(Order::Stop) | None => {
                self.stopping = true;
                self.why = Some("it was stopped".to_owned());
                self.deadline = Some(Instant::now() + STOP_LIMIT);
                *requests = None;
            }
        }
    }

    fn heard(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Line::Answer(answer)) => self.answered(answer),
            Ok(Line::Event(event)) => self.told(event),
            Err(error) => {
                tracing::warn!(version = %self.version, %error, "a line that is not the protocol's");
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        let Some(pending) = self.pending.remove(&answer.id) else {
            return;
        };
        match (&pending.about, &answer.error) {
            (About::Launch(browser), None) => self.shared.lock().launched(browser),
            (About::Launch(browser), Some(_)) => self.shared.lock().failed(browser),
            // The exit of one that ran has been told; one that never ran is to be forgotten.
            (About::Close(browser), None) => self.shared.lock().failed(browser),
            _ => {}
        }
        let result = answer.error.map_or(Ok(answer.fields), |error| Err(Refused(error)));
        // The asker may have given up.
        let _ = pending.reply.send(result);
    }

    fn told(&mut self, event: Event) {
        let version = self.version;
        match event {
            Event::Ready { protocol, playwright, node } => self.ready(protocol, &playwright, &node),
            Event::SessionOpen { browser, session } => {
                tracing::debug!(%browser, session, "session opened in its browser");
            }
            Event::SessionDisposed { browser, session, ms } => {
                tracing::debug!(%browser, session, ms, "contexts disposed");
            }
            Event::BrowserExited { browser, code, signal, expected } => {
                if self.shared.lock().exited(&browser) {
                    self.tell_exit(browser, exit_words(code, signal.as_deref()), expected);
                }
            }
            Event::Log { level, message } if level == "error" => {
                tracing::error!(%version, "{message}");
            }
            Event::Log { message, .. } => tracing::warn!(%version, "{message}"),
        }
    }

    fn ready(&mut self, protocol: u32, playwright: &str, node: &str) {
        let version = self.version;
        if protocol != PROTOCOL {
            self.why = Some(format!("its protocol is {protocol}, not {PROTOCOL}"));
            self.deadline = Some(Instant::now());
            return;
        }
        tracing::info!(%version, playwright, node, "driver ready");
        self.deadline = None;
        self.ready.send_replace(true);
    }

    fn tell_exit(&self, browser: BrowserId, why: String, expected: bool) {
        let exited = LauncherEvent::BrowserExited { browser, why, expected };
        // Nobody listens any more when the launcher is gone.
        let _ = self.events.send(exited);
    }

    /// The driver is gone: so are its browsers, and everybody who waits is told. The browsers
    /// first: who is told that a launch failed must not hear later that it ran.
    fn bury(self, why: &str) {
        let version = self.version;
        if self.stopping {
            tracing::info!(%version, "driver stopped");
        } else {
            tracing::error!(%version, why, "driver died");
        }
        for (browser, closing) in self.shared.lock().end(why) {
            let expected = closing || self.stopping;
            self.tell_exit(browser, format!("its driver died: {why}"), expected);
        }
    }
}

/// Writes on a task of its own: a driver that does not read must not stop the supervisor.
fn write_requests(mut stdin: ChildStdin) -> mpsc::UnboundedSender<String> {
    let (requests, mut inbox) = mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        while let Some(line) = inbox.recv().await {
            if stdin.write_all(line.as_bytes()).await.is_err() {
                break;
            }
        }
    });
    requests
}

async fn log_stderr(version: PlaywrightVersion, stderr: ChildStderr) -> Vec<String> {
    let mut lines = Lines::new(stderr, LONGEST_LOG_LINE);
    let mut last = std::collections::VecDeque::with_capacity(LAST_WORDS);
    while let Ok(Some(line)) = lines.next().await {
        tracing::debug!(target: "flotilla::driver", %version, "{line}");
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(line);
    }
    last.into()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Reaps the process; what is still running is killed.
async fn end(child: &mut Child, patience: Duration) -> std::io::Result<ExitStatus> {
    if let Ok(status) = timeout(patience, child.wait()).await {
        return status;
    }
    child.start_kill()?;
    child.wait().await
}

fn last_words(status: std::io::Result<ExitStatus>, words: &[String]) -> String {
    use std::os::unix::process::ExitStatusExt;
    let how = match status {
        Ok(status) => match status.signal() {
            Some(signal) => exit_words(None, Some(&format!("signal {signal}"))),
            None => exit_words(status.code(), None),
        },
        Err(error) => error.to_string(),
    };
    if words.is_empty() {
        return how;
    }
    format!("{how}; its last words: {}", words.join(" | "))
}

fn exit_words(code: Option<i32>, signal: Option<&str>) -> String {
    match (signal, code) {
        (Some(signal), _) => format!("killed by {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "exited".to_owned(),
    }
}

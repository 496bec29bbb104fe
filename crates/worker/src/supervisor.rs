//! The one task that owns all slots: it feeds the pool and carries out what the pool decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_core::ending::Ending;
use flotilla_core::launcher::{
    BrowserId, Endpoint, LaunchError, LaunchSpec, Launched, Launcher, LauncherEvent,
};
use flotilla_core::pool::{Demand, Effect, Limits, NotAdmitted, Pool};
use flotilla_core::refusal::Served;
use flotilla_core::status::{SessionStatus, WorkerStatus};
use flotilla_core::{Advert, BrowserKind, PlaywrightVersion, SessionId, WorkerId};
use tokio::sync::{mpsc, oneshot};

use crate::{memory, report};

/// What a worker is.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its name.
    pub id: WorkerId,
    /// What it allows itself.
    pub limits: Limits,
    /// What it can launch.
    pub serves: Vec<Served>,
    /// What it keeps ready before anybody asks, and for whom.
    pub keep_ready: Option<(BrowserKind, PlaywrightVersion, String)>,
    /// How often the memory of browsers is measured.
    pub measure_every: Duration,
    /// When it started, in seconds since 1970, for reports.
    pub started_at: u64,
    /// The version of the program, for reports.
    pub release: String,
}

/// What a worker tells about itself as it happens, for counters.
pub trait Observer: Send + Sync + 'static {
    /// A launch ended after this time, well or not.
    fn launched(&self, kind: BrowserKind, took: Duration, result: Result<(), &LaunchError>);
    /// A browser is gone.
    fn browser_gone(&self, kind: BrowserKind, reason: flotilla_core::pool::ExitReason);
}

/// Why a session did not get a browser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The worker did not take it.
    #[error(transparent)]
    NotAdmitted(NotAdmitted),
    /// Its browser did not come up.
    #[error("{0}")]
    LaunchFailed(String),
    /// It was ended before it had begun.
    #[error("{}", .0.reason)]
    Ended(Ending),
    /// The worker has stopped.
    #[error("the worker has stopped")]
    Stopped,
}

/// A session that holds a slot; its browser may still be coming.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) granted: oneshot::Receiver<Result<Granted, AdmitError>>,
}

/// An admitted session's browser.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) browser: BrowserId,
    pub(crate) endpoint: Endpoint,
    pub(crate) ending: oneshot::Receiver<Ending>,
}

type Granting = oneshot::Sender<Result<Granted, AdmitError>>;

#[derive(Debug)]
pub(crate) enum Command {
    Admit {
        session: SessionId,
        demand: Demand,
        reply: oneshot::Sender<Result<Admitted, AdmitError>>,
    },
    Closed(SessionId),
    Inspect(oneshot::Sender<WorkerStatus>),
    Sessions(oneshot::Sender<Vec<SessionStatus>>),
    Drain,
    Leave,
    Undrain(oneshot::Sender<bool>),
    End(SessionId, Ending, oneshot::Sender<bool>),
    Drained(oneshot::Sender<()>),
    EndAll(Ending),
    Launched(BrowserId, Duration, Result<Launched, LaunchError>),
    Released(SessionId),
    Measured(Vec<(BrowserId, u64)>),
}

/// A running browser, beyond what the pool knows of it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) launched: Launched,
}

pub(crate) struct Supervisor<L, R> {
    config: WorkerConfig,
    pool: Pool,
    launcher: Arc<L>,
    publish: R,
    observer: Arc<dyn Observer>,
    started: Instant,
    /// False until the first browser is up.
    ready: bool,
    processes: HashMap<BrowserId, Process>,
    asking: HashMap<SessionId, Granting>,
    endings: HashMap<SessionId, oneshot::Sender<Ending>>,
    drained: Vec<oneshot::Sender<()>>,
    commands: mpsc::WeakUnboundedSender<Command>,
}

impl<L: Launcher, R: Fn(Advert) + Send + 'static> Supervisor<L, R> {
    pub(crate) fn new(
        config: WorkerConfig,
        launcher: Arc<L>,
        publish: R,
        observer: Arc<dyn Observer>,
        commands: mpsc::WeakUnboundedSender<Command>,
    ) -> Self {
        Self {
            pool: Pool::new(config.limits.clone()),
            ready: config.keep_ready.is_none(),
            config,
            launcher,
            publish,
            observer,
            started: Instant::now(),
            processes: HashMap::new(),
            asking: HashMap::new(),
            endings: HashMap::new(),
            drained: Vec::new(),
            commands,
        }
    }

    /// Runs until nobody can send commands any more.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut events: mpsc::UnboundedReceiver<LauncherEvent>,
    ) {
        if let Some((kind, version, tenant)) = self.config.keep_ready.clone() {
            let now = self.now();
            self.pool.keep_ready(kind, version, &tenant, now);
        }
        self.carry_out();
        let mut measure = tokio::time::interval(self.config.measure_every);
        measure.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake = self.pool.next_wake(self.now()).map(|at| self.started + at);
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                Some(event) = events.recv() => self.heard(event),
                () = until(wake) => {
                    let now = self.now();
                    self.pool.tick(now);
                }
                _ = measure.tick() => self.measure(),
            }
            self.carry_out();
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn handle(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Admit { session, demand, reply } => {
                let answer = match self.pool.admit(session.clone(), &demand, now) {
                    Ok(()) => {
                        let (granting, granted) = oneshot::channel();
                        self.asking.insert(session, granting);
                        Ok(Admitted { granted })
                    }
                    Err(refused) => Err(AdmitError::NotAdmitted(refused)),
                };
                // The slot counts as taken before anybody hears that it is.
                self.advertise();
                // Who does not wait any more says so by dropping the lease.
                let _ = reply.send(answer);
            }
            Command::Closed(session) => {
                self.asking.remove(&session);
                self.endings.remove(&session);
                self.pool.closed(&session, now);
            }
            Command::Inspect(reply) => {
                let _ = reply.send(report::worker(&self.config, &self.pool, &self.processes, now));
            }
            Command::Sessions(reply) => {
                let _ = reply.send(report::sessions(&self.config, &self.pool, now));
            }
            Command::Drain => self.pool.drain(now),
            Command::Leave => self.pool.drain_for_good(now),
            Command::Undrain(reply) => {
                let _ = reply.send(self.pool.undrain(now));
            }
            Command::End(session, ending, reply) => {
                let _ = reply.send(self.pool.end(&session, &ending));
            }
            Command::Drained(reply) => self.drained.push(reply),
            Command::EndAll(ending) => self.pool.end_all(&ending),
            Command::Launched(browser, took, result) => self.launched(browser, took, result, now),
            Command::Released(session) => self.pool.released(&session, now),
            Command::Measured(sizes) => {
                for (browser, bytes) in sizes {
                    self.pool.measured(&browser, bytes);
                }
                self.pool.tick(now);
            }
        }
    }

    fn heard(&mut self, event: LauncherEvent) {
        let LauncherEvent::BrowserExited { browser, why, expected } = event;
        let now = self.now();
        self.processes.remove(&browser);
        if !expected {
            tracing::warn!(%browser, why, "a browser died");
        }
        self.pool.exited(&browser, &why, why.contains("driver"), now);
    }

    fn launched(
        &mut self,
        browser: BrowserId,
        took: Duration,
        result: Result<Launched, LaunchError>,
        now: Duration,
    ) {
        // It may have died, and been told of, before its launch came back.
        let known = self.pool.browsers().find(|(id, _)| **id == browser).map(|(_, b)| b.kind);
        let Some(kind) = known else { return };
        self.observer.launched(kind, took, result.as_ref().map(|_| ()));
        match result {
            Ok(launched) => {
                let ms = took.as_millis() as u64;
                tracing::info!(%browser, pid = launched.pid, version = launched.browser_version, ms, "browser ready");
                self.processes.insert(browser.clone(), Process { launched });
                self.ready = true;
                self.pool.launched(&browser, now);
            }
            Err(error) => {
                // In a drain it was we who stopped it.
                if !self.pool.is_draining() {
                    tracing::warn!(%browser, %error, "a browser could not be launched");
                }
                self.pool.launch_failed(&browser, &error.to_string(), now);
            }
        }
    }

    /// Says what is free now.
    fn advertise(&self) {
        (self.publish)(Advert {
            id: self.config.id.clone(),
            slots: self.pool.slots(),
            used: self.pool.used(),
            lifetime: self.pool.admitted_ever(),
            starting: !self.ready,
            draining: self.pool.is_draining(),
            serves: self.config.serves.clone(),
            browsers: self.pool.counts(),
            ..Advert::default()
        });
    }

    /// Carries out the pool's decisions.
    fn carry_out(&mut self) {
        for effect in self.pool.take_effects() {
            self.perform(effect);
        }
        self.advertise();
        if self.pool.drained() {
            for waiting in self.drained.drain(..) {
                let _ = waiting.send(());
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { browser, kind, version, options, expose_network } => {
                self.launch(LaunchSpec { browser, kind, version, options, expose_network });
            }
            Effect::Close { browser } => {
                let launcher = self.launcher.clone();
                tokio::spawn(async move { launcher.close(&browser).await });
            }
            Effect::Release { session, browser } => self.release(session, browser),
            Effect::Grant { session, browser } => self.grant(session, browser),
            Effect::Refuse { session, why } => {
                if let Some(reply) = self.asking.remove(&session) {
                    let _ = reply.send(Err(AdmitError::LaunchFailed(why)));
                }
            }
            Effect::End { session, ending } => self.end(&session, ending),
            Effect::Gone { kind, reason } => self.observer.browser_gone(kind, reason),
        }
    }

    fn launch(&self, spec: LaunchSpec) {
        let (launcher, commands) = (self.launcher.clone(), self.commands.clone());
        tokio::spawn(async move {
            let (browser, began) = (spec.browser.clone(), Instant::now());
            let result = launcher.launch(spec).await;
            tell(&commands, Command::Launched(browser, began.elapsed(), result));
        });
    }

    fn release(&self, session: SessionId, browser: BrowserId) {
        let (launcher, commands) = (self.launcher.clone(), self.commands.clone());
        tokio::spawn(async move {
            launcher.release(&browser, &session.0).await;
            tell(&commands, Command::Released(session));
        });
    }

    fn grant(&mut self, session: SessionId, browser: BrowserId) {
        let (told, ending) = oneshot::channel();
        let Some(reply) = self.asking.remove(&session) else { return };
        let Some(process) = self.processes.get(&browser) else { return };
        let endpoint = process.launched.endpoint.clone();
        self.endings.insert(session, told);
        // When nobody waits any more, the session's lease says so right after.
        let _ = reply.send(Ok(Granted { browser, endpoint, ending }));
    }

    /// Tells whoever holds the session that it is over, or that it never begins.
    fn end(&mut self, session: &SessionId, ending: Ending) {
        if let Some(told) = self.endings.remove(session) {
            let _ = told.send(ending);
        } else if let Some(reply) = self.asking.remove(session) {
            let _ = reply.send(Err(AdmitError::Ended(ending)));
        }
    }

    fn measure(&self) {
        let running: Vec<_> =
            self.processes.iter().map(|(id, p)| (id.clone(), p.launched.pid)).collect();
        if running.is_empty() {
            return;
        }
        let commands = self.commands.clone();
        tokio::task::spawn_blocking(move || {
            tell(&commands, Command::Measured(memory::of_trees(&running)));
        });
    }
}

/// The supervisor is gone only when the worker is, and then nothing is left to tell.
fn tell(commands: &mpsc::WeakUnboundedSender<Command>, command: Command) {
    if let Some(commands) = commands.upgrade() {
        let _ = commands.send(command);
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

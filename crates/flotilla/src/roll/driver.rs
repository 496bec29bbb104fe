//! Carrying out a roll: looks, asks what is next, does it, and looks again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::pool::Moment;
use flotilla_core::rollout::{Action, Life, Report, Rollout, Seen, Stage};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::event::Event;
use super::hands::Hands;

/// How often one looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long a look may take.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// How long what was begun may take to come to its end when the roll is over.
const LAST: Duration = Duration::from_secs(30);

/// What somebody at the roll's terminal wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// That it goes on.
    #[default]
    GoOn,
    /// That it finishes what it has begun, and begins nothing.
    Leave,
    /// That it gives up.
    GiveUp,
}

/// What is told of a roll as it happens.
pub trait Watcher {
    /// Something happened.
    fn event(&mut self, event: Event);
    /// Somebody looked, and this was there.
    fn looked(&mut self, fleet: &[Seen], rollout: &Rollout);
}

/// A roll that is carried out.
#[derive(Debug)]
pub struct Driver<H> {
    hands: Arc<H>,
    rollout: Rollout,
    began: Instant,
    reports: mpsc::UnboundedReceiver<Heard>,
    tell: mpsc::UnboundedSender<Heard>,
    /// The last that was asked of each: orders to one are carried out in their order.
    last: HashMap<Life, oneshot::Receiver<()>>,
    tasks: JoinSet<()>,
}

type Heard = (Option<Report>, Event);

impl<H: Hands> Driver<H> {
    /// Carries out this roll.
    pub fn new(hands: Arc<H>, rollout: Rollout) -> Self {
        let (tell, reports) = mpsc::unbounded_channel();
        let began = Instant::now();
        Self { hands, rollout, began, reports, tell, last: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Carries it out to its end, or to where nothing is under way when somebody wants to leave.
    pub async fn run(
        mut self,
        wish: watch::Receiver<Wish>,
        watcher: &mut impl Watcher,
    ) -> (Stage, Rollout) {
        loop {
            self.step(watcher).await;
            match *wish.borrow() {
                Wish::GoOn => {}
                Wish::Leave if self.rollout.is_busy() => self.rollout.pause(),
                Wish::Leave if self.rollout.stage() == Stage::Done => {}
                Wish::Leave | Wish::GiveUp => self.rollout.interrupt(self.now()),
            }
            let stage = self.rollout.stage();
            if matches!(stage, Stage::Done | Stage::Failed(_)) {
                self.finish(watcher).await;
                return (stage, self.rollout);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    async fn step(&mut self, watcher: &mut impl Watcher) {
        let late = || Err(format!("no answer within {LOOK_WITHIN:?}"));
        let looked = tokio::time::timeout(LOOK_WITHIN, self.hands.look()).await;
        let fleet = looked.unwrap_or_else(|_| late());
        let before = self.rollout.stage();
        self.take_in(watcher);
        let actions = self.rollout.step(self.now(), fleet.as_deref().map_err(String::as_str));
        if let Ok(fleet) = &fleet {
            watcher.looked(fleet, &self.rollout);
        }
        if let (Stage::Rolling | Stage::Paused, Stage::GivingUp(why) | Stage::Failed(why)) =
            (before, self.rollout.stage())
        {
            watcher.event(Event::GivingUp { why: why.to_string() });
        }
        for action in actions {
            watcher.event(Event::of(&action));
            self.begin(action);
        }
    }

    fn take_in(&mut self, watcher: &mut impl Watcher) {
        while let Ok((report, event)) = self.reports.try_recv() {
            watcher.event(event);
            if let Some(report) = report {
                self.rollout.report(report, self.now());
            }
        }
    }

    /// Begins an action; what becomes of it is told later.
    fn begin(&mut self, action: Action) {
        let (hands, tell) = (self.hands.clone(), self.tell.clone());
        let to = match &action {
            Action::Probe(who) | Action::Drain(who) | Action::Undrain(who) | Action::Stop(who) => {
                Some(who.clone())
            }
            Action::Start { .. } | Action::Discard { .. } => None,
        };
        let (done, over) = oneshot::channel();
        let before = to.and_then(|who| self.last.insert(who, over));
        self.tasks.spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            // The driver listens for as long as it has tasks.
            let _ = tell.send(carry_out(&*hands, action).await);
            // Whether or not another waits for it.
            let _ = done.send(());
        });
    }

    /// Waits for what is under way, such as the end of a process.
    async fn finish(&mut self, watcher: &mut impl Watcher) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST, all).await;
        self.take_in(watcher);
    }
}

async fn carry_out(hands: &impl Hands, action: Action) -> Heard {
    match action {
        Action::Start { name, replaces } => match hands.start(&name, replaces.as_deref()).await {
            Ok(()) => (None, Event::Started { name }),
            Err(why) => {
                let report = Report::NotStarted { name: name.clone(), why: why.clone() };
                (Some(report), Event::NotStarted { name, why })
            }
        },
        Action::Discard { name } => match hands.discard(&name).await {
            Ok(()) => (None, Event::Discarded { name }),
            Err(why) => (None, Event::NotDiscarded { name, why }),
        },
        Action::Probe(who) => {
            let id = who.id.clone();
            match hands.probe(&who).await {
                Ok(how) => (Some(Report::Probed(who, Ok(()))), Event::Proved { id, how }),
                Err(why) => {
                    (Some(Report::Probed(who, Err(why.clone()))), Event::NotProved { id, why })
                }
            }
        }
        Action::Drain(who) => {
            let done = hands.drain(&who).await;
            told(who, done, |id| Event::Drained { id })
        }
        Action::Undrain(who) => {
            let done = hands.undrain(&who).await;
            told(who, done, |id| Event::Undrained { id })
        }
        Action::Stop(who) => {
            let id = who.id.clone();
            match hands.stop(&who).await {
                Ok(()) => (Some(Report::Stopped(who)), Event::Stopped { id }),
                failed => told(who, failed, |id| Event::Stopped { id }),
            }
        }
    }
}

fn told(who: Life, done: Result<(), String>, event: impl FnOnce(String) -> Event) -> Heard {
    let id = who.id.clone();
    match done {
        Ok(()) => (None, event(id)),
        Err(why) => (Some(Report::NotTold(who, why.clone())), Event::NotTold { id, why }),
    }
}

//! One try to bring a session to a worker: with which ticket, why it did not come about, and what
//! its gateway does then.

use std::time::Duration;

use crate::ending::{EndCause, Ending};
use crate::id::{Instance, SessionId, WorkerId};
use crate::pool::{Demand, Moment};
use crate::refusal::{Refusal, Served};
use crate::ticket::{Route, Ticket};
use crate::view::View;

/// How long a ticket is good for. It is used at once; the rest is for a slow network.
const TICKET_FOR: Duration = Duration::from_secs(30);

/// How long a worker is not asked again for a browser that it could not launch, where others can.
const AFTER_FAILED_LAUNCH: Duration = Duration::from_secs(5);

/// How long a session waits that its worker still has from an earlier try.
const UNTIL_FORGOTTEN: Duration = Duration::from_millis(250);

/// A worker at the moment when a session is offered to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub worker: WorkerId,
    /// The life that is meant.
    pub instance: Instance,
    /// Where it is.
    pub endpoint: String,
    /// Where clients reach it themselves.
    pub public: Option<String>,
    /// Until when a ticket or an order for it is good, by its own clock.
    pub expires: u64,
}

impl Target {
    /// The worker as the view knows it; `None` when it has just left.
    pub fn of(view: &View, worker: &WorkerId, now: Moment) -> Option<Self> {
        let known = view.worker(worker)?;
        Some(Self {
            worker: worker.clone(),
            instance: known.advert.instance.clone(),
            endpoint: known.advert.endpoint.clone(),
            public: known.advert.public.clone(),
            expires: known.uptime_in(TICKET_FOR, now),
        })
    }

    /// The ticket for one try. The nonce tells it apart from those of earlier tries.
    pub fn ticket(
        &self,
        session: SessionId,
        demand: Demand,
        route: Route,
        limit: Option<Duration>,
        nonce: u64,
    ) -> Ticket {
        Ticket {
            session,
            worker: self.worker.clone(),
            instance: self.instance.clone(),
            route,
            demand,
            max_seconds: limit.map(|limit| limit.as_secs()),
            expires: self.expires,
            nonce,
        }
    }
}

/// Why a worker did not take a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// It has no free slot after all: another may have, or this one later. The view knows.
    Busy,
    /// It still has this very session from an earlier try, and has not noticed its end.
    Present,
    /// It cannot be had for this session; another may. The view knows.
    Elsewhere(String),
    /// It could not be reached, or what answers there makes no sense.
    Failed(String),
    /// It was ended while it waited for its browser, with these words for the client.
    Ended(String),
    /// The whole grid is draining.
    Draining,
    /// Its browser could not be reached.
    Unreachable(String),
    /// The browser keeps failing; the next try is some time away.
    BackingOff {
        /// Until then.
        wait: Duration,
        /// The last failure.
        why: String,
    },
    /// The browser did not come up.
    LaunchFailed(String),
    /// The browser's server refused the handshake, with this answer for the client.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
}

/// What becomes of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes back to its place in the line.
    Again {
        /// What went wrong, for when nothing comes of it in the end.
        why: Option<String>,
        /// Not before this has passed.
        after: Duration,
    },
    /// It is refused.
    Refuse(Refusal),
}

impl NotOpened {
    /// Reads a worker's refusal: its code, the status, its words, and when to try again.
    pub fn read(code: &str, status: u16, words: &str, retry_after: Option<Duration>) -> Self {
        let (first, words) = (words.lines().next().unwrap_or_default(), words.to_owned());
        match code {
            "busy" => Self::Busy,
            "session_present" => Self::Present,
            "draining" => Self::Elsewhere("the worker is draining".to_owned()),
            "launch_backing_off" => {
                let wait = retry_after.unwrap_or(Duration::from_secs(1));
                Self::BackingOff { wait, why: words }
            }
            "launch_failed" => Self::LaunchFailed(words),
            "ended" => Self::Ended(words),
            "browser_refused" => Self::Refused { status, body: words },
            _ => Self::Failed(format!("it answered {status}: {first}")),
        }
    }

    /// What the view learns from it: nobody is sent to a worker that failed until it has answered
    /// again.
    pub fn teach(&self, view: &mut View, target: &Target, now: Moment) {
        if let Self::Failed(why) = self {
            view.failed(&target.worker, &target.instance, why, now);
        }
    }

    /// What becomes of the session. `others` passes the worker over for this browser for that
    /// long, and says whether there are other workers for it.
    pub fn next(self, served: Served, others: impl FnOnce(Duration) -> bool) -> Next {
        let (kind, version) = served;
        let again = |why| Next::Again { why, after: Duration::ZERO };
        match self {
            Self::Busy => again(None),
            Self::Present => Next::Again { why: None, after: UNTIL_FORGOTTEN },
            Self::Elsewhere(why) | Self::Failed(why) => again(Some(why)),
            Self::Draining => Next::Refuse(Refusal::draining()),
            Self::Unreachable(why) => Next::Refuse(Refusal::no_worker(&why)),
            Self::BackingOff { wait, why } => match others(wait) {
                true => again(Some(why)),
                false => Next::Refuse(Refusal::backing_off(kind, version, wait, &why)),
            },
            Self::LaunchFailed(why) => match others(AFTER_FAILED_LAUNCH) {
                true => again(Some(why)),
                false => Next::Refuse(Refusal::launch_failed(kind, version, &why)),
            },
            Self::Ended(words) => Next::Refuse(Refusal::other(503, "ended", words)),
            Self::Refused { status, body } => {
                Next::Refuse(Refusal::other(status, "browser_refused", body))
            }
        }
    }
}

/// The code of a worker's refusal when a session is ended that waits for its browser. At the end
/// of the worker's drain another worker may take it; an operator's word is the last.
pub fn code_of(ending: &Ending) -> &'static str {
    match ending.cause {
        EndCause::DrainKill => "draining",
        _ => "ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browser::BrowserKind;
    use crate::version::PlaywrightVersion;

    const SERVED: Served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });

    #[test]
    fn what_another_worker_may_do_is_tried_again_and_the_rest_is_refused() {
        let again = |code, others| {
            let read = NotOpened::read(code, 503, "words", None);
            matches!(read.next(SERVED, |_| others), Next::Again { .. })
        };
        for code in ["busy", "session_present", "draining", "ticket_expired", "what is this"] {
            assert!(again(code, false), "{code}");
        }
        for code in ["launch_failed", "launch_backing_off"] {
            assert!(again(code, true) && !again(code, false), "{code}");
        }
        assert!(!again("browser_refused", true) && !again("ended", true));
    }
}

//! Which workers go when there are to be fewer: those that cost the least.

use std::cmp::Ordering;

use crate::browser::BrowserKind;
use crate::status::{SessionStatus, WorkerState, WorkerStatus};

/// How many workers there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// So many.
    To(usize),
    /// So many fewer.
    By(usize),
}

/// A worker that is to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Victim {
    /// The worker.
    pub worker: WorkerStatus,
    /// Its sessions as far as they are known, the oldest first.
    pub sessions: Vec<SessionStatus>,
}

impl Victim {
    /// Sessions that it has. Its own count may be newer than their list, or the list than it.
    pub fn used(&self) -> usize {
        self.sessions.len().max(self.worker.used as usize)
    }

    /// The age of its oldest session, as far as is known.
    pub fn oldest(&self) -> Option<f64> {
        self.sessions.first().map(|session| session.age_seconds)
    }

    /// Who takes no sessions any more goes first; then who has the fewest, then who has the
    /// youngest. Sessions that nobody told count as old.
    fn order(&self, other: &Self) -> Ordering {
        let stays = |victim: &Self| victim.worker.state != WorkerState::Draining;
        let age = |victim: &Self| match (victim.oldest(), victim.used()) {
            (Some(age), _) => age,
            (None, 0) => 0.0,
            (None, _) => f64::INFINITY,
        };
        let first = (stays(self), self.used()).cmp(&(stays(other), other.used()));
        first
            .then_with(|| age(self).total_cmp(&age(other)))
            .then_with(|| self.worker.id.cmp(&other.worker.id))
    }
}

/// What a scale-down comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Who goes, the cheapest first.
    pub victims: Vec<Victim>,
    /// How many workers were counted, victims among them.
    pub counted: usize,
    /// Slots of those that stay and take sessions.
    pub slots_left: u32,
    /// Slots that sessions hold now, on all that were counted.
    pub in_use: u32,
    /// Workers that are out of reach, and were not counted: nothing can be asked of them.
    pub out_of_reach: Vec<String>,
}

impl Plan {
    /// Chooses. Only workers that serve `browser` count, where one is given.
    pub fn new(
        workers: &[WorkerStatus],
        sessions: &[SessionStatus],
        goal: Goal,
        browser: Option<BrowserKind>,
    ) -> Self {
        let serves = |worker: &&WorkerStatus| {
            browser.is_none_or(|browser| worker.serves.iter().any(|served| served.0 == browser))
        };
        let gone = |worker: &&WorkerStatus| {
            matches!(worker.state, WorkerState::Unroutable | WorkerState::Dead)
        };
        let (gone, there): (Vec<_>, Vec<_>) = workers.iter().filter(serves).partition(gone);
        let mut all: Vec<_> = there.into_iter().map(|worker| victim(worker, sessions)).collect();
        all.sort_by(Victim::order);
        let counted = all.len();
        let stay = match goal {
            Goal::To(number) => number.min(counted),
            Goal::By(number) => counted.saturating_sub(number),
        };
        let in_use = all.iter().map(|one| u32::try_from(one.used()).unwrap_or(u32::MAX)).sum();
        let staying = all.split_off(counted - stay);
        let takes = |one: &&Victim| one.worker.state != WorkerState::Draining;
        Self {
            victims: all,
            counted,
            slots_left: staying.iter().filter(takes).map(|one| one.worker.slots).sum(),
            in_use,
            out_of_reach: gone.into_iter().map(|worker| worker.id.clone()).collect(),
        }
    }

    /// Whether those that stay have fewer slots than sessions run now.
    pub fn cuts_into_use(&self) -> bool {
        self.slots_left < self.in_use
    }

    /// The sessions on those that go.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionStatus> {
        self.victims.iter().flat_map(|victim| &victim.sessions)
    }
}

fn victim(worker: &WorkerStatus, sessions: &[SessionStatus]) -> Victim {
    let mut own: Vec<_> =
        sessions.iter().filter(|session| session.worker == worker.id).cloned().collect();
    own.sort_by(|a, b| b.age_seconds.total_cmp(&a.age_seconds));
    Victim { worker: worker.clone(), sessions: own }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::PlaywrightVersion;

    const V65: PlaywrightVersion = PlaywrightVersion { major: 1, minor: 65 };

    fn worker(id: &str, used: u32) -> WorkerStatus {
        let json = format!(
            r#"{{"id":"{id}","state":"available","slots":5,"used":{used},"sessions_served":0,
            "started_at":0,"serves":[["chromium","1.65"]]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn in_state(id: &str, used: u32, state: WorkerState) -> WorkerStatus {
        WorkerStatus { state, ..worker(id, used) }
    }

    fn session(worker: &str, age: f64) -> SessionStatus {
        SessionStatus {
            id: format!("{worker}-{age}"),
            browser: BrowserKind::Chromium,
            version: V65,
            isolation: "tenant".into(),
            started_at: 0,
            age_seconds: age,
            worker: worker.into(),
        }
    }

    fn chosen(plan: &Plan) -> Vec<&str> {
        plan.victims.iter().map(|victim| victim.worker.id.as_str()).collect()
    }

    #[test]
    fn those_with_the_fewest_sessions_go_and_among_equals_those_with_the_youngest() {
        let workers = [worker("a", 2), worker("b", 1), worker("c", 1), worker("d", 0)];
        let sessions =
            [session("a", 1.0), session("a", 2.0), session("b", 600.0), session("c", 3.0)];
        let plan = |goal| Plan::new(&workers, &sessions, goal, None);
        assert_eq!(chosen(&plan(Goal::To(0))), ["d", "c", "b", "a"]);
        assert_eq!(chosen(&plan(Goal::To(2))), ["d", "c"]);
        assert_eq!(chosen(&plan(Goal::By(3))), ["d", "c", "b"]);
        assert_eq!(chosen(&plan(Goal::By(9))).len(), 4);
        assert!(plan(Goal::To(4)).victims.is_empty() && plan(Goal::To(7)).victims.is_empty());
        let ids: Vec<_> = plan(Goal::By(3)).sessions().map(|s| s.id.clone()).collect();
        assert_eq!(ids, ["c-3", "b-600"]);
    }

    #[test]
    fn one_that_is_on_its_way_out_already_goes_first_so_a_second_try_takes_no_more() {
        let workers = [worker("a", 0), in_state("b", 4, WorkerState::Draining), worker("c", 0)];
        let plan = Plan::new(&workers, &[], Goal::To(2), None);
        assert_eq!(chosen(&plan), ["b"]);
        assert_eq!((plan.slots_left, plan.in_use), (10, 4));
    }

    #[test]
    fn what_is_out_of_reach_is_neither_counted_nor_chosen() {
        let workers = [
            worker("a", 1),
            in_state("b", 0, WorkerState::Unroutable),
            in_state("c", 0, WorkerState::Dead),
            in_state("d", 3, WorkerState::Stalled),
        ];
        let plan = Plan::new(&workers, &[], Goal::To(1), None);
        assert_eq!((chosen(&plan), plan.counted), (vec!["a"], 2));
        assert_eq!(plan.out_of_reach, ["b", "c"]);
    }

    #[test]
    fn sessions_that_nobody_told_count_as_old() {
        let workers = [worker("told", 1), worker("silent", 1)];
        let plan = Plan::new(&workers, &[session("told", 9000.0)], Goal::By(1), None);
        assert_eq!(chosen(&plan), ["told"]);
    }

    #[test]
    fn only_those_that_serve_the_browser_count() {
        let firefox = WorkerStatus { serves: vec![(BrowserKind::Firefox, V65)], ..worker("f", 0) };
        let workers = [firefox, worker("c", 3)];
        let plan = Plan::new(&workers, &[], Goal::To(0), Some(BrowserKind::Chromium));
        assert_eq!((chosen(&plan), plan.counted), (vec!["c"], 1));
        let none = Plan::new(&workers, &[], Goal::To(0), Some(BrowserKind::Webkit));
        assert_eq!(none.counted, 0);
    }

    #[test]
    fn a_plan_says_when_the_rest_could_not_hold_what_runs() {
        let workers = [worker("a", 5), worker("b", 4), worker("c", 1)];
        let plan = |number| Plan::new(&workers, &[], Goal::To(number), None);
        assert!(!plan(2).cuts_into_use(), "10 slots are left, and 10 are in use");
        assert!(plan(1).cuts_into_use());
    }
}

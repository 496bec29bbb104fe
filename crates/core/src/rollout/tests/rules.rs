//! The rules, one by one.

use super::*;
use crate::status::WorkerState::{Available, Busy, Dead, Draining, Starting, Unroutable};

fn life(id: &str) -> Life {
    Life { id: id.into(), life: 1 }
}

fn seen(id: &str, state: WorkerState) -> Seen {
    let new = id.starts_with("new-");
    Seen { who: life(id), new, state, slots: 5, sessions: 0, oldest: Duration::ZERO }
}

fn busy(id: &str, state: WorkerState, sessions: usize, oldest: u64) -> Seen {
    Seen { sessions, oldest: ms(oldest), ..seen(id, state) }
}

fn start(n: u32, replaces: Option<&str>) -> Action {
    Action::Start { name: format!("new-{n}"), replaces: replaces.map(str::to_owned) }
}

/// A roll that has looked around, and the first actions after that.
fn begun(plan: Plan, fleet: &[Seen]) -> (Rollout, Vec<Action>) {
    let mut roll = Rollout::new(plan).unwrap();
    let first = roll.step(ms(0), Ok(fleet));
    let begins = |a: &Action| matches!(a, Action::Start { .. } | Action::Drain(_));
    assert!(!first.iter().any(begins), "it looks first: {first:?}");
    let then = roll.step(ms(2_000), Ok(fleet));
    (roll, [first, then].concat())
}

/// Steps to where `id` is new, available and has proved itself.
fn prove(roll: &mut Rollout, fleet: &[Seen], id: &str, now: Moment) -> Vec<Action> {
    assert!(roll.step(now, Ok(fleet)).contains(&Action::Probe(life(id))));
    roll.report(Report::Probed(life(id), Ok(())), now);
    roll.step(now + ms(1), Ok(fleet))
}

#[test]
fn with_a_surge_a_new_one_proves_itself_before_an_old_one_is_drained() {
    let old = [seen("a", Available), seen("b", Available)];
    let (mut roll, first) = begun(plan(2, 0, 1, 1), &old);
    assert_eq!(first, [start(1, None)]);
    let mut fleet = [&old[..], &[seen("new-1", Starting)]].concat();
    assert_eq!(roll.step(ms(3_000), Ok(&fleet)), []);
    fleet[2].state = Available;
    assert_eq!(roll.step(ms(4_000), Ok(&fleet)), [Action::Probe(life("new-1"))]);
    assert_eq!(roll.step(ms(4_500), Ok(&fleet)), [], "it does not count before its session passed");
    roll.report(Report::Probed(life("new-1"), Ok(())), ms(4_600));
    assert_eq!(roll.step(ms(5_000), Ok(&fleet)), [Action::Drain(life("a"))]);
    fleet[0] = busy("a", Draining, 1, 9_000);
    assert_eq!(roll.step(ms(6_000), Ok(&fleet)), [], "its session goes on");
    fleet[0] = seen("a", Draining);
    assert_eq!(roll.step(ms(7_000), Ok(&fleet)), [Action::Stop(life("a"))]);
    roll.report(Report::Stopped(life("a")), ms(7_050));
    assert_eq!(roll.step(ms(7_100), Ok(&fleet)), [], "it is still to be seen: no second surge");
    assert_eq!(roll.step(ms(7_200), Ok(&fleet[1..])), [start(2, None)]);
}

#[test]
fn without_a_surge_a_new_one_takes_the_place_of_the_one_that_went() {
    let old = [seen("a", Available), seen("b", Available)];
    let (mut roll, first) = begun(plan(2, 1, 0, 1), &old);
    assert_eq!(first, [Action::Drain(life("a"))]);
    let fleet = [seen("a", Draining), seen("b", Available)];
    assert_eq!(roll.step(ms(3_000), Ok(&fleet)), [Action::Stop(life("a"))]);
    roll.report(Report::Stopped(life("a")), ms(3_100));
    assert_eq!(roll.step(ms(3_200), Ok(&fleet[1..])), [start(1, Some("a"))]);
}

#[test]
fn who_has_the_fewest_and_youngest_sessions_leaves_first_and_who_serves_nobody_before() {
    let old = [
        busy("a", Available, 3, 1_000),
        busy("b", Busy, 2, 9_000),
        busy("c", Available, 2, 4_000),
        busy("d", Unroutable, 5, 99_000),
    ];
    let (_, actions) = begun(plan(4, 3, 0, 9), &old);
    let drained = ["d", "c", "b"].map(|id| Action::Drain(life(id)));
    assert_eq!(actions, drained, "one of four stays");
}

#[test]
fn slots_are_promised_as_well_as_workers() {
    let with = |id, slots| Seen { slots, ..seen(id, Available) };
    let old = [with("big", 10), with("small", 2)];
    let (mut roll, _) = begun(plan(2, 0, 1, 1), &old);
    let fleet = [&old[..], &[with("new-1", 2)]].concat();
    let next = prove(&mut roll, &fleet, "new-1", ms(3_000));
    assert_eq!(next, [Action::Drain(life("small"))], "12 slots must stay");
    let fleet = [old[0].clone(), fleet[2].clone()];
    roll.report(Report::Stopped(life("small")), ms(4_000));
    roll.step(ms(6_000), Ok(&fleet));
    let fleet = [&fleet[..], &[with("new-2", 2)]].concat();
    assert_eq!(prove(&mut roll, &fleet, "new-2", ms(7_000)), []);
    roll.step(ms(7_100), Ok(&fleet));
    let stage = roll.stage();
    let Stage::Failed(Failure::Stuck { slots: 14, slots_floor: 12, .. }) = stage else {
        panic!("{stage:?}")
    };
}

#[test]
fn a_new_one_that_fails_its_session_is_sent_away_and_the_old_ones_are_given_back() {
    let old = [seen("a", Available), busy("b", Available, 1, 0), seen("c", Available)];
    let (mut roll, first) = begun(plan(3, 1, 1, 2), &old);
    assert_eq!(first, [Action::Drain(life("a")), start(1, None)]);
    let fleet =
        [busy("a", Draining, 1, 0), old[1].clone(), old[2].clone(), busy("new-1", Available, 1, 0)];
    assert_eq!(roll.step(ms(3_000), Ok(&fleet)), [Action::Probe(life("new-1"))]);
    roll.report(Report::Probed(life("new-1"), Err("no page".into())), ms(3_100));
    let back = roll.step(ms(3_200), Ok(&fleet));
    assert_eq!(back, [Action::Undrain(life("a")), Action::Drain(life("new-1"))]);
    assert!(matches!(roll.stage(), Stage::GivingUp(Failure::ProbeFailed { .. })));
    let fleet = [&old[..], &[seen("new-1", Draining)]].concat();
    assert_eq!(roll.step(ms(5_300), Ok(&fleet)), [Action::Stop(life("new-1"))]);
    roll.report(Report::Stopped(life("new-1")), ms(5_400));
    assert_eq!(roll.step(ms(5_500), Ok(&old)), []);
    let Stage::Failed(why) = roll.stage() else { panic!("{:?}", roll.stage()) };
    assert_eq!(why.to_string(), "new-1 is new and its first session failed: no page");
}

#[test]
fn what_was_started_and_never_seen_is_discarded() {
    let old = [seen("a", Available)];
    let (mut roll, first) = begun(plan(1, 0, 1, 1), &old);
    assert_eq!(first, [start(1, None)]);
    assert_eq!(roll.step(ms(21_000), Ok(&old)), []);
    assert_eq!(roll.step(ms(22_000), Ok(&old)), [Action::Discard { name: "new-1".into() }]);
    let Stage::Failed(why) = roll.stage() else { panic!("{:?}", roll.stage()) };
    assert_eq!(why.to_string(), "new-1 was started, and was not seen within 20 s");
}

#[test]
fn sessions_that_outlive_the_drain_are_not_cut() {
    let old = [busy("a", Available, 1, 0), busy("b", Available, 2, 0)];
    let (mut roll, _) = begun(plan(2, 1, 0, 1), &old);
    let fleet = [busy("a", Draining, 1, 0), old[1].clone()];
    assert_eq!(roll.step(ms(61_900), Ok(&fleet)), []);
    let last = roll.step(ms(62_000), Ok(&fleet));
    assert_eq!(last, [Action::Undrain(life("a"))]);
    assert_eq!(roll.step(ms(64_000), Ok(&old)), []);
    let Stage::Failed(Failure::StillInUse { sessions: 1, .. }) = roll.stage() else {
        panic!("{:?}", roll.stage())
    };
}

#[test]
fn an_order_that_cannot_be_delivered_is_given_again_and_not_for_ever() {
    let old = [seen("a", Available), seen("b", Available)];
    let (mut roll, first) = begun(plan(2, 1, 0, 1), &old);
    assert_eq!(first, [Action::Drain(life("a"))]);
    roll.report(Report::NotTold(life("a"), "no route".into()), ms(2_100));
    assert_eq!(roll.step(ms(2_400), Ok(&old)), []);
    assert_eq!(roll.step(ms(2_600), Ok(&old)), first);
    roll.report(Report::NotTold(life("a"), "no route".into()), ms(61_900));
    roll.step(ms(62_000), Ok(&old));
    let Stage::GivingUp(why) = roll.stage() else { panic!("{:?}", roll.stage()) };
    assert_eq!(why.to_string(), "a could not be told to drain: no route");
}

#[test]
fn who_dies_meanwhile_is_replaced_as_if_it_had_been_stopped() {
    let old = [seen("a", Available), seen("b", Available)];
    let (mut roll, first) = begun(plan(2, 0, 1, 1), &old);
    assert_eq!(first, [start(1, None)]);
    let fleet = [old[1].clone(), seen("new-1", Available), seen("a", Dead)];
    assert_eq!(prove(&mut roll, &fleet, "new-1", ms(3_000)), [], "two must stay");
    assert_eq!(roll.step(ms(4_000), Ok(&fleet)), [start(2, None)]);
}

#[test]
fn a_new_one_that_dies_ends_the_roll() {
    let old = [seen("a", Available), seen("b", Available)];
    let (mut roll, _) = begun(plan(2, 0, 1, 1), &old);
    let fleet = [&old[..], &[seen("new-1", Available)]].concat();
    prove(&mut roll, &fleet, "new-1", ms(3_000));
    // Another life under the same name has proved nothing.
    let mut again = fleet.clone();
    again[2].who.life = 2;
    roll.step(ms(3_500), Ok(&again));
    roll.step(ms(6_000), Ok(&again));
    let Stage::GivingUp(Failure::Lost { id }) = roll.stage() else { panic!("{:?}", roll.stage()) };
    assert_eq!(id, "new-1");
}

#[test]
fn a_paused_roll_finishes_what_it_began_and_begins_nothing() {
    let old = [seen("a", Available), seen("b", Available)];
    let (mut roll, _) = begun(plan(2, 0, 1, 1), &old);
    roll.pause();
    let fleet = [&old[..], &[seen("new-1", Available)]].concat();
    assert_eq!(prove(&mut roll, &fleet, "new-1", ms(3_000)), []);
    assert_eq!((roll.stage(), roll.is_busy()), (Stage::Paused, false));
    assert_eq!(roll.step(ms(90_000), Ok(&fleet)), []);
    roll.resume();
    assert_eq!(roll.step(ms(91_000), Ok(&fleet)), [Action::Drain(life("a"))]);
}

#[test]
fn a_roll_that_was_interrupted_is_continued_by_beginning_again() {
    let fleet = [seen("a", Draining), seen("b", Available), seen("new-0", Available)];
    let (mut roll, first) = begun(plan(2, 0, 1, 1), &fleet);
    assert_eq!(first, [Action::Stop(life("a")), Action::Probe(life("new-0"))]);
    roll.report(Report::Probed(life("new-0"), Ok(())), ms(2_500));
    roll.report(Report::Stopped(life("a")), ms(2_500));
    assert_eq!(roll.step(ms(3_000), Ok(&fleet[1..])), [start(1, Some("a"))]);
}

#[test]
fn nothing_is_begun_blindly_and_blindness_has_its_time() {
    let old = [seen("a", Available), seen("b", Available)];
    let mut roll = Rollout::new(plan(2, 1, 0, 1)).unwrap();
    assert_eq!(roll.step(ms(10_000), Err("no answer")), []);
    roll.step(ms(11_000), Ok(&old));
    assert_eq!(roll.step(ms(13_000), Ok(&old)), [Action::Drain(life("a"))]);
    assert_eq!(roll.step(ms(14_000), Err("no answer")), []);
    roll.step(ms(33_000), Err("no answer"));
    let Stage::GivingUp(why) = roll.stage() else { panic!("{:?}", roll.stage()) };
    assert_eq!(why.to_string(), "what runs could not be seen for 20 s: no answer");
    assert_eq!(roll.step(ms(33_100), Ok(&old)), [Action::Undrain(life("a"))]);
}

#[test]
fn a_plan_that_cannot_end_is_refused() {
    for (wrong, why) in [
        (plan(0, 1, 1, 1), InvalidPlan::Nothing),
        (plan(2, 0, 0, 1), InvalidPlan::NoRoom),
        (plan(2, 2, 0, 1), InvalidPlan::AllAway(2, 2)),
        (plan(2, 1, 0, 0), InvalidPlan::NoBatch),
    ] {
        assert_eq!(Rollout::new(wrong).unwrap_err(), why);
    }
    assert!(Rollout::new(plan(1, 1, 0, 1)).is_ok(), "the only one there is");
}

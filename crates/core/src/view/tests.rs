//! What a view believes, and when.

use super::*;
use crate::browser::BrowserKind;
use crate::status::WorkerState;
use crate::version::PlaywrightVersion;

const SERVED: Served = (BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 });
const TTL: Duration = Duration::from_secs(60);

fn view() -> View {
    View::new(Patience::new(TTL, Duration::from_secs(5)))
}

fn secs(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

fn id() -> WorkerId {
    WorkerId("w".into())
}

fn advert(instance: &str, seq: u64) -> Advert {
    Advert {
        id: id(),
        instance: Instance(instance.into()),
        seq,
        endpoint: format!("{instance}:3131"),
        slots: 5,
        serves: vec![SERVED],
        ..Advert::default()
    }
}

fn free(view: &View) -> usize {
    view.fleet().free(SERVED.0, SERVED.1)
}

/// Takes the one check that is due and answers it.
fn check(view: &mut View, answer: Result<Advert, String>, now: Moment) -> Check {
    let [check] = view.take_checks(now).try_into().expect("one check is due");
    view.checked(&check, answer, now);
    check
}

fn proved() -> View {
    let mut view = view();
    view.heard(advert("one", 1), secs(0));
    check(&mut view, Ok(advert("one", 2)), secs(0));
    view
}

#[test]
fn a_worker_is_chosen_only_after_it_was_dialled_back() {
    let mut view = view();
    assert_eq!(view.heard(advert("one", 1), secs(0)), Heard::Taken);
    assert_eq!(free(&view), 0);
    let asked = check(&mut view, Ok(advert("one", 2)), secs(0));
    assert_eq!(asked.endpoint, "one:3131");
    assert_eq!(free(&view), 5);
    assert_eq!(view.take_notices(), [Notice::Routable(id())]);
}

#[test]
fn who_answers_as_somebody_else_or_not_at_all_is_unroutable_and_tried_again() {
    let mut view = view();
    view.heard(advert("one", 1), secs(0));
    let other = Advert { id: WorkerId("v".into()), ..advert("one", 2) };
    check(&mut view, Ok(other), secs(0));
    assert_eq!(free(&view), 0);
    assert!(view.take_checks(secs(0)).is_empty());
    check(&mut view, Err("refused".into()), secs(1));
    assert_eq!(view.worker(&id()).unwrap().state(TTL, secs(1)), WorkerState::Unroutable);
    check(&mut view, Ok(advert("one", 9)), secs(9));
    assert_eq!(free(&view), 5);
}

#[test]
fn an_older_advert_never_replaces_a_newer() {
    let mut view = proved();
    let full = Advert { used: 5, ..advert("one", 4) };
    assert_eq!(view.heard(full, secs(1)), Heard::Taken);
    assert_eq!(view.heard(advert("one", 3), secs(2)), Heard::Old);
    assert_eq!(free(&view), 0);
}

#[test]
fn a_worker_at_a_new_address_proves_itself_again() {
    let mut view = proved();
    let moved = Advert { endpoint: "elsewhere:1".into(), ..advert("one", 3) };
    view.heard(moved.clone(), secs(1));
    assert_eq!(free(&view), 0);
    let asked = check(&mut view, Ok(Advert { seq: 4, ..moved }), secs(1));
    assert_eq!(asked.endpoint, "elsewhere:1");
    assert_eq!(free(&view), 5);
}

#[test]
fn of_two_live_workers_with_one_name_the_first_stays_and_costs_nobody() {
    let mut view = proved();
    view.take_notices();
    assert_eq!(view.heard(advert("two", 1), secs(1)), Heard::Contested);
    assert_eq!(free(&view), 5, "sessions go on meanwhile");
    check(&mut view, Ok(advert("one", 3)), secs(1));
    let (holder, rejected) = ("one:3131".to_owned(), "two:3131".to_owned());
    assert_eq!(view.take_notices(), [Notice::Duplicate { id: id(), holder, rejected }]);
    view.heard(advert("two", 2), secs(2));
    assert!(view.take_checks(secs(2)).is_empty(), "it is not asked about at every advert");
}

#[test]
fn a_worker_that_started_again_takes_its_own_place_at_once() {
    let mut view = proved();
    let again = Advert { endpoint: "one:3131".into(), ..advert("two", 1) };
    view.heard(again.clone(), secs(1));
    check(&mut view, Ok(again.clone()), secs(1));
    let asked = check(&mut view, Ok(Advert { seq: 2, ..again }), secs(1));
    assert_eq!(asked.instance, Instance("two".into()));
    assert_eq!(free(&view), 5);
}

#[test]
fn a_worker_that_failed_a_session_waits_for_its_next_answer() {
    let mut view = proved();
    view.failed(&id(), &Instance("one".into()), "refused", secs(1));
    assert_eq!(free(&view), 0);
    view.heard(advert("one", 3), secs(1));
    assert_eq!(free(&view), 0, "the registry's word is not enough");
    check(&mut view, Ok(advert("one", 4)), secs(2));
    assert_eq!(free(&view), 5);
}

#[test]
fn a_silent_worker_takes_no_new_sessions_after_its_ttl_and_comes_back_by_proof() {
    let mut view = proved();
    view.tick(secs(59));
    assert_eq!(free(&view), 5);
    view.tick(secs(60));
    assert_eq!(free(&view), 0);
    assert_eq!(view.worker(&id()).unwrap().state(TTL, secs(60)), WorkerState::Dead);
    view.heard(advert("one", 3), secs(70));
    assert_eq!(free(&view), 0);
    check(&mut view, Ok(advert("one", 4)), secs(70));
    assert_eq!(free(&view), 5);
    view.tick(secs(130));
    view.tick(secs(190));
    assert!(view.worker(&id()).is_none(), "the dead are forgotten");
}

#[test]
fn without_the_registry_nobody_expires_and_workers_are_asked_directly() {
    let mut view = proved();
    view.lost_registry(secs(10));
    view.tick(secs(500));
    assert_eq!(free(&view), 5);
    check(&mut view, Ok(Advert { used: 2, ..advert("one", 3) }), secs(500));
    assert_eq!(free(&view), 3);
    check(&mut view, Ok(Advert { used: 1, ..advert("one", 4) }), secs(505));
    assert_eq!(free(&view), 4);
    view.found_registry(secs(600));
    view.tick(secs(659));
    assert_eq!(free(&view), 4);
    view.tick(secs(660));
    assert_eq!(free(&view), 0);
}

#[test]
fn without_the_registry_a_worker_whose_session_ended_is_asked_soon_and_then_less_and_less() {
    let mut view = proved();
    assert!(!view.ask_again(&id(), secs(1)), "the registry tells");
    view.lost_registry(secs(10));
    check(&mut view, Ok(advert("one", 3)), secs(15));
    assert!(view.ask_again(&id(), secs(16)));
    let mut waits = Vec::new();
    let mut now = secs(16);
    for seq in 4..12 {
        let at = view.next_check().unwrap();
        waits.push((at - now).as_millis());
        now = at;
        check(&mut view, Ok(advert("one", seq)), now);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
}

#[test]
fn what_ended_just_before_the_registry_was_lost_is_asked_for_soon() {
    for (ended, wait) in [(secs(9), Duration::from_millis(100)), (secs(3), secs(5))] {
        let mut view = proved();
        view.ask_again(&id(), ended);
        view.lost_registry(secs(10));
        assert_eq!(view.next_check(), Some(secs(10) + wait));
    }
}

#[test]
fn a_ticket_ends_by_the_workers_own_clock() {
    let mut view = view();
    let now = Advert { uptime_ms: 100_000, ..advert("one", 1) };
    view.heard(now, secs(10));
    let until = |view: &View, at| view.worker(&id()).unwrap().uptime_in(secs(30), at);
    assert_eq!(until(&view, secs(12)), 132_000);
    let late = Advert { uptime_ms: 101_000, ..advert("one", 2) };
    view.heard(late, secs(20));
    assert_eq!(until(&view, secs(20)), 140_000, "late adverts do not set the clock back");
}

#[test]
fn a_worker_that_says_goodbye_is_gone_but_not_its_successor() {
    let mut view = proved();
    view.left(&id(), &Instance("earlier".into()));
    assert_eq!(free(&view), 5);
    view.left(&id(), &Instance("one".into()));
    assert_eq!(view.workers().count(), 0);
    assert_eq!(view.next_check(), None);
}

#[test]
fn a_worker_that_cannot_launch_is_passed_over_for_a_while_if_there_is_another() {
    let mut view = proved();
    assert!(!view.ailing(&id(), SERVED, secs(5)), "there is no other");
    assert_eq!(free(&view), 5);
    let other = Advert { id: WorkerId("v".into()), ..advert("v", 1) };
    view.heard(other.clone(), secs(0));
    check(&mut view, Ok(Advert { seq: 2, ..other }), secs(0));
    assert!(view.ailing(&id(), SERVED, secs(5)));
    assert!(view.ailing(&id(), SERVED, secs(5)), "the next session there finds out the same");
    assert_eq!(free(&view), 5);
    view.tick(secs(5));
    assert_eq!(free(&view), 10);
}

#[test]
fn a_worker_whose_heartbeat_is_too_slow_for_this_gateway_is_told_of() {
    let mut view = view();
    view.heard(Advert { heartbeat_ms: 60_000, ..advert("one", 1) }, secs(0));
    let told = Notice::Mistimed { id: id(), heartbeat: secs(60), ttl: TTL };
    assert_eq!(view.take_notices(), [told]);
    view.heard(Advert { heartbeat_ms: 60_000, ..advert("one", 2) }, secs(1));
    assert_eq!(view.take_notices(), [], "once");
}

//! Orders are carried out, and hold from the answer on.

use flotilla_core::SessionId;
use flotilla_core::ending::EndCause;

use super::*;
use crate::fake::{SWITCH, publishing};
use crate::session::OpenError;
use crate::session::tests::{open, shared, until_used};
use crate::supervisor::AdmitError;

fn worker(slots: usize) -> Worker {
    publishing(SWITCH, slots, |_| {}).0
}

fn end(name: &str, reason: &str) -> Deed {
    Deed::End { session: SessionId(name.to_owned()), reason: reason.to_owned() }
}

async fn served(worker: &Worker) -> u64 {
    worker.inspect().await.unwrap().sessions_served
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_admitted_after_a_drain_was_acknowledged_however_many_come() {
    let mut admitted_before = 0;
    for round in 0..20 {
        let worker = worker(1000);
        let comers: Vec<_> = (0..200)
            .map(|n| {
                let worker = worker.clone();
                tokio::spawn(async move { open(&worker, &format!("s{n}"), shared()).await.is_ok() })
            })
            .collect();
        while round > 0 && served(&worker).await < 20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(worker.carry_out(Deed::Drain).await, Outcome::Done);
        let at_the_answer = served(&worker).await;
        let mut got_in = 0;
        for comer in comers {
            got_in += u64::from(comer.await.unwrap());
        }
        assert_eq!(served(&worker).await, at_the_answer, "after the answer nobody is admitted");
        assert_eq!(got_in, at_the_answer);
        admitted_before += usize::from((1..200).contains(&at_the_answer));
    }
    assert!(admitted_before > 0, "not exercised: no drain came while clients were coming");
}

#[tokio::test]
async fn a_drain_can_be_called_off_and_a_shutdown_cannot() {
    let worker = worker(5);
    assert_eq!(worker.carry_out(Deed::Drain).await, Outcome::Done);
    assert!(open(&worker, "s1", shared()).await.is_err());
    assert_eq!(worker.carry_out(Deed::Undrain).await, Outcome::Done);
    let live = open(&worker, "s2", shared()).await.unwrap();

    let mut leaving = worker.leaving();
    let shutdown = Deed::Shutdown { within_seconds: Some(7) };
    assert_eq!(worker.carry_out(shutdown).await, Outcome::Done);
    let within = Some(Duration::from_secs(7));
    assert_eq!(*leaving.borrow_and_update(), Some(Leave { within }));
    assert_eq!(worker.carry_out(Deed::Undrain).await, Outcome::Leaving);
    assert!(open(&worker, "s3", shared()).await.is_err());
    assert_eq!(worker.inspect().await.unwrap().used, 1, "who is there stays");
    drop(live);
    worker.leave().await;
}

#[tokio::test]
async fn a_session_is_ended_with_the_operators_words_and_no_other_is() {
    let worker = worker(5);
    let ended = open(&worker, "s1", shared()).await.unwrap();
    let mut other = open(&worker, "s2", shared()).await.unwrap();
    assert_eq!(worker.carry_out(end("s1", "it hangs")).await, Outcome::Done);
    let ending = ended.ending.await.unwrap();
    assert_eq!((ending.cause, ending.code), (EndCause::Operator, 4000));
    assert!(ending.reason.ends_with(": it hangs"), "{}", ending.reason);
    assert!(other.ending.try_recv().is_err());
    drop(ended.lease);
    until_used(&worker, 1).await;
    assert_eq!(worker.carry_out(end("s1", "again")).await, Outcome::NoSuchSession);
    let Outcome::Sessions { sessions } = worker.carry_out(Deed::Sessions).await else {
        panic!("it tells its sessions")
    };
    assert_eq!(sessions.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["s2"]);
}

#[tokio::test]
async fn a_session_that_waits_for_its_browser_can_be_ended_too() {
    let (worker, fake) = publishing(SWITCH, 1, |_| {});
    fake.hold.send_replace(true);
    let opening = tokio::spawn({
        let worker = worker.clone();
        async move { open(&worker, "s1", shared()).await.map(drop) }
    });
    until_used(&worker, 1).await;
    assert_eq!(worker.carry_out(end("s1", "not needed")).await, Outcome::Done);
    match opening.await.unwrap() {
        Err(OpenError::Admit(AdmitError::Ended(ending))) => {
            assert!(ending.reason.contains("not needed"), "{}", ending.reason);
        }
        other => panic!("{other:?}"),
    }
    until_used(&worker, 0).await;
    fake.hold.send_replace(false);
    open(&worker, "s2", shared()).await.unwrap();
}

//! Sessions on a worker whose browsers are unix sockets that answer handshakes.

use std::sync::atomic::Ordering;

use flotilla_core::ending::EndCause;
use flotilla_core::pool::Sharing;

use super::*;
use crate::fake::{KIND, SWITCH, V, handshake, worker};

pub(crate) async fn open(
    worker: &Worker,
    name: &str,
    sharing: Sharing,
) -> Result<Opened, OpenError> {
    let demand = Demand { kind: KIND, version: V, sharing };
    worker.open(SessionId(name.to_owned()), demand, handshake(), |_| {}).await
}

pub(crate) fn shared() -> Sharing {
    Sharing::Tenant("t".to_owned())
}

async fn used(worker: &Worker) -> u32 {
    worker.inspect().await.unwrap().used
}

pub(crate) async fn until_used(worker: &Worker, slots: u32) {
    let reached = async {
        while used(worker).await != slots {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.expect("slots leaked");
}

#[tokio::test]
async fn the_handshake_goes_on_with_its_key_and_without_its_secrets() {
    let (worker, fake) = worker(SWITCH, 1);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    assert_eq!(opened.response.status, 101);
    let request = fake.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /secret?session=s1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "{request}");
    assert!(request.contains("permessage-deflate"), "{request}");
    for gone in ["hidden", "grid:8080", "x-playwright"] {
        assert!(!request.contains(gone), "{gone} went on: {request}");
    }
}

#[tokio::test]
async fn a_dropped_lease_frees_the_slot_once_the_contexts_are_disposed() {
    let (worker, fake) = worker(SWITCH, 1);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    assert!(open(&worker, "s2", shared()).await.unwrap_err().is_busy());
    assert_eq!(used(&worker).await, 1);
    drop(opened);
    until_used(&worker, 0).await;
    assert_eq!(*fake.released.lock().unwrap(), ["s1"]);
    open(&worker, "s3", shared()).await.unwrap();
}

#[tokio::test]
async fn a_browser_that_dies_ends_its_sessions_with_a_reason() {
    let (worker, fake) = worker(SWITCH, 5);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    fake.kill_all();
    let ending = opened.ending.await.unwrap();
    assert_eq!(ending.cause, EndCause::WorkerCrash);
    assert!(ending.reason.contains("killed by signal 9"), "{}", ending.reason);
    until_used(&worker, 0).await;
    open(&worker, "s2", shared()).await.expect("a replacement");
}

#[tokio::test]
async fn a_browser_of_ones_own_goes_with_its_session() {
    let (worker, fake) = worker(SWITCH, 5);
    let opened = open(&worker, "s1", Sharing::Alone).await.unwrap();
    assert_eq!(fake.running.lock().unwrap().len(), 1);
    drop(opened);
    until_used(&worker, 0).await;
    assert!(fake.running.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_launch_that_fails_refuses_the_session_and_frees_its_slot() {
    let (worker, fake) = worker(SWITCH, 5);
    fake.fail.store(true, Ordering::SeqCst);
    let error = open(&worker, "s1", shared()).await.unwrap_err();
    assert!(error.to_string().contains("no display"), "{error}");
    assert_eq!(used(&worker).await, 0);
}

#[tokio::test]
async fn a_server_that_says_no_is_quoted_and_the_slot_is_free_again() {
    let (worker, _fake) =
        worker("HTTP/1.1 428 Precondition Required\r\nContent-Length: 5\r\n\r\nno.\r\n", 1);
    match open(&worker, "s1", shared()).await {
        Err(OpenError::Refused { status: 428, body }) => assert_eq!(body, "no."),
        other => panic!("{other:?}"),
    }
    until_used(&worker, 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_gives_its_slot_back() {
    let (worker, fake) = worker(SWITCH, 1);
    fake.fail.store(false, Ordering::SeqCst);
    let (taken, told) = oneshot::channel();
    let demand = Demand { kind: KIND, version: V, sharing: shared() };
    let opening = worker.open(SessionId("s1".to_owned()), demand, handshake(), move |_| {
        let _ = taken.send(());
    });
    tokio::select! {
        biased;
        _ = told => {}
        _ = opening => {}
    }
    until_used(&worker, 0).await;
}

#[tokio::test]
async fn a_drain_admits_nobody_and_ends_with_the_last_session() {
    let (worker, fake) = worker(SWITCH, 5);
    let opened = open(&worker, "s1", shared()).await.unwrap();
    let draining = tokio::spawn({
        let worker = worker.clone();
        async move { worker.drain().await }
    });
    while worker.inspect().await.unwrap().state != flotilla_core::status::WorkerState::Draining {
        tokio::task::yield_now().await;
    }
    assert!(open(&worker, "s2", shared()).await.is_err());
    worker.end_all(Ending::drained());
    assert_eq!(opened.ending.await.unwrap().cause, EndCause::DrainKill);
    assert!(!draining.is_finished());
    drop(opened.lease);
    draining.await.unwrap();
    assert!(fake.running.lock().unwrap().is_empty());
}

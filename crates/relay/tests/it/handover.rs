//! Relays that are handed over, again and again, at any byte: nobody notices.

#![expect(clippy::unwrap_used, reason = "all of it is tests, the helpers too")]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_relay::{
    CloseReason, Counters, Outcome, Parked, RelayOptions, Relayed, Socket, relay_until,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::random::{Traffic, exchange, traffic};
use crate::rig::{LOST, Rig, eventually, tcp_pair};
use crate::wire::{close, frame, next_frame, text};

/// Everything that the next process gets: bytes, and two connections.
fn into_another_process(mut parked: Parked, counters: &Counters) -> (Parked, Counters) {
    let state = parked.state(counters).expect("it has a state");
    let (client, upstream) = parked.connections();
    let own = |fd: std::os::fd::BorrowedFd<'_>| -> OwnedFd { fd.try_clone_to_owned().unwrap() };
    let (client, upstream) = (own(client), own(upstream));
    drop(parked);
    Parked::revived(&state, client, upstream).expect("it is a state")
}

/// Relays to the end, and moves whenever `moves` says so.
async fn relay_moving<F: Future<Output = ()>>(
    client: Socket,
    upstream: Socket,
    options: RelayOptions,
    moved: Arc<AtomicUsize>,
    mut moves: impl FnMut() -> F,
) -> (Outcome, Counters) {
    let mut parked = Box::new(Parked::new(client, upstream));
    let mut counters = Counters::default();
    loop {
        let ended = std::future::pending();
        let lost = || async { CloseReason::new(CloseReason::INTERNAL_ERROR, LOST) };
        match relay_until(parked, &options, &counters, ended, lost, moves()).await {
            Relayed::Ended(outcome) => return (outcome, counters),
            Relayed::Parked(there, ()) => {
                let (there, counted) = into_another_process(*there, &counters);
                (parked, counters) = (Box::new(there), counted);
                moved.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A frame of every kind, a message in parts with a ping in between, and lengths of all forms.
fn one_of_each(masked: bool) -> Vec<u8> {
    [
        text(b"hello", masked),
        frame(0x82, &[7; 200], masked),
        frame(0x01, b"in ", masked),
        frame(0x89, b"longer than ours", masked),
        frame(0x00, b"three ", masked),
        frame(0x80, b"parts", masked),
        frame(0xC1, &[], masked),
        frame(0x8A, b"nobody asked", masked),
    ]
    .concat()
}

#[tokio::test]
async fn a_relay_goes_on_from_every_byte_of_a_stream() {
    for masked in [true, false] {
        let sent = one_of_each(masked);
        for cut in 0..=sent.len() {
            goes_on_from(cut, &sent, masked).await;
        }
    }
}

async fn goes_on_from(cut: usize, sent: &[u8], up: bool) {
    let (mut client, theirs) = tcp_pair().await;
    let (mut upstream, browser) = UnixStream::pair().unwrap();
    let (tell, told) = mpsc::channel::<()>(1);
    let told = Arc::new(tokio::sync::Mutex::new(told));
    let moved = Arc::new(AtomicUsize::new(0));
    let moves = move || {
        let told = told.clone();
        async move {
            if told.lock().await.recv().await.is_none() {
                std::future::pending().await
            }
        }
    };
    let options = RelayOptions::default();
    let relay = relay_moving(theirs.into(), browser.into(), options, moved.clone(), moves);
    let relay = tokio::spawn(relay);
    let mut got = vec![0; sent.len()];
    let (first, rest) = sent.split_at(cut);
    let peers = async {
        if up {
            pass(&mut client, &mut upstream, first, &mut got[..cut]).await;
        } else {
            pass(&mut upstream, &mut client, first, &mut got[..cut]).await;
        }
        tell.send(()).await.unwrap();
        eventually("it moved", || moved.load(Ordering::Relaxed) == 1).await;
        if up {
            pass(&mut client, &mut upstream, rest, &mut got[cut..]).await;
        } else {
            pass(&mut upstream, &mut client, rest, &mut got[cut..]).await;
        }
        client.write_all(&close(1000, "bye", true)).await.unwrap();
        assert_eq!(next_frame(&mut upstream).await.unwrap().closing(), (1000, "bye"));
        upstream.write_all(&close(1000, "bye", false)).await.unwrap();
        assert_eq!(next_frame(&mut client).await.unwrap().closing(), (1000, "bye"));
    };
    peers.await;
    drop((client, upstream));
    assert!(got == sent, "cut at {cut}");
    let (outcome, counters) = relay.await.unwrap();
    let (passed, counted) =
        if up { (outcome.up, &counters.up) } else { (outcome.down, &counters.down) };
    assert_eq!((passed.frames, passed.messages), (9, 4), "cut at {cut}: with the close");
    assert_eq!(passed.bytes, sent.len() as u64 + if up { 11 } else { 7 });
    assert_eq!(counted.written(), passed.bytes);
}

async fn pass<A, B>(from: &mut A, to: &mut B, bytes: &[u8], got: &mut [u8])
where
    A: AsyncWriteExt + Unpin,
    B: AsyncReadExt + Unpin,
{
    from.write_all(bytes).await.unwrap();
    to.read_exact(got).await.unwrap();
}

#[tokio::test]
async fn a_session_that_says_goodbye_stays_where_it_is() {
    let (mut client, theirs) = tcp_pair().await;
    let (mut upstream, browser) = UnixStream::pair().unwrap();
    let (tell, told) = tokio::sync::oneshot::channel::<tokio::sync::oneshot::Sender<()>>();
    let (reply, answered) = tokio::sync::oneshot::channel();
    let relay = tokio::spawn(async move {
        let parked = Box::new(Parked::new(Socket::from(theirs), Socket::from(browser)));
        let (options, counters) = (RelayOptions::default(), Counters::default());
        let lost = || async { CloseReason::new(CloseReason::INTERNAL_ERROR, LOST) };
        let ended = std::future::pending();
        matches!(
            relay_until(parked, &options, &counters, ended, lost, told).await,
            Relayed::Ended(_)
        )
    });
    client.write_all(&close(1000, "bye", true)).await.unwrap();
    assert_eq!(next_frame(&mut upstream).await.unwrap().closing(), (1000, "bye"));
    tell.send(reply).unwrap();
    assert!(answered.await.is_err(), "nobody gets it");
    upstream.write_all(&close(1000, "bye", false)).await.unwrap();
    assert_eq!(next_frame(&mut client).await.unwrap().closing(), (1000, "bye"));
    drop((client, upstream));
    assert!(relay.await.unwrap(), "it came to its end");
}

#[tokio::test]
async fn what_is_no_state_is_refused() {
    let (_client, theirs) = tcp_pair().await;
    let (_upstream, browser) = UnixStream::pair().unwrap();
    let mut parked = Parked::new(theirs, browser);
    let good = parked.state(&Counters::default()).unwrap();
    let fd = || -> OwnedFd { std::os::unix::net::UnixStream::pair().unwrap().0.into() };
    assert!(Parked::revived(&good, fd(), fd()).is_ok());
    for len in 0..good.len() {
        assert!(Parked::revived(&good[..len], fd(), fd()).is_err(), "the first {len} bytes");
    }
    let more = [&good[..], b"x"].concat();
    assert!(Parked::revived(&more, fd(), fd()).is_err());
    let json = String::from_utf8_lossy(&good).into_owned();
    for wrong in [r#""opcode":7"#, r#""opcode":99"#] {
        let bytes = json.replace(r#""opcode":0"#, wrong).into_bytes();
        assert!(Parked::revived(&bytes, fd(), fd()).is_err(), "{wrong}");
    }
}

async fn exchange_moving(up: &Traffic, down: &Traffic, steps: Vec<usize>, tcp: bool) -> usize {
    let options =
        RelayOptions { ping_interval: Duration::from_millis(1), ..RelayOptions::default() };
    let mut steps = steps.into_iter().cycle();
    let moves = move || {
        let polls = steps.next().unwrap_or(1);
        async move {
            for _ in 0..polls {
                tokio::task::yield_now().await;
            }
        }
    };
    let moved = Arc::new(AtomicUsize::new(0));
    let (upstream, browser) = UnixStream::pair().unwrap();
    let spare = UnixStream::pair().unwrap();
    if tcp {
        let (client, theirs) = tcp_pair().await;
        let relay = relay_moving(theirs.into(), browser.into(), options, moved.clone(), moves);
        let relay = tokio::spawn(async move { relay.await.0 });
        let rig = Rig::of(client, upstream, relay);
        exchange(rig, up, down, (tcp_pair().await.0, spare.0)).await;
    } else {
        let (client, theirs) = UnixStream::pair().unwrap();
        let relay = relay_moving(theirs.into(), browser.into(), options, moved.clone(), moves);
        let relay = tokio::spawn(async move { relay.await.0 });
        exchange(Rig::of(client, upstream, relay), up, down, spare).await;
    }
    moved.load(Ordering::Relaxed)
}

#[test]
fn any_traffic_survives_any_number_of_handovers() {
    const CASES: u32 = 100;
    // At its first turn a relay only learns that it may read.
    let steps = prop::collection::vec(2..60usize, 1..6);
    let any_case = (traffic(), traffic(), steps, any::<bool>());
    let handed_over = AtomicUsize::new(0);
    let tried = TestRunner::new(ProptestConfig::with_cases(CASES)).run(
        &any_case,
        |(up, down, steps, tcp)| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let moved = runtime.block_on(exchange_moving(&up, &down, steps, tcp));
            handed_over.fetch_add(moved, Ordering::Relaxed);
            Ok(())
        },
    );
    tried.unwrap_or_else(|why| panic!("{why}"));
    // Some streams are over before anything can happen.
    let handed_over = handed_over.into_inner();
    assert!(handed_over > 10 * CASES as usize, "only {handed_over} handovers");
}

//! Silence: fine while pongs come, the end when they do not.

use std::time::Duration;

use flotilla_relay::{EndedBy, How, RelayOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::rig::{LOST, unix_rig, unix_rig_with};
use crate::wire::{frame, next_frame, text};

/// Answers pings until the stream ends; gives back the last frame that was none.
async fn answer_pings(mut stream: UnixStream, masked: bool) -> (u32, Option<crate::wire::Frame>) {
    let (mut pings, mut last) = (0, None);
    while let Some(got) = next_frame(&mut stream).await {
        if got.is_ping() {
            pings += 1;
            assert_eq!(got.masked, !masked, "the relay is each side's peer");
            if stream.write_all(&frame(0x8A, &got.payload, masked)).await.is_err() {
                break;
            }
        } else {
            last = Some(got);
        }
    }
    (pings, last)
}

fn spare() -> UnixStream {
    UnixStream::pair().expect("a pair").0
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_silence_is_fine_while_pongs_come() {
    let mut rig = unix_rig();
    let client = tokio::spawn(answer_pings(std::mem::replace(&mut rig.client, spare()), true));
    let upstream = std::mem::replace(&mut rig.upstream, spare());
    let upstream = tokio::spawn(answer_pings(upstream, false));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!rig.is_over(), "the session is alive");
    assert_eq!(rig.counters.up.frames(), 0, "pongs to our pings are not the client's frames");
    assert_eq!(rig.counters.up.written(), 0, "nor are they passed on");
    rig.end(1001, "enough");
    let outcome = rig.outcome_while_open().await;
    assert_eq!(outcome.ended_by, EndedBy::Relay);
    for side in [client, upstream] {
        let (pings, last) = side.await.unwrap();
        assert!((179..=181).contains(&pings), "{pings} pings in an hour");
        assert_eq!(last.unwrap().closing().0, 1001);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_silent_for_60_s_is_dead() {
    let mut rig = unix_rig();
    rig.client.write_all(&text(b"hello", true)).await.unwrap();
    next_frame(&mut rig.upstream).await.unwrap();
    let start = Instant::now();
    let upstream = std::mem::replace(&mut rig.upstream, spare());
    let upstream = tokio::spawn(answer_pings(upstream, false));
    let outcome = rig.outcome_while_open().await;
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Client, How::Timeout));
    assert!((60..=62).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let (_, last) = upstream.await.unwrap();
    assert_eq!(last.unwrap().closing().0, 1001, "the upstream is told");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_silent_for_60_s_is_dead_and_the_client_is_told_why() {
    let mut rig = unix_rig();
    let client = tokio::spawn(answer_pings(std::mem::replace(&mut rig.client, spare()), true));
    let start = Instant::now();
    let outcome = rig.outcome_while_open().await;
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Upstream, How::Timeout));
    assert!((60..=63).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let (_, last) = client.await.unwrap();
    assert_eq!(last.unwrap().closing(), (1011, LOST));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_not_dead() {
    let mut rig = unix_rig();
    let upstream = std::mem::replace(&mut rig.upstream, spare());
    // The upstream sends without end and reads nothing but what it must.
    let (mut reading, mut writing) = upstream.into_split();
    let sending = tokio::spawn(async move {
        let chunk = text(&[b'x'; 60_000], false);
        while writing.write_all(&chunk).await.is_ok() {}
    });
    let sink =
        tokio::spawn(async move { while reading.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {} });
    let mut buffer = vec![0; 100_000];
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(rig.client.read(&mut buffer).await.unwrap() > 0, "the session goes on");
    }
    assert!(!rig.is_over());
    rig.outcome().await;
    sending.await.unwrap();
    sink.await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_for_too_long_is_dead() {
    // An endless sender keeps the runtime busy, so paused time would never advance.
    let client_timeout = Duration::from_millis(300);
    let options = RelayOptions {
        client_timeout,
        boundary_timeout: Duration::from_millis(100),
        close_timeout: Duration::from_millis(100),
        ..RelayOptions::default()
    };
    let mut rig = unix_rig_with(options);
    let upstream = std::mem::replace(&mut rig.upstream, spare());
    let (mut reading, mut writing) = upstream.into_split();
    let sending = tokio::spawn(async move {
        let chunk = text(&[b'x'; 60_000], false);
        while writing.write_all(&chunk).await.is_ok() {}
    });
    let sink =
        tokio::spawn(async move { while reading.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {} });
    let start = Instant::now();
    let outcome = rig.outcome_while_open().await;
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Client, How::Timeout));
    assert!(start.elapsed() >= client_timeout);
    sending.await.unwrap();
    sink.await.unwrap();
}

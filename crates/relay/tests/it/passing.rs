//! Bytes pass as they are.

use std::time::Duration;

use bytes::Bytes;
use flotilla_relay::{RelayOptions, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::rig::{eventually, start, tcp_pair, tcp_rig, tcp_rig_with};
use crate::wire::{close, frame, next_frame, text};

/// What one direction may hold: one buffer.
const BOUND: u64 = 64 * 1024;
/// What it may have under way in the kernel when the frame is large.
const PIPE: u64 = 256 * 1024;

#[tokio::test]
async fn messages_pass_both_ways_and_are_counted() {
    let mut rig = tcp_rig().await;
    let question = text(b"question", true);
    let answer = text(b"answer", false);
    for _ in 0..3 {
        rig.client.write_all(&question).await.unwrap();
        assert_eq!(next_frame(&mut rig.upstream).await.unwrap().raw, question);
        rig.upstream.write_all(&answer).await.unwrap();
        assert_eq!(next_frame(&mut rig.client).await.unwrap().raw, answer);
    }
    let up = &rig.counters.up;
    assert_eq!((up.messages(), up.frames(), up.read()), (3, 3, 3 * question.len() as u64));
    let outcome = rig.outcome().await;
    assert_eq!(outcome.down.messages, 3);
    assert_eq!(outcome.down.bytes, 3 * answer.len() as u64);
    assert!(outcome.first_byte.is_some());
}

#[tokio::test]
async fn what_was_read_behind_the_handshakes_comes_first() {
    let (mut client, theirs) = tcp_pair().await;
    let (upstream, mut browser) = UnixStream::pair().unwrap();
    let (early_up, early_down) = (text(b"first", true), text(b"hello", false));
    let theirs = Socket::from(theirs).with_leftover(Bytes::from(early_up.clone()));
    let upstream = Socket::from(upstream).with_leftover(Bytes::from(early_down.clone()));
    client.write_all(&text(b"second", true)).await.unwrap();
    let rig = start((), (), theirs, upstream, RelayOptions::default());
    assert_eq!(next_frame(&mut client).await.unwrap().raw, early_down);
    assert_eq!(next_frame(&mut browser).await.unwrap().raw, early_up);
    assert_eq!(next_frame(&mut browser).await.unwrap().payload, b"second");
    drop((client, browser));
    assert_eq!(rig.outcome().await.up.messages, 2);
}

#[tokio::test]
async fn messages_in_parts_and_compressed_ones_pass() {
    let mut rig = tcp_rig().await;
    let parts = [
        frame(0x01, b"one ", false),
        frame(0x89, b"are you there", false),
        frame(0x00, b"message in ", false),
        frame(0x80, b"parts", false),
        frame(0xC2, &[7; 20_000], false),
        frame(0x41, b"deflated", false),
        frame(0x80, b"in parts", false),
    ];
    rig.upstream.write_all(&parts.concat()).await.unwrap();
    for part in &parts {
        assert_eq!(&next_frame(&mut rig.client).await.unwrap().raw, part);
    }
    let outcome = rig.outcome().await;
    assert_eq!((outcome.down.messages, outcome.down.frames), (3, 7));
}

#[tokio::test]
async fn a_message_of_120_mb_passes_in_bounded_memory() {
    let mut rig = tcp_rig().await;
    let big = 120 * 1024 * 1024;
    let message = text(&vec![b'x'; big], false);
    let end = close(1000, "", false);
    let counters = std::sync::Arc::clone(&rig.counters);
    let (mut from, mut to) = (rig.upstream, rig.client);
    let sending = tokio::spawn(async move {
        from.write_all(&message).await.unwrap();
        from.write_all(&end).await.unwrap();
        from
    });
    let mut got = 0;
    let mut buffer = vec![0; 1 << 20];
    let mut most = 0;
    while got < big + 10 {
        got += to.read(&mut buffer).await.unwrap();
        let written = counters.down.written();
        most = most.max(counters.down.read().saturating_sub(written));
    }
    // The two counters are not read in the same instant: a second batch may have come meanwhile.
    assert!(most <= 2 * PIPE, "{most} bytes were held");
    rig.upstream = sending.await.unwrap();
    rig.client = to;
    let outcome = rig.outcome().await;
    assert_eq!((outcome.down.messages, outcome.down.frames), (1, 2));
}

#[tokio::test]
async fn a_slow_reader_holds_one_buffer_and_stops_only_its_own_direction() {
    read_slowly(60_000, BOUND).await;
}

#[tokio::test]
async fn a_slow_reader_of_large_frames_holds_one_pipe() {
    read_slowly(1 << 20, PIPE).await;
}

async fn read_slowly(payload: usize, bound: u64) {
    let mut rig = tcp_rig().await;
    let chunk = text(&vec![b'y'; payload], false);
    // The client does not read, so the upstream cannot send on.
    let mut sent = 0;
    loop {
        let writing = rig.upstream.write(&chunk[sent % chunk.len()..]);
        match tokio::time::timeout(Duration::from_millis(300), writing).await {
            Ok(written) => sent += written.expect("the session goes on"),
            Err(_) => break,
        }
    }
    let held = rig.counters.down.read() - rig.counters.down.written();
    assert!((1..=bound).contains(&held), "{held} bytes are held");
    assert!(rig.counters.down.read() < sent as u64, "the relay has stopped reading");
    // The other direction is as lively as ever.
    for _ in 0..100 {
        rig.client.write_all(&text(b"still here", true)).await.expect("the session goes on");
        assert_eq!(
            next_frame(&mut rig.upstream).await.expect("the session goes on").payload,
            b"still here"
        );
    }
    // And nothing is lost once the client reads.
    let rest = (chunk.len() - sent % chunk.len()) % chunk.len();
    let tail = chunk[chunk.len() - rest..].to_vec();
    let mut from = rig.upstream;
    let sending = tokio::spawn(async move {
        from.write_all(&tail).await.expect("the session goes on");
        from
    });
    for _ in 0..(sent + rest) / chunk.len() {
        assert_eq!(next_frame(&mut rig.client).await.expect("the session goes on").raw, chunk);
    }
    rig.upstream = sending.await.expect("the session goes on");
    let counters = std::sync::Arc::clone(&rig.counters);
    eventually("all is written", || counters.down.read() == counters.down.written()).await;
    rig.outcome().await;
}

#[tokio::test]
async fn a_ping_waits_for_the_end_of_a_large_frame() {
    let options =
        RelayOptions { ping_interval: Duration::from_millis(20), ..RelayOptions::default() };
    let mut rig = tcp_rig_with(options).await;
    let large = text(&[b'z'; 300_000], false);
    let (head, tail) = large.split_at(100_000);
    rig.upstream.write_all(head).await.unwrap();
    let mut got = vec![0; head.len()];
    rig.client.read_exact(&mut got).await.unwrap();
    // Pings are due, and the frame is not complete: the client may see nothing.
    let quiet = tokio::time::timeout(Duration::from_millis(200), rig.client.read_u8()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    // Two frames in one write: the ping belongs between them, or behind them.
    let more = [tail, &text(b"next", false)].concat();
    rig.upstream.write_all(&more).await.unwrap();
    let mut got_tail = vec![0; tail.len()];
    rig.client.read_exact(&mut got_tail).await.unwrap();
    assert_eq!([got, got_tail].concat(), large);
    let ping = next_frame(&mut rig.client).await.unwrap();
    assert!(ping.is_ping() && !ping.masked, "{ping:?}");
    assert_eq!(crate::wire::next_but_pings(&mut rig.client).await.unwrap().payload, b"next");
    rig.outcome().await;
}

#[tokio::test]
async fn our_own_pongs_go_no_further_and_others_do() {
    let options =
        RelayOptions { ping_interval: Duration::from_millis(20), ..RelayOptions::default() };
    let mut rig = tcp_rig_with(options).await;
    let ping = next_frame(&mut rig.client).await.unwrap();
    assert!(ping.is_ping());
    let before = text(b"before", true);
    let stranger = frame(0x8A, b"unasked", true);
    let after = text(b"after", true);
    let pong = frame(0x8A, &ping.payload, true);
    let all = [&before[..], &pong, &stranger, &after].concat();
    rig.client.write_all(&all).await.unwrap();
    for expected in [&before, &stranger, &after] {
        let got = crate::wire::next_but_pings(&mut rig.upstream).await.unwrap();
        assert_eq!(&got.raw, expected);
    }
    let outcome = rig.outcome().await;
    assert_eq!((outcome.up.frames, outcome.up.messages), (3, 2));
}

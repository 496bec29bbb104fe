//! Every way that a session can end.

use std::io::ErrorKind;
use std::time::Duration;

use flotilla_relay::{EndedBy, How, PeerClose};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::rig::{LOST, tcp_rig, unix_rig};
use crate::wire::{close, frame, next_but_pings, next_frame, text};

fn closed(code: Option<u16>, text: &str) -> How {
    How::Close(PeerClose { code, text: text.to_owned() })
}

#[tokio::test]
async fn a_close_without_a_code_passes_and_is_the_clients() {
    let mut rig = tcp_rig().await;
    let bye = frame(0x88, b"", true);
    rig.client.write_all(&bye).await.unwrap();
    assert_eq!(next_frame(&mut rig.upstream).await.unwrap().raw, bye);
    rig.upstream.write_all(&frame(0x88, b"", false)).await.unwrap();
    rig.upstream.shutdown().await.unwrap();
    assert_eq!(next_frame(&mut rig.client).await.unwrap().first, 0x88);
    assert_eq!(next_frame(&mut rig.client).await, None);
    let outcome = rig.outcome().await;
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Client, closed(None, "")));
    assert_eq!(outcome.told_client, None);
}

#[tokio::test]
async fn the_upstreams_close_passes_with_its_reason() {
    let mut rig = tcp_rig().await;
    let bye = close(1001, "Browser closed", false);
    rig.upstream.write_all(&bye).await.unwrap();
    rig.upstream.shutdown().await.unwrap();
    assert_eq!(next_frame(&mut rig.client).await.unwrap().raw, bye);
    let outcome = rig.outcome().await;
    assert_eq!(outcome.ended_by, EndedBy::Upstream);
    assert_eq!(outcome.how, closed(Some(1001), "Browser closed"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_dawdles_after_both_have_closed_is_left_after_5_s() {
    let mut rig = unix_rig();
    rig.client.write_all(&close(1000, "", true)).await.unwrap();
    next_frame(&mut rig.upstream).await.unwrap();
    rig.upstream.write_all(&close(1000, "", false)).await.unwrap();
    let start = Instant::now();
    let outcome = rig.outcome_while_open().await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(outcome.ended_by, EndedBy::Client);
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_upstreams_stream_at_once() {
    let mut rig = tcp_rig().await;
    rig.client.write_all(&text(b"last words", true)).await.unwrap();
    let (client, _) = tcp_rig_parts(&mut rig).await;
    drop(client);
    assert_eq!(next_frame(&mut rig.upstream).await.unwrap().payload, b"last words");
    assert_eq!(next_frame(&mut rig.upstream).await, None);
    let outcome = rig.outcome().await;
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Client, How::Eof));
}

/// Takes the client's end out of a rig, leaving another one there.
async fn tcp_rig_parts<U>(
    rig: &mut crate::rig::Rig<tokio::net::TcpStream, U>,
) -> (tokio::net::TcpStream, ()) {
    let (spare, _) = crate::rig::tcp_pair().await;
    (std::mem::replace(&mut rig.client, spare), ())
}

#[tokio::test]
async fn a_reset_by_the_client_ends_the_upstreams_stream_at_once() {
    let mut rig = tcp_rig().await;
    let (client, ()) = tcp_rig_parts(&mut rig).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(rig.upstream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    let outcome = rig.outcome().await;
    let reset = How::Error(ErrorKind::ConnectionReset);
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Client, reset));
}

#[tokio::test]
async fn a_half_close_lets_the_answer_through() {
    let mut rig = tcp_rig().await;
    let start = Instant::now();
    rig.client.write_all(&text(b"question", true)).await.unwrap();
    rig.client.shutdown().await.unwrap();
    assert_eq!(next_frame(&mut rig.upstream).await.unwrap().payload, b"question");
    assert_eq!(next_frame(&mut rig.upstream).await, None);
    rig.upstream.write_all(&text(b"answer", false)).await.unwrap();
    rig.upstream.shutdown().await.unwrap();
    assert_eq!(next_frame(&mut rig.client).await.unwrap().payload, b"answer");
    assert_eq!(next_frame(&mut rig.client).await, None);
    assert_eq!(rig.outcome().await.how, How::Eof);
    assert!(start.elapsed().as_secs() < 4, "the end is passed on, not waited for");
}

#[tokio::test]
async fn an_upstream_that_vanishes_between_frames_gives_the_client_a_reason() {
    let mut rig = tcp_rig().await;
    rig.upstream.write_all(&text(b"last", false)).await.unwrap();
    rig.upstream.shutdown().await.unwrap();
    assert_eq!(next_frame(&mut rig.client).await.unwrap().payload, b"last");
    assert_eq!(next_frame(&mut rig.client).await.unwrap().closing(), (1011, LOST));
    rig.client.write_all(&close(1011, "", true)).await.unwrap();
    assert_eq!(next_frame(&mut rig.client).await, None);
    let outcome = rig.outcome().await;
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Upstream, How::Eof));
    assert_eq!(outcome.told_client.unwrap().text, LOST);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_vanishes_inside_a_frame_leaves_no_half_truth() {
    let mut rig = unix_rig();
    let cut = &text(&[b'x'; 1000], false)[..500];
    rig.upstream.write_all(cut).await.unwrap();
    rig.upstream.shutdown().await.unwrap();
    let mut got = vec![0; 500];
    rig.client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, cut);
    // No frame can be put into a frame: the connection is closed.
    assert_eq!(rig.client.read(&mut got).await.unwrap(), 0);
    let outcome = rig.outcome().await;
    assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Upstream, How::Eof));
}

#[tokio::test]
async fn an_end_from_above_tells_both_sides() {
    let mut rig = tcp_rig().await;
    rig.end(1012, "the grid is restarting");
    let to_client = next_frame(&mut rig.client).await.unwrap();
    assert_eq!((to_client.closing(), to_client.masked), ((1012, "the grid is restarting"), false));
    let to_upstream = next_frame(&mut rig.upstream).await.unwrap();
    assert_eq!((to_upstream.closing().0, to_upstream.masked), (1001, true));
    // What the client says now reaches nobody, and its answer ends it.
    rig.client.write_all(&text(b"too late", true)).await.unwrap();
    rig.client.write_all(&close(1012, "", true)).await.unwrap();
    rig.upstream.write_all(&close(1001, "", false)).await.unwrap();
    assert_eq!(next_frame(&mut rig.upstream).await, None);
    assert_eq!(next_frame(&mut rig.client).await, None);
    let outcome = rig.outcome().await;
    assert_eq!(outcome.ended_by, EndedBy::Relay);
    assert!(matches!(outcome.how, How::Asked(reason) if reason.code == 1012));
}

#[tokio::test(start_paused = true)]
async fn peers_that_do_not_answer_the_close_are_left_after_1_s() {
    let mut rig = unix_rig();
    rig.end(1001, "bye");
    let start = Instant::now();
    let outcome = rig.outcome_while_open().await;
    assert_eq!(start.elapsed().as_secs(), 1);
    assert_eq!(outcome.ended_by, EndedBy::Relay);
}

#[tokio::test]
async fn an_end_within_a_frame_waits_for_the_frame() {
    let mut rig = tcp_rig().await;
    let large = text(&[b'w'; 200_000], false);
    let (head, tail) = large.split_at(1000);
    rig.upstream.write_all(head).await.unwrap();
    let mut got = vec![0; head.len()];
    rig.client.read_exact(&mut got).await.unwrap();
    rig.end(1001, "the drain is over");
    assert_eq!(next_frame(&mut rig.upstream).await.unwrap().closing().0, 1001);
    // The frame goes on, and behind it comes one that nobody shall see.
    rig.upstream.write_all(&[tail, &text(b"more", false)].concat()).await.unwrap();
    let mut rest = vec![0; tail.len()];
    rig.client.read_exact(&mut rest).await.unwrap();
    assert_eq!([got, rest].concat(), large);
    let last = next_frame(&mut rig.client).await.unwrap();
    assert_eq!(last.closing(), (1001, "the drain is over"));
    rig.client.write_all(&close(1001, "", true)).await.unwrap();
    rig.upstream.write_all(&close(1001, "", false)).await.unwrap();
    assert_eq!(next_frame(&mut rig.client).await, None);
    assert_eq!(rig.outcome().await.ended_by, EndedBy::Relay);
}

#[tokio::test(start_paused = true)]
async fn an_end_within_a_frame_that_never_ends_closes_the_connection() {
    let mut rig = unix_rig();
    rig.upstream.write_all(&text(&[b'v'; 5000], false)[..1000]).await.unwrap();
    rig.client.read_exact(&mut [0; 1000]).await.unwrap();
    let start = Instant::now();
    rig.end(1001, "bye");
    assert_eq!(rig.client.read(&mut [0; 10]).await.unwrap_or(0), 0, "nothing inside the frame");
    assert_eq!(start.elapsed().as_secs(), 3, "2 s for the frame, 1 s for the answers");
    rig.outcome().await;
}

#[tokio::test]
async fn a_long_reason_is_cut_between_characters() {
    let mut rig = tcp_rig().await;
    // 122 bytes, and then a character of two bytes that does not fit into 123.
    rig.end(1001, format!("{}é and more", "x".repeat(122)));
    let last = next_but_pings(&mut rig.client).await.unwrap();
    assert_eq!(last.closing(), (1001, "x".repeat(122).as_str()));
    rig.outcome().await;
}

#[tokio::test]
async fn a_close_reaches_a_client_that_reads_late() {
    let mut rig = tcp_rig().await;
    for _ in 0..20 {
        rig.upstream.write_all(&text(&[b'u'; 1000], false)).await.unwrap();
    }
    let counters = std::sync::Arc::clone(&rig.counters);
    crate::rig::eventually("all passed", || counters.down.messages() == 20).await;
    rig.end(1001, "bye");
    let outcome = tokio::time::timeout(Duration::from_secs(10), rig.outcome_while_open()).await;
    assert_eq!(outcome.unwrap().down.messages, 20);
    for _ in 0..20 {
        assert_eq!(next_frame(&mut rig.client).await.unwrap().payload.len(), 1000);
    }
    assert_eq!(next_frame(&mut rig.client).await.unwrap().closing(), (1001, "bye"));
}

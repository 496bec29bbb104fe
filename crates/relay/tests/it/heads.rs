//! Handshakes over real sockets: ordinary, large, slow, malformed.

use std::time::Duration;

use flotilla_relay::{HeadError, read_request_head, read_response_body, read_response_head};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::rig::tcp_pair;

const LIMIT: usize = 32 * 1024;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

const UPGRADE: &str = "GET /?browser=chromium HTTP/1.1\r\n\
    Host: grid:8080\r\n\
    User-Agent: Playwright/1.65.1 (x64; debian 12) node/20.20\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn a_handshake_in_drips_is_read_and_what_follows_is_kept() {
    let (mut ours, mut theirs) = tcp_pair().await;
    let writing = tokio::spawn(async move {
        for byte in UPGRADE.as_bytes() {
            ours.write_all(&[*byte]).await.unwrap();
        }
        ours.write_all(b"frames").await.unwrap();
        ours
    });
    let (head, rest) = read_request_head(&mut theirs, LIMIT, soon()).await.unwrap();
    assert_eq!(head.to_bytes(), UPGRADE.as_bytes());
    assert!(b"frames".starts_with(&rest));
    assert!(head.is_websocket_upgrade());
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn an_oversized_head_is_refused_with_431() {
    let (mut ours, mut theirs) = tcp_pair().await;
    let writing = tokio::spawn(async move {
        let _ = ours.write_all(b"GET / HTTP/1.1\r\n").await;
        let _ = ours.write_all(format!("X: {}\r\n", "a".repeat(2 * LIMIT)).as_bytes()).await;
        ours
    });
    let error = read_request_head(&mut theirs, LIMIT, soon()).await.unwrap_err();
    assert!(matches!(error, HeadError::TooLarge { limit: LIMIT }), "{error}");
    assert_eq!(error.status(), 431);
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn a_head_of_exactly_the_limit_is_read() {
    let (mut ours, mut theirs) = tcp_pair().await;
    ours.write_all(UPGRADE.as_bytes()).await.unwrap();
    let (head, rest) = read_request_head(&mut theirs, UPGRADE.len(), soon()).await.unwrap();
    assert_eq!((head.path(), head.query(), rest.len()), ("/", "browser=chromium", 0));
}

#[tokio::test]
async fn too_many_headers_are_refused_with_431() {
    let (mut ours, mut theirs) = tcp_pair().await;
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    ours.write_all(head.as_bytes()).await.unwrap();
    let error = read_request_head(&mut theirs, LIMIT, soon()).await.unwrap_err();
    assert_eq!(error.status(), 431);
}

#[tokio::test(start_paused = true)]
async fn a_dripping_head_is_refused_with_408() {
    let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
    let (_reading, mut writing) = ours.into_split();
    let dripping = tokio::spawn(async move {
        writing.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        while writing.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let start = Instant::now();
    let error = read_request_head(&mut theirs, LIMIT, soon()).await.unwrap_err();
    assert_eq!((error.status(), start.elapsed().as_secs()), (408, 5));
    drop(theirs);
    dripping.await.unwrap();
}

#[tokio::test]
async fn what_is_not_http_is_refused_at_once() {
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..], b"GET / HTTP/2.0\r\n"] {
        let (mut ours, mut theirs) = tcp_pair().await;
        ours.write_all(bytes).await.unwrap();
        let error = read_request_head(&mut theirs, LIMIT, soon()).await.unwrap_err();
        assert!(matches!(error, HeadError::Malformed(_)), "{error}");
        assert_eq!(error.status(), 400);
    }
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_told_apart_from_a_bad_one() {
    let (mut ours, mut theirs) = tcp_pair().await;
    ours.write_all(b"GET / HT").await.unwrap();
    drop(ours);
    let error = read_request_head(&mut theirs, LIMIT, soon()).await.unwrap_err();
    assert!(matches!(error, HeadError::ClosedEarly { received: 8 }), "{error}");
}

#[tokio::test]
async fn a_switch_of_protocols_keeps_the_first_frames() {
    let (mut ours, mut theirs) = tcp_pair().await;
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
    ours.write_all(format!("{answer}frames").as_bytes()).await.unwrap();
    let (head, rest) = read_response_head(&mut theirs, LIMIT, soon()).await.unwrap();
    assert!(head.is_switching());
    assert_eq!((head.to_bytes().as_slice(), &rest[..]), (answer.as_bytes(), &b"frames"[..]));
}

/// What comes out as the body of an answer that the upstream sends, then keeps or closes the connection.
async fn body_of(answer: &str, limit: usize, closes: bool) -> String {
    let (mut ours, mut theirs) = tcp_pair().await;
    ours.write_all(answer.as_bytes()).await.expect("as planned");
    let keep = if closes { None } else { Some(ours) };
    let deadline = soon();
    let (head, start) = read_response_head(&mut theirs, LIMIT, deadline).await.expect("as planned");
    assert!(!head.is_switching());
    let body =
        read_response_body(&mut theirs, &head, start, limit, deadline).await.expect("as planned");
    drop(keep);
    String::from_utf8(body.to_vec()).expect("as planned")
}

#[tokio::test]
async fn the_body_of_a_refusal_is_read_however_it_ends() {
    let length = "HTTP/1.1 428 Precondition Required\r\nContent-Length: 5\r\n\r\nwordsXX";
    assert_eq!(body_of(length, 1000, false).await, "words");
    let chunked = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nwor\r\n2\r\nds\r\n0\r\n\r\n";
    assert_eq!(body_of(chunked, 1000, false).await, "words");
    let eof = "HTTP/1.1 503 Service Unavailable\r\n\r\nwords";
    assert_eq!(body_of(eof, 1000, true).await, "words");
    assert_eq!(body_of(eof, 3, false).await, "wor");
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(body_of(none, 1000, false).await, "");
}

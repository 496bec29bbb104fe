//! Tests of editing and checking heads, without sockets.

use super::*;

fn head(text: &str) -> RequestHead {
    RequestHead::parse(text.as_bytes()).expect("valid").expect("complete").0
}

fn upgrade(edit: impl FnOnce(&mut RequestHead)) -> Result<(), UpgradeError> {
    let mut head = head(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    edit(&mut head);
    head.check_websocket_upgrade()
}

#[test]
fn an_edited_head_keeps_the_order_of_its_headers() {
    let mut head = head("GET /a?b HTTP/1.1\r\nHost: x\r\norigin: y\r\nA: 1\r\nhOST: z\r\n\r\n");
    head.set_target("/secret");
    head.headers.set("host", "browser");
    assert!(head.headers.remove("Origin") && !head.headers.remove("Origin"));
    head.headers.append("X-New", "n");
    let text = "GET /secret HTTP/1.1\r\nHost: browser\r\nA: 1\r\nX-New: n\r\n\r\n";
    assert_eq!(head.to_bytes(), text.as_bytes());
    assert!(head.raw().starts_with(b"GET /a?b"));
}

#[test]
fn an_edit_cannot_smuggle_a_line() {
    let mut head = head("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    head.set_target("/a HTTP/1.1\r\nX: y");
    head.headers.set("A\r\nB", "1\r\nC: 2");
    let text = "GET /aHTTP/1.1X:y HTTP/1.1\r\nHost: x\r\nAB: 1C: 2\r\n\r\n";
    assert_eq!(String::from_utf8(head.to_bytes()).unwrap(), text);
}

#[test]
fn a_value_that_is_not_utf8_is_there_as_bytes() {
    let head = RequestHead::parse(b"GET / HTTP/1.1\r\nX: \xff\r\n\r\n").unwrap().unwrap().0;
    assert_eq!(head.headers.get("x"), None);
    assert_eq!(head.headers.get_bytes("x"), Some(&b"\xff"[..]));
}

#[test]
fn a_websocket_handshake_is_one_only_when_nothing_is_missing() {
    assert_eq!(upgrade(|_| {}), Ok(()));
    assert_eq!(upgrade(|h| assert!(h.headers.remove("upgrade"))), Err(UpgradeError::NotAsked));
    assert_eq!(upgrade(|h| h.method = "POST".into()), Err(UpgradeError::Method));
    assert_eq!(upgrade(|h| h.version = 0), Err(UpgradeError::HttpVersion));
    assert_eq!(upgrade(|h| h.headers.set("Upgrade", "h2c")), Err(UpgradeError::Protocol));
    assert_eq!(upgrade(|h| h.headers.set("Connection", "close")), Err(UpgradeError::Connection));
    assert_eq!(
        upgrade(|h| h.headers.set("Sec-WebSocket-Version", "8")),
        Err(UpgradeError::Version)
    );
    assert_eq!(upgrade(|h| h.headers.set("Content-Length", "3")), Err(UpgradeError::Body));
    assert_eq!(upgrade(|h| h.headers.set("Content-Length", "0")), Ok(()));
}

#[test]
fn a_key_is_16_bytes_in_base64() {
    let short = "dGhlIHNhbXBsZSBub25jZQ=";
    let loose = "dGhlIHNhbXBsZSBub25jZR==";
    let wild = "dGhlIHNhbXBsZSBub25j!Q==";
    for key in [short, loose, wild, ""] {
        let checked = upgrade(|h| h.headers.set("Sec-WebSocket-Key", key));
        assert_eq!(checked, Err(UpgradeError::Key), "{key}");
    }
    let twice = upgrade(|h| h.headers.append("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(twice, Err(UpgradeError::Key));
}

//! Handshakes that are wrong, too big, too slow, or from a web page.

use std::time::{Duration, Instant};

use flotilla_testkit::procs;
use flotilla_testkit::program::Program;
use flotilla_testkit::raw::{Vanish, Waiting, handshake};

use crate::{NEWEST, connect_as, grid};

#[test]
fn a_malformed_handshake_is_answered_with_what_is_missing() {
    let grid = grid().start();
    for (header, value, words) in [
        ("Sec-WebSocket-Key", "", "sec-websocket-key"),
        ("Sec-WebSocket-Key", "c2hvcnQ=", "sec-websocket-key"),
        ("Sec-WebSocket-Version", "8", "sec-websocket-version"),
    ] {
        let refusal = grid.open("/", &[(header, value)]).unwrap_err();
        assert!((400..500).contains(&refusal.status), "{refusal:?}");
        let body = refusal.body.to_lowercase();
        assert!(body.contains(words), "{header}: {value:?}: {body}");
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello \r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
    ] {
        let refusal = Waiting::send_bytes(grid.address(), bytes).answer().unwrap_err();
        assert_eq!(refusal.status, 400, "{refusal:?}");
    }
    assert!(grid.open("/", &[]).map(|session| session.close()).is_ok());
    grid.stop_and_check();
}

/// RFC 9112, section 2.2: empty lines before a request are passed over. They are no request either.
#[test]
fn empty_lines_are_no_handshake_and_do_not_spoil_the_one_behind_them() {
    let grid = grid().env("FLOTILLA_HANDSHAKE_TIMEOUT", "1s").start();
    let refusal = Waiting::send_bytes(grid.address(), b"\r\n\r\n\r\n\r\n").answer().unwrap_err();
    assert_eq!(refusal.status, 408, "{refusal:?}");
    let late = "\r\n\r\n".to_owned() + &handshake(grid.address(), "/", &[]);
    Waiting::send_bytes(grid.address(), late.as_bytes()).answer().expect("a session").close();
    grid.stop_and_check();
}

#[test]
fn a_body_before_the_handshake_is_done_smuggles_nothing() {
    let grid = grid().start();
    let text = handshake(grid.address(), "/", &[("Content-Length", "5")]) + "hello";
    let refusal = Waiting::send_bytes(grid.address(), text.as_bytes()).answer().unwrap_err();
    assert_eq!(refusal.status, 400, "{refusal:?}");
    let text = handshake(grid.address(), "/", &[("Transfer-Encoding", "chunked")]);
    let refusal = Waiting::send_bytes(grid.address(), text.as_bytes()).answer().unwrap_err();
    assert_eq!(refusal.status, 400, "{refusal:?}");
    grid.stop_and_check();
}

#[test]
fn an_oversized_handshake_is_refused_and_read_no_further() {
    let grid = grid().start();
    let long = "x".repeat(40 * 1024);
    let refusal = grid.open("/", &[("x-long", &long)]).unwrap_err();
    assert_eq!(refusal.status, 431, "{refusal:?}");
    // One that fits is fine, launch options can be several KB.
    let options = format!("{{\"timeout\": 30000{}}}", " ".repeat(20 * 1024));
    let session =
        grid.open("/", &[("x-playwright-launch-options", &options)]).expect("20 KiB of header fit");
    session.close();
    grid.stop_and_check();
}

#[test]
fn a_dripping_handshake_is_cut_off_however_diligently_it_drips() {
    let grid = grid().env("FLOTILLA_HANDSHAKE_TIMEOUT", "1s").start();
    let text = handshake(grid.address(), "/", &[]);
    let mut client = Waiting::send_bytes(grid.address(), b"");
    let began = Instant::now();
    for byte in text.as_bytes() {
        if client.answered() || client.write(&[*byte]).is_err() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it is never cut off");
        std::thread::sleep(Duration::from_millis(50));
    }
    let refusal = client.answer().unwrap_err();
    assert_eq!(refusal.status, 408, "{refusal:?}");
    assert!(began.elapsed() >= Duration::from_millis(900));
    grid.stop_and_check();
}

#[test]
fn many_silent_connections_keep_no_client_out() {
    let grid = grid().start();
    let silent: Vec<_> =
        (0..300).map(|_| Waiting::send_bytes(grid.address(), b"GET / HT")).collect();
    let node = Program::node(NEWEST, grid.endpoint());
    let began = Instant::now();
    node.run("const b = await chromium.connect(endpoint); await b.newPage(); await b.close();");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it was let in while they were still there: {:?}",
        began.elapsed()
    );
    for connection in silent {
        connection.vanish(Vanish::Fin);
    }
    grid.stop_and_check();
}

/// A Playwright client sends no Origin; a web page in somebody's browser cannot leave it out.
#[test]
fn a_web_page_cannot_open_a_session() {
    let grid = grid().start();
    let refusal = grid.open("/", &[("Origin", "https://evil.example")]).unwrap_err();
    assert_eq!(refusal.status, 403, "{refusal:?}");
    assert!(refusal.body.to_lowercase().contains("origin"), "{}", refusal.body);
    assert_eq!(grid.status().workers[0].sessions_served, 0);
    grid.stop_and_check();
}

/// `connect('http://…')` asks for `/json` first, and some clients' agents keep that connection.
#[test]
fn an_upgrade_after_an_answer_on_the_same_connection_works() {
    let grid = grid().start();
    let ask = format!("GET /json HTTP/1.1\r\nHost: {}\r\n\r\n", grid.address());
    let mut client = Waiting::send_bytes(grid.address(), ask.as_bytes());
    let first = client.read_answer();
    assert_eq!(first.status, 200);
    if first.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
        assert!(client.is_closed(), "it said that it closes the connection");
    } else {
        client.write(handshake(grid.address(), "/", &[]).as_bytes()).unwrap();
        client.answer().expect("a session").close();
    }
    grid.stop_and_check();
}

/// Whoever reaches a browser's server owns the browser, so nobody can from the network.
#[test]
fn nothing_of_the_grid_listens_but_its_front_door() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    node.run(&connect_as("a", ""));
    node.run(&connect_as("b", "/?isolation=session"));
    let door: u16 = grid.address().rsplit(':').next().unwrap().parse().unwrap();
    let open = procs::listening(&grid.processes());
    assert_eq!(open, [door].into());
    node.run("await s.a.close(); await s.b.close()");
    grid.stop_and_check();
}

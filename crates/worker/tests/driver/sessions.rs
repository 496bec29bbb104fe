//! Sessions: when their contexts are gone, and who may connect.

use std::time::Instant;

use flotilla_core::BrowserKind;
use flotilla_core::launcher::Launcher;
use serde_json::json;

use super::bench::{Bench, Client, VERSION, id, with_websocket};

/// The number of contexts in a browser, as another session of it sees.
async fn contexts(observer: &Client) -> u64 {
    let code = "s.cdp ??= await s.browser.newBrowserCDPSession();
                return (await s.cdp.send('Target.getBrowserContexts')).browserContextIds.length;";
    observer.run(code).as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn release_returns_when_the_contexts_are_gone() {
    let bench = Bench::new();
    let launched = bench.chromium("b").await;
    let observer = Client::new(VERSION, &launched).await;
    observer.connect(BrowserKind::Chromium, "observer");
    assert_eq!(contexts(&observer).await, 1);
    let client = Client::new(VERSION, &launched).await;
    client.connect(BrowserKind::Chromium, "client");
    client.run("for (let i = 0; i < 3; i++) await (await s.browser.newContext()).newPage();");
    assert_eq!(contexts(&observer).await, 5);
    client.program.kill();
    bench.launcher.release(&id("b"), "client").await;
    assert_eq!(contexts(&observer).await, 1);
    bench.finish(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_cuts_a_session_that_is_still_connected() {
    let bench = Bench::new();
    let launched = bench.chromium("b").await;
    let client = Client::new(VERSION, &launched).await;
    client.connect(BrowserKind::Chromium, "one");
    client.run("s.cut = new Promise(resolve => s.browser.on('disconnected', resolve));");
    bench.launcher.release(&id("b"), "one").await;
    client.run("await s.cut;");
    let again = client.refusal("one");
    assert!(again.contains("410 Gone"), "{again}");
    bench.finish(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_by_itself_is_released_at_once() {
    let bench = Bench::new();
    let launched = bench.chromium("b").await;
    let client = Client::new(VERSION, &launched).await;
    client.connect(BrowserKind::Chromium, "one");
    client.run("await s.browser.close();");
    bench.launcher.release(&id("b"), "one").await;
    // The browser serves the next.
    client.connect(BrowserKind::Chromium, "two");
    assert!(client.counts());
    bench.finish(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_and_close_of_what_is_unknown_return_at_once() {
    let bench = Bench::new();
    bench.launcher.release(&id("nobody"), "s").await;
    bench.launcher.close(&id("nobody")).await;
    let launched = bench.chromium("b").await;
    let began = Instant::now();
    bench.launcher.release(&id("b"), "never connected").await;
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let client = Client::new(VERSION, &launched).await;
    let late = client.refusal("never%20connected");
    assert!(late.contains("410 Gone"), "{late}");
    bench.finish(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_connects_once_and_by_its_name() {
    let bench = Bench::new();
    let launched = bench.chromium("b").await;
    let client = Client::new(VERSION, &launched).await;
    client.connect(BrowserKind::Chromium, "one");
    let twice = client.refusal("one");
    assert!(twice.contains("409 Conflict"), "{twice}");
    let nameless = client.refusal("");
    assert!(nameless.contains("400 Bad Request"), "{nameless}");
    let wrong_path =
        "return await chromium.connect(args.url.replace('?', 'x?')).then(() => '', e => e.message)";
    let wrong = client.run_with(wrong_path, json!({ "url": client.url("two") }));
    assert!(wrong.as_str().unwrap().contains("400 Bad Request"), "{wrong}");
    assert!(client.counts(), "the first session goes on");
    bench.finish(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_nonsense_ends_nobody_else() {
    let bench = Bench::new();
    let launched = bench.chromium("b").await;
    let client = Client::new(VERSION, &launched).await;
    client.connect(BrowserKind::Chromium, "good");
    let code = "const socket = new WebSocket(args.url);
                await new Promise(resolve => socket.onopen = resolve);
                socket.send('{not json'); socket.send('{\"id\":1,\"guid\":\"nobody\",\"method\":\"x\"}');
                await new Promise(resolve => { socket.onclose = resolve; setTimeout(resolve, 300); });
                socket.close();";
    let bad = client.url("bad");
    client.run_with(&with_websocket(code), json!({ "url": bad }));
    bench.launcher.release(&id("b"), "bad").await;
    assert!(client.counts());
    bench.finish(&["b"]).await;
}

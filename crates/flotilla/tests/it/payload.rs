//! Big messages pass whole, and the grid's memory stays small.

use flotilla_testkit::grid::Grid;
use flotilla_testkit::pages::Pages;
use flotilla_testkit::procs;
use flotilla_testkit::program::Program;
use serde_json::json;

use crate::{NEWEST, grid};

const MIB: u64 = 1024 * 1024;

/// The most memory that the grid's own process ever held.
fn peak(grid: &Grid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", grid.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn with_bounded_memory(grid: &Grid, work: impl FnOnce()) {
    let before = procs::resident(grid.pid());
    work();
    let grown = peak(grid).saturating_sub(before);
    assert!(grown < 24 * MIB, "the grid's memory grew by {} MiB", grown / MIB);
}

#[test]
fn a_download_of_120_megabytes_arrives_whole() {
    const LENGTH: u64 = 120_000_000;
    let grid = grid().start();
    let pages = Pages::new();
    let node = Program::node(NEWEST, grid.endpoint());
    with_bounded_memory(&grid, || {
        let download = node.run_with(
            "const browser = await chromium.connect(endpoint);
             const page = await browser.newPage();
             const [download] = await Promise.all([
               page.waitForEvent('download'),
               page.evaluate(url => { location.href = url }, args.url),
             ]);
             let length = 0, wrong = 0;
             for await (const chunk of await download.createReadStream()) {
               for (let i = 0; i < chunk.length; i += 4093) {
                 if (chunk[i] !== (length + i) % 251) wrong++;
               }
               length += chunk.length;
             }
             await browser.close();
             return { length, wrong, name: download.suggestedFilename() };",
            json!({ "url": pages.url(&format!("/bytes/{LENGTH}")) }),
        );
        assert_eq!(download, json!({"length": LENGTH, "wrong": 0, "name": "big.bin"}));
    });
    grid.stop_and_check();
}

#[test]
fn a_screenshot_of_20_megabytes_arrives_whole() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    with_bounded_memory(&grid, || {
        // Noise cannot be compressed, so the picture is as big as its pixels.
        let shot = node.run(
            "const browser = await chromium.connect(endpoint);
             const page = await browser.newPage({ viewport: { width: 2600, height: 2600 } });
             await page.setContent('<body style=\"margin:0\"><canvas width=2600 height=2600>');
             await page.evaluate(() => {
               const context = document.querySelector('canvas').getContext('2d');
               const image = context.createImageData(2600, 2600);
               for (let at = 0; at < image.data.length; at += 65536) {
                 crypto.getRandomValues(image.data.subarray(at, at + 65536));
               }
               for (let at = 3; at < image.data.length; at += 4) image.data[at] = 255;
               context.putImageData(image, 0, 0);
             });
             const png = await page.screenshot();
             await browser.close();
             return { length: png.length, head: png.toString('latin1', 1, 4),
                      tail: png.toString('latin1', png.length - 8, png.length - 4) };",
        );
        assert!(shot["length"].as_u64().unwrap() > 20_000_000, "{shot}");
        assert_eq!((&shot["head"], &shot["tail"]), (&json!("PNG"), &json!("IEND")));
    });
    grid.stop_and_check();
}

/// JavaScript: a text of so many times 64 KiB. Its period is longer than deflate looks back, so
/// that compression takes off no more than a quarter.
const TEXT: &str = "times => {
    const bytes = crypto.getRandomValues(new Uint8Array(65536));
    const code = byte => String.fromCharCode(48 + (byte & 63));
    return Array.from(bytes, code).join('').repeat(times);
}";

#[test]
fn one_message_of_100_mebibytes_passes_in_bounded_memory() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    with_bounded_memory(&grid, || {
        let length = node.run(&format!(
            "const browser = await chromium.connect(endpoint);
             const page = await browser.newPage();
             const text = await page.evaluate({TEXT}, 1600);
             await browser.close();
             return text.length;"
        ));
        assert_eq!(length, 100 * MIB);
    });
    let bytes = grid.metric("flotilla_relay_bytes_total", &[]).unwrap();
    assert!(bytes > 70e6, "it was big on the wire too: {bytes}");
    grid.stop_and_check();
}

#[test]
fn a_client_uploads_10_megabytes() {
    let grid = grid().start();
    let node = Program::node(NEWEST, grid.endpoint());
    with_bounded_memory(&grid, || {
        let size = node.run(&format!(
            "const browser = await chromium.connect(endpoint);
             const page = await browser.newPage();
             await page.setContent('<input type=file>');
             const buffer = Buffer.from(({TEXT})(160));
             const file = {{ name: 'big.txt', mimeType: 'text/plain', buffer }};
             await page.setInputFiles('input', file);
             const sizes = await page.evaluate(async () => {{
               const [file] = document.querySelector('input').files;
               return [file.size, (await file.text()).slice(-20)];
             }});
             await browser.close();
             return sizes[0] === buffer.length && buffer.toString().endsWith(sizes[1]);"
        ));
        assert_eq!(size, true);
    });
    let bytes = grid.metric("flotilla_relay_bytes_total", &[]).unwrap();
    assert!(bytes > 7e6, "it was big on the wire too: {bytes}");
    grid.stop_and_check();
}

/// Frames in parts have broken grids before.
#[test]
fn a_message_in_continuation_frames_is_understood() {
    let grid = grid().start();
    let mut session = grid.open("/", &[("Sec-WebSocket-Extensions", "")]).unwrap();
    let message = json!({"id": 1, "guid": "", "method": "initialize",
        "params": {"sdkLanguage": "javascript"}, "metadata": {"wallTime": 0}})
    .to_string();
    let (first, rest) = message.as_bytes().split_at(10);
    let (second, third) = rest.split_at(1);
    session.send(0x01, first).unwrap();
    session.send(0x00, second).unwrap();
    session.send(0x89, b"a ping between the parts").unwrap();
    session.send(0x80, third).unwrap();
    let answered = (0..50)
        .filter_map(|_| session.next(crate::SOON))
        .any(|frame| String::from_utf8_lossy(&frame.payload).contains("\"id\":1,\"result\""));
    assert!(answered, "the browser's server answered the message");
    session.close();
    grid.stop_and_check();
}

/// The client's key and extensions reach the browser's server, and its answer the client.
#[test]
fn the_handshake_is_between_the_two_ends() {
    let grid = grid().start();
    let extensions = "permessage-deflate; client_max_window_bits";
    for (offered, agreed) in [(extensions, Some("permessage-deflate")), ("", None)] {
        let session = grid.open("/", &[("Sec-WebSocket-Extensions", offered)]).unwrap();
        let head = session.head();
        // What RFC 6455 says that the sample key's answer is.
        let accept = head.header("sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let answer = head.header("sec-websocket-extensions");
        assert_eq!(answer.map(|e| e.split(';').next().unwrap()), agreed);
        session.close();
    }
    grid.stop_and_check();
}

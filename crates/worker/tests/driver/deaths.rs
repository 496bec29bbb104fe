//! Ends: of browsers, drivers, and of the process that has them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_core::BrowserKind;
use flotilla_core::launcher::{LaunchError, Launcher};
use flotilla_testkit::bed;
use flotilla_testkit::folder::Folder;
use flotilla_testkit::procs::{self, Proc};
use flotilla_testkit::wait::wait_until;
use flotilla_worker::driver::RunDir;
use flotilla_worker::provision::Catalogue;
use tokio::task::block_in_place;

use super::bench::{Bench, CEILING, Client, VERSION, id, minor, spec};

/// After a death, nobody may be left by then.
const ORPHAN_LIMIT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn close_waits_for_the_processes_exit() {
    let mut bench = Bench::new();
    let launched = bench.chromium("b").await;
    bench.launcher.close(&id("b")).await;
    assert!(procs::find(launched.pid).is_none());
    let (browser, why, expected) = bench.exit().await;
    assert_eq!((browser, expected), (id("b"), true), "{why}");
    assert!(!launched.endpoint.socket.exists());
    bench.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_ignores_its_end_is_killed() {
    let mut bench = Bench::new();
    let launched = bench.chromium("b").await;
    procs::signal(launched.pid, rustix::process::Signal::STOP);
    bench.launcher.close(&id("b")).await;
    assert!(procs::find(launched.pid).is_none());
    let (browser, why, expected) = bench.exit().await;
    assert_eq!((browser, expected), (id("b"), true));
    assert_eq!(why, "killed by SIGKILL");
    bench.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_browser_is_told_once_and_takes_nobody_along() {
    let mut bench = Bench::new();
    let (a, b) = tokio::join!(bench.chromium("a"), bench.chromium("b"));
    let client = Client::new(VERSION, &a).await;
    client.connect(BrowserKind::Chromium, "one");
    let other = Client::new(VERSION, &b).await;
    other.connect(BrowserKind::Chromium, "two");
    let closed = client.closes("raw");
    procs::kill(a.pid);
    let told = bench.exit().await;
    // Why is the grid's to say: the driver must not say "Browser closed" before it.
    let code = block_in_place(|| closed.outcome()).unwrap();
    assert_eq!(code, serde_json::json!(1006), "cut without a closing frame");
    assert_eq!(told, (id("a"), "killed by SIGKILL".to_owned(), false));
    assert!(other.counts(), "the other browser's session goes on");
    bench.launcher.release(&id("a"), "one").await;
    bench.launcher.close(&id("a")).await;
    bench.finish(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_driver_tells_all_its_browsers_once_and_leaves_none() {
    let mut bench = Bench::new();
    let (a, b) = tokio::join!(bench.chromium("a"), bench.chromium("b"));
    let driver = bench.launcher.drivers()[0].pid.unwrap();
    let all = procs::tree(driver);
    let pending = bench.launcher.launch(spec("c", BrowserKind::Chromium));
    let (pending, ()) = tokio::join!(pending, async { procs::kill(driver) });
    let error = pending.unwrap_err();
    assert!(matches!(error, LaunchError::DriverGone { .. }), "{error}");
    gone(&all);
    let mut told = [bench.exit().await, bench.exit().await];
    told.sort();
    assert_eq!(told.each_ref().map(|(browser, ..)| browser), [&id("a"), &id("b")]);
    for (_, why, expected) in &told {
        assert!(why.starts_with("its driver died: killed by signal 9"), "{why}");
        assert!(!expected);
    }
    // The next launch gets a new driver.
    let next = bench.chromium("d").await;
    assert!(![a.pid, b.pid].contains(&next.pid));
    bench.finish(&["d"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_answers_nobody_is_killed() {
    let mut bench = Bench::new();
    bench.chromium("a").await;
    let driver = bench.launcher.drivers()[0].pid.unwrap();
    procs::signal(driver, rustix::process::Signal::STOP);
    bench.launcher.close(&id("a")).await;
    let (browser, why, expected) = bench.exit().await;
    assert_eq!((browser, expected), (id("a"), true));
    assert!(why.contains("answered nothing"), "{why}");
    bench.chromium("b").await;
    bench.finish(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_driver_is_stopped_unless_it_is_the_defaults() {
    let bench = Bench::new();
    bench.chromium("default").await;
    let mut other = spec("other", BrowserKind::Chromium);
    other.version = minor("1.65.1");
    bench.launcher.launch(other).await.unwrap();
    bench.launcher.reap_idle();
    assert_eq!(bench.launcher.drivers().len(), 2, "both have browsers");
    let pid = bench.launcher.drivers()[1].pid.unwrap();
    bench.launcher.close(&id("default")).await;
    bench.launcher.close(&id("other")).await;
    bench.launcher.reap_idle();
    let left: Vec<_> = bench.launcher.drivers().iter().map(|driver| driver.version).collect();
    assert_eq!(left, [minor(VERSION)]);
    block_in_place(|| wait_until("its end", CEILING, || procs::find(pid).is_none()));
    bench.finish(&["default", "other"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_nothing_is_launched() {
    let bench = Bench::new();
    bench.chromium("a").await;
    bench.launcher.shutdown().await;
    let error = bench.launcher.launch(spec("b", BrowserKind::Chromium)).await.unwrap_err();
    assert!(error.to_string().contains("the worker is stopping"), "{error}");
    bench.finish(&["a"]).await;
}

const ROLE: &str = "FLOTILLA_TEST_ROLE_RUN_ROOT";

/// Not a test of its own: the process that the next one kills. It launches both browsers, opens
/// pages in them, says so, and waits for its end.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test below, which kills it"]
async fn role_of_a_process_that_is_killed() {
    let root = std::env::var_os(ROLE).unwrap();
    let catalogue = Catalogue::load(&bed::data()).unwrap();
    let bench = Bench::at(Path::new(&root), catalogue, |_| {});
    bench.chromium("a").await;
    let fox = spec("fox", BrowserKind::Firefox);
    bench.launcher.launch(fox).await.unwrap();
    println!("\nready");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_this_process_is_killed_no_driver_or_browser_survives() {
    let root = Folder::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("driver::deaths::role_of_a_process_that_is_killed")
        .env(ROLE, root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = block_in_place(|| lines.any(|line| line.unwrap() == "ready"));
    assert!(ready, "the child launches its browsers");
    let all = procs::tree(child.id());
    let named = |name: &str| all.iter().any(|proc| proc.name.starts_with(name));
    assert!(named("chromium") && named("firefox") && named("node"), "{all:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&all);
    // The next run removes what the dead one left.
    let left =
        || std::fs::read_dir(root.path()).unwrap().flatten().filter(|e| e.path().is_dir()).count();
    assert_eq!(left(), 1);
    drop(RunDir::create(root.path()).unwrap());
    assert_eq!(left(), 0);
}

fn gone(all: &BTreeSet<Proc>) {
    assert!(all.len() > 5, "drivers and browsers have many processes: {all:?}");
    block_in_place(|| {
        wait_until("every process to be gone", ORPHAN_LIMIT, || {
            all.iter().all(|proc| !proc.is_alive())
        });
    });
}

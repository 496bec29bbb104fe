//! Launching: versions, browsers, what goes wrong, what is given up.

use std::path::Path;
use std::time::Duration;

use flotilla_core::BrowserKind;
use flotilla_core::launcher::{LaunchError, Launcher};
use flotilla_testkit::folder::Folder;
use flotilla_testkit::pages::Pages;
use flotilla_testkit::wait::wait_until;
use flotilla_testkit::{bed, procs};
use flotilla_worker::provision::{Build, Catalogue, Flavour, Manifest, Probe, Source};
use serde_json::json;
use tokio::task::block_in_place;

use super::bench::{Bench, CEILING, Client, VERSION, VERSIONS, id, minor, spec};

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_three_versions_find_their_browsers_at_once() {
    let bench = Bench::new();
    let launch = |version: &'static str| {
        let mut spec = spec(version, BrowserKind::Chromium);
        spec.version = minor(version);
        bench.launcher.launch(spec)
    };
    let (a, b, c) = tokio::join!(launch(VERSIONS[0]), launch(VERSIONS[1]), launch(VERSIONS[2]));
    for (version, launched) in VERSIONS.iter().zip([a, b, c]) {
        let client = Client::new(version, &launched.unwrap()).await;
        client.connect(BrowserKind::Chromium, "one");
        assert!(client.counts(), "{version}");
    }
    let drivers = bench.launcher.drivers();
    let versions: Vec<_> = drivers.iter().map(|driver| driver.version).collect();
    assert_eq!(versions, VERSIONS.map(minor));
    assert!(drivers.iter().all(|driver| driver.pid.is_some() && driver.browsers.len() == 1));
    bench.finish(&VERSIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_systems_firefox_serves_a_client() {
    let bench = Bench::new();
    let launched = bench.launcher.launch(spec("fox", BrowserKind::Firefox)).await.unwrap();
    let client = Client::new(VERSION, &launched).await;
    client.connect(BrowserKind::Firefox, "one");
    assert!(client.counts());
    drop(client);
    bench.launcher.release(&id("fox"), "one").await;
    bench.launcher.close(&id("fox")).await;
    assert!(procs::find(launched.pid).is_none());
    bench.finish(&["fox"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_launches_share_one_driver() {
    let bench = Bench::new();
    let (a, b) = tokio::join!(bench.chromium("a"), bench.chromium("b"));
    assert_ne!(a.pid, b.pid);
    assert_ne!(a.endpoint, b.endpoint);
    assert_eq!(bench.launcher.drivers().len(), 1);
    bench.finish(&["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_browser_opens_a_page_of_the_clients_own_network() {
    let bench = Bench::new();
    let mut spec = spec("own", BrowserKind::Chromium);
    spec.expose_network = Some("*".into());
    let launched = bench.launcher.launch(spec).await.unwrap();
    let client = Client::new(VERSION, &launched).await;
    let pages = Pages::new();
    let code = "s.browser = await chromium.connect(args.url, { exposeNetwork: '*' });
                const page = await s.browser.newPage();
                return (await page.goto(args.page)).status();";
    let args = json!({ "url": client.url("one"), "page": pages.url("/") });
    assert_eq!(client.run_with(code, args), json!(200));
    let visitors = pages.visitors();
    assert!(!visitors.is_empty());
    let own = visitors.iter().all(|&pid| pid == client.program.pid());
    assert!(own, "the page is fetched by the client, not by {visitors:?}");
    bench.finish(&["own"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sessions_own_launch_options_reach_the_browser() {
    let bench = Bench::new();
    let mut spec = spec("own", BrowserKind::Chromium);
    spec.options.insert("args".into(), json!(["--user-agent=Flotilla/1"]));
    let launched = bench.launcher.launch(spec).await.unwrap();
    let client = Client::new(VERSION, &launched).await;
    client.connect(BrowserKind::Chromium, "one");
    let agent = client.run("return await s.page.evaluate('navigator.userAgent')");
    assert_eq!(agent, json!("Flotilla/1"));
    bench.finish(&["own"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_installed_is_refused_in_words() {
    let bench = Bench::new();
    let launched = bench.launcher.launch(spec("w", BrowserKind::Webkit)).await;
    let error = launched.unwrap_err().to_string();
    assert_eq!(error, "webkit for Playwright 1.64 is not installed on this worker");
    let mut old = spec("old", BrowserKind::Chromium);
    old.version = minor("1.9.0");
    let error = bench.launcher.launch(old).await.unwrap_err();
    assert!(matches!(error, LaunchError::NotInstalled { .. }), "{error}");
    assert!(bench.launcher.drivers().is_empty());
    bench.finish(&[]).await;
}

/// The test bed's Playwright with a program of the test in the place of its browser.
fn with_program(dir: &Path, script: &str) -> Catalogue {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = dir.join("playwright").join(VERSION);
    std::fs::create_dir_all(&place).unwrap();
    let modules = bed::data().join("playwright").join(VERSION).join("node_modules");
    symlink(modules, place.join("node_modules")).unwrap();
    let program = dir.join("browser");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let build = Build {
        flavour: Flavour::HeadlessShell,
        executable: Some(program),
        source: Source::System,
        probe: Probe::default(),
    };
    let manifest = Manifest {
        playwright: VERSION.parse().unwrap(),
        from: "test".into(),
        browsers: vec![build],
    };
    manifest.write(&place).unwrap();
    Catalogue::load(dir).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_does_not_start_says_why() {
    let dir = Folder::new();
    let script = "#!/bin/sh\necho no libnss3 on this machine >&2\nexit 7\n";
    let bench = Bench::with(with_program(dir.path(), script), |_| {});
    let error = bench.launcher.launch(spec("b", BrowserKind::Chromium)).await.unwrap_err();
    assert!(matches!(error, LaunchError::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("no libnss3 on this machine"), "{error}");
    assert_eq!(bench.launcher.drivers()[0].browsers, []);
    bench.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_hangs_is_given_up_and_killed() {
    let dir = Folder::new();
    let pidfile = dir.join("pid");
    let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", pidfile.display());
    let second = Duration::from_secs(1);
    let bench =
        Bench::with(with_program(dir.path(), &script), |config| config.launch_timeout = second);
    let error = bench.launcher.launch(spec("b", BrowserKind::Chromium)).await.unwrap_err();
    assert!(error.to_string().contains("1000"), "{error}");
    let pid = std::fs::read_to_string(pidfile).unwrap().trim().parse().unwrap();
    block_in_place(|| wait_until("its end", CEILING, || procs::find(pid).is_none()));
    bench.finish(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_nobody_waits_for_any_more_leaves_no_browser() {
    let bench = Bench::new();
    // The driver must be up, so that the launch is under way when it is dropped.
    bench.chromium("first").await;
    let driver = bench.launcher.drivers()[0].pid.unwrap();
    let before = procs::tree(driver).len();
    let given_up = bench.launcher.launch(spec("second", BrowserKind::Chromium));
    let started = async {
        loop {
            tokio::task::yield_now().await;
            if procs::tree(driver).len() > before {
                break;
            }
        }
    };
    tokio::select! {
        _ = given_up => panic!("the launch is slower than the start of its process"),
        () = started => {}
    }
    block_in_place(|| {
        wait_until("the second browser to go", CEILING, || {
            bench.launcher.drivers()[0].browsers == [id("first")]
        });
    });
    bench.finish(&["first"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_once() {
    let bench = Bench::new();
    bench.chromium("a").await;
    let error = bench.launcher.launch(spec("a", BrowserKind::Chromium)).await.unwrap_err();
    assert!(error.to_string().contains("called a already"), "{error}");
    assert_eq!(bench.launcher.drivers()[0].browsers, [id("a")]);
    bench.finish(&["a"]).await;
}

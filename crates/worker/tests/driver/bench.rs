//! A launcher to test, and clients that reach its browsers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use flotilla_core::launcher::{BrowserId, Endpoint, LaunchSpec, Launched, Launcher, LauncherEvent};
use flotilla_core::{BrowserKind, PlaywrightVersion};
use flotilla_testkit::folder::Folder;
use flotilla_testkit::program::{Program, Running};
use flotilla_testkit::{bed, procs, wait::wait_until};
use flotilla_worker::driver::{DriverConfig, DriverLauncher, ExecShim};
use flotilla_worker::provision::Catalogue;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::block_in_place;
use tokio::time::timeout;

/// How long anything may take on a busy machine before a test says that it does not happen.
pub(super) const CEILING: Duration = Duration::from_secs(60);

/// The full versions of the test bed, the oldest first.
pub(super) const VERSIONS: [&str; 3] = ["1.62.1", "1.64.1", "1.65.1"];

/// The version of most tests: it serves both browsers.
pub(super) const VERSION: &str = "1.64.1";

/// A launcher with a run directory of its own.
pub(super) struct Bench {
    pub(super) launcher: DriverLauncher,
    pub(super) events: mpsc::UnboundedReceiver<LauncherEvent>,
    /// Goes after the launcher.
    _root: Option<Folder>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let catalogue = Catalogue::load(&bed::data()).unwrap();
        for version in VERSIONS {
            let there = catalogue.get(minor(version)).is_some();
            assert!(
                there,
                "Playwright {version} is not in the test bed: run scripts/setup-tests.sh"
            );
        }
        Self::with(catalogue, |_| {})
    }

    pub(super) fn with(catalogue: Catalogue, change: impl FnOnce(&mut DriverConfig)) -> Self {
        let root = Folder::new();
        let bench = Self::at(root.path(), catalogue, change);
        Self { _root: Some(root), ..bench }
    }

    pub(super) fn at(
        root: &Path,
        catalogue: Catalogue,
        change: impl FnOnce(&mut DriverConfig),
    ) -> Self {
        let mut config = DriverConfig {
            run_root: root.to_owned(),
            shim: ExecShim::Setpriv,
            headless: true,
            launch_timeout: CEILING,
            idle: Duration::ZERO,
            default_version: Some(minor(VERSION)),
        };
        change(&mut config);
        let (launcher, events) = DriverLauncher::new(config, catalogue).unwrap();
        Self { launcher, events, _root: None }
    }

    pub(super) async fn chromium(&self, name: &str) -> Launched {
        let launched = self.launcher.launch(spec(name, BrowserKind::Chromium));
        launched.await.unwrap()
    }

    /// The next exit that is told.
    pub(super) async fn exit(&mut self) -> (BrowserId, String, bool) {
        let event = timeout(CEILING, self.events.recv()).await;
        let event = event.expect("an exit is told").expect("the launcher lives");
        let LauncherEvent::BrowserExited { browser, why, expected } = event;
        (browser, why, expected)
    }

    /// Ends the bench: everything that was launched is told to be gone, and nothing is left.
    pub(super) async fn finish(mut self, told: &[&str]) {
        let run = self.launcher.run_dir().to_owned();
        self.launcher.shutdown().await;
        assert!(self.launcher.drivers().is_empty());
        drop(self.launcher);
        let mut names = Vec::new();
        while let Some(LauncherEvent::BrowserExited { browser, .. }) = self.events.recv().await {
            names.push(browser.0);
        }
        names.sort();
        assert_eq!(names, told, "exits told at the end");
        leaves_nothing(&run);
    }
}

/// No process knows the run directory, and it is gone.
fn leaves_nothing(run: &Path) {
    let text = run.display().to_string();
    block_in_place(|| {
        wait_until("the last process to end", CEILING, || procs::mentioning(&text).is_empty());
        wait_until("the run directory to go", CEILING, || !run.exists());
    });
}

pub(super) fn minor(version: &str) -> PlaywrightVersion {
    version.parse().unwrap()
}

pub(super) fn id(name: &str) -> BrowserId {
    BrowserId(name.to_owned())
}

pub(super) fn spec(name: &str, kind: BrowserKind) -> LaunchSpec {
    LaunchSpec {
        browser: id(name),
        kind,
        version: minor(VERSION),
        options: BTreeMap::new(),
        expose_network: None,
    }
}

/// A client on a TCP port that leads to the browser's socket, as the grid would: one session.
pub(super) struct Client {
    pub(super) program: Program,
    port: u16,
    endpoint: Endpoint,
}

impl Client {
    pub(super) async fn new(version: &str, launched: &Launched) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = launched.endpoint.socket.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let socket = socket.clone();
                tokio::spawn(async move {
                    if let Ok(mut browser) = UnixStream::connect(socket).await {
                        // Who ends it is the tests' business.
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut browser).await;
                    }
                });
            }
        });
        let endpoint = launched.endpoint.clone();
        let program = block_in_place(|| Program::node(version, ""));
        Self { program, port, endpoint }
    }

    pub(super) fn url(&self, session: &str) -> String {
        format!("ws://127.0.0.1:{}{}?session={session}", self.port, self.endpoint.path)
    }

    /// Connects as a session and opens a page; `s.browser` and `s.page` are for later code.
    pub(super) fn connect(&self, kind: BrowserKind, session: &str) {
        let code = format!(
            "s.browser = await {kind}.connect(args.url);
             s.page = await (await s.browser.newContext()).newPage();"
        );
        self.run_with(&code, json!({ "url": self.url(session) }));
    }

    pub(super) fn run(&self, code: &str) -> Value {
        self.run_with(code, json!({}))
    }

    pub(super) fn run_with(&self, code: &str, args: Value) -> Value {
        block_in_place(|| self.program.run_with(code, args))
    }

    /// Why a session cannot connect.
    pub(super) fn refusal(&self, session: &str) -> String {
        let code = "return await chromium.connect(args.url).then(() => '', e => e.message)";
        let url = self.url(session);
        let answer = self.run_with(code, json!({ "url": url }));
        answer.as_str().unwrap().to_owned()
    }

    /// Connects without Playwright, as a session that waits for its end: the close code.
    pub(super) fn closes(&self, session: &str) -> Running {
        let code = "s.raw = new WebSocket(args.url);
                    const closed = new Promise(resolve => s.raw.onclose = resolve);
                    await new Promise(resolve => s.raw.onopen = resolve);
                    s.open?.();
                    return (await closed).code;";
        self.run("s.opened = new Promise(resolve => s.open = resolve);");
        let args = json!({ "url": self.url(session) });
        let running = self.program.start(&with_websocket(code), args);
        self.run("await s.opened;");
        running
    }

    /// Opens a data page and lets its script count.
    pub(super) fn counts(&self) -> bool {
        let code = "await s.page.goto('data:text/html,<script>document.title = 6 * 7</script>');
                    return await s.page.title();";
        self.run(code) == json!("42")
    }
}

/// Node has a WebSocket of its own from 22 on; before, there is the one that Playwright bundles.
pub(super) fn with_websocket(code: &str) -> String {
    format!(
        "const {{ createRequire }} = await import('node:module');
         const load = createRequire(process.argv[2] + '/');
         const WebSocket = globalThis.WebSocket ?? load('./lib/utilsBundle.js').ws;
         {code}"
    )
}

//! The crate's one integration binary: its page of metrics, read by Prometheus's own tool.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flotilla_core::BrowserKind;
use flotilla_core::metrics::{
    ConnectPhase, Direction, Metrics, ProbePhase, Probed, ProcFiles, Process, StartResult,
};
use flotilla_core::status::Status;

/// What promtool says to a page: nothing, when all is well.
fn promtool(page: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("promtool cannot be started ({error}). scripts/setup-tests.sh installs it")
        });
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn status() -> Status {
    serde_json::from_str(
        r#"{"version":"0.1.0 \"quoted\" \\ and\nbroken","state":"ready","uptime_seconds":1,
        "endpoint":"ws://127.0.0.1:1","slots":{"total":5,"used":1,"free":4,"draining":0},
        "queue":{"depth":0,"limit":100,"oldest_wait_seconds":0.25},
        "pools":[{"browser":"chromium","version":"1.65","used":1,"queued":0}],
        "workers":[{"id":"w","state":"available","slots":5,"used":1,"sessions_served":1,
          "started_at":1,"browsers":[]}],"sessions":[]}"#,
    )
    .unwrap()
}

fn busy_grid() -> String {
    let metrics = Metrics::default();
    let browser = BrowserKind::Chromium;
    metrics.connect.seconds.observe((browser, StartResult::NoCapacity), Duration::from_secs(55));
    metrics.connect.phase.observe(ConnectPhase::Dial, Duration::from_micros(300));
    metrics.relay.bytes.add(Direction::ToClient, u64::from(u32::MAX) * 1000);
    metrics.probe.record(Probed {
        browser,
        version: "1.65".parse().unwrap(),
        ok: true,
        phases: vec![(ProbePhase::Evaluate, Duration::from_millis(2))],
        ended_at: 1_700_000_000,
    });
    let process = Process {
        cpu_seconds: 0.25,
        resident_bytes: 1 << 30,
        open_fds: 9,
        max_fds: 1024,
        started_at: 1_700_000_000.5,
    };
    metrics.render_prometheus(&status(), Some(&process))
}

#[test]
fn prometheus_reads_the_page_and_has_nothing_to_say() {
    let (ok, said) = promtool(&busy_grid());
    assert!(ok && said.trim().is_empty(), "{said}");
}

#[test]
fn prometheus_would_notice_a_label_that_is_not_escaped() {
    let raw = busy_grid().replace("\\\"", "\"");
    let (ok, said) = promtool(&raw);
    assert!(!ok && said.contains("unexpected end of label value"), "{said}");
}

#[test]
fn the_systems_own_files_describe_this_process() {
    let read = |file: &str| std::fs::read_to_string(file).unwrap();
    let process = Process::from_proc(&ProcFiles {
        stat: &read("/proc/self/stat"),
        limits: &read("/proc/self/limits"),
        system_stat: &read("/proc/stat"),
        open_fds: std::fs::read_dir("/proc/self/fd").unwrap().count() as u64,
        page_size: 4096,
    })
    .unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    // The system's start is known to a second only.
    assert!((-2.0..600.0).contains(&(now - process.started_at)), "{process:?} at {now}");
    assert!(process.resident_bytes > 500_000 && process.cpu_seconds < 600.0, "{process:?}");
    assert!(process.open_fds >= 3 && process.max_fds >= process.open_fds, "{process:?}");
}

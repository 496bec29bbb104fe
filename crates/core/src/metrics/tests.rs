//! The page, and that the table and the page say the same.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::browser::BrowserKind;
use crate::ending::EndCause;
use crate::pool::ExitReason;
use crate::refusal::Refusal;

fn status() -> Status {
    serde_json::from_str(
        r#"{"version":"0.1.0","state":"ready","uptime_seconds":1,"endpoint":"ws://127.0.0.1:1",
        "slots":{"total":5,"used":3,"free":2,"draining":0},
        "queue":{"depth":1,"limit":100,"oldest_wait_seconds":0.5},
        "pools":[{"browser":"chromium","version":"1.65","used":2,"queued":1,"default":true},
                 {"browser":"firefox","version":"1.64","used":0,"queued":0}],
        "workers":[{"id":"w","state":"available","slots":5,"used":3,"sessions_served":1,
          "started_at":1,"serves":[["chromium","1.65"],["firefox","1.64"]],"browsers":[{"id":"b","browser":"chromium","version":"1.65","pid":1,
          "state":"serving","sessions":2,"served":2,"age_seconds":1,"memory_bytes":1000}]},
          {"id":"v","state":"dead","slots":5,"used":0,"sessions_served":1,"started_at":1,
          "heartbeat_age_seconds":61.5,"serves":[["chromium","1.62"]]}],
        "sessions":[]}"#,
    )
    .unwrap()
}

const PROCESS: Process = Process {
    cpu_seconds: 1.5,
    resident_bytes: 4096,
    open_fds: 10,
    max_fds: 1024,
    started_at: 1_700_000_000.25,
};

fn page(metrics: &Metrics) -> String {
    metrics.render_prometheus(&status(), Some(&PROCESS))
}

fn has(page: &str, line: &str) -> bool {
    page.lines().any(|l| l == line)
}

#[test]
fn the_page_has_exactly_the_metrics_of_the_table() {
    let page = page(&Metrics::default());
    let on_page: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let declared: BTreeSet<_> = metrics().map(|metric| metric.name).collect();
    assert_eq!(on_page.len(), declared.len(), "a metric is there twice, or not at all");
    assert_eq!(on_page.into_iter().collect::<BTreeSet<_>>(), declared);
    assert_eq!(declared.len(), metrics().count());
}

#[test]
fn names_say_their_kind_and_unit() {
    for metric in metrics() {
        let is_total = metric.name.ends_with("_total");
        assert_eq!(is_total, metric.kind == Type::Counter, "{}", metric.name);
        assert!(!metric.help().is_empty() && metric.help().ends_with('.'), "{}", metric.name);
        if metric.kind == Type::Histogram {
            assert_eq!(metric.unit(), "seconds", "{}", metric.name);
            assert!(metric.buckets.is_sorted() && !metric.buckets.is_empty(), "{}", metric.name);
        }
    }
}

#[test]
fn everything_known_begins_at_zero() {
    let page = page(&Metrics::default());
    for line in [
        r#"flotilla_sessions_started_total{browser="webkit",result="quota"} 0"#,
        r#"flotilla_sessions_ended_total{browser="firefox",cause="drain_kill"} 0"#,
        r#"flotilla_browser_exits_total{browser="chromium",reason="lifetime_age"} 0"#,
        r#"flotilla_relay_bytes_total{direction="to_client"} 0"#,
        r#"flotilla_relay_stall_seconds_total{direction="to_browser"} 0"#,
        r#"flotilla_ws_close_total{by="client",code="1000"} 0"#,
        r#"http_requests_total{method="GET",route="connect",status="101"} 0"#,
        r#"flotilla_connect_seconds_count{browser="chromium",result="ok"} 0"#,
        r#"http_in_flight_requests{route_class="connect"} 0"#,
        r#"flotilla_probe_total{browser="chromium",result="failed"} 0"#,
    ] {
        assert!(has(&page, line), "no {line} in\n{page}");
    }
    assert!(page.lines().count() < 1200, "{}", page.lines().count());
}

#[test]
fn what_happened_is_counted_under_its_labels() {
    let metrics = Metrics::default();
    metrics.http.requests.inc((Method::from("PATCH"), Route::of("/x"), StatusCode::from(418)));
    metrics.sessions.ended.add((BrowserKind::Firefox, EndCause::WorkerCrash), 5);
    metrics.browsers.exits.inc((BrowserKind::Chromium, ExitReason::LifetimeMemory));
    metrics.relay.closes.inc((ClosedBy::Worker, CloseCode::from(Some(4999))));
    metrics.relay.stall.add(Direction::ToClient, Duration::from_millis(1500));
    let page = page(&metrics);
    for line in [
        r#"http_requests_total{method="other",route="other",status="other"} 1"#,
        r#"flotilla_sessions_ended_total{browser="firefox",cause="worker_crash"} 5"#,
        r#"flotilla_browser_exits_total{browser="chromium",reason="lifetime_memory"} 1"#,
        r#"flotilla_ws_close_total{by="worker",code="other"} 1"#,
        r#"flotilla_relay_stall_seconds_total{direction="to_client"} 1.5"#,
    ] {
        assert!(has(&page, line), "no {line} in\n{page}");
    }
}

#[test]
fn a_histograms_buckets_add_up_and_bounds_belong_to_their_bucket() {
    let metrics = Metrics::default();
    for millis in [1, 5, 6, 70_000] {
        metrics.connect.phase.observe(ConnectPhase::Dial, Duration::from_millis(millis));
    }
    assert_eq!(metrics.connect.phase.count(ConnectPhase::Dial), 4);
    assert_eq!(metrics.connect.phase.sum(ConnectPhase::Dial), Duration::from_millis(70_012));
    let page = page(&metrics);
    for line in [
        r#"flotilla_connect_phase_seconds_bucket{phase="dial",le="0.005"} 2"#,
        r#"flotilla_connect_phase_seconds_bucket{phase="dial",le="0.01"} 3"#,
        r#"flotilla_connect_phase_seconds_bucket{phase="dial",le="60"} 3"#,
        r#"flotilla_connect_phase_seconds_bucket{phase="dial",le="+Inf"} 4"#,
        r#"flotilla_connect_phase_seconds_sum{phase="dial"} 70.012"#,
        r#"flotilla_connect_phase_seconds_count{phase="dial"} 4"#,
    ] {
        assert!(has(&page, line), "no {line} in\n{page}");
    }
}

#[test]
fn a_gauge_goes_down_when_its_guard_is_dropped() {
    let metrics = Metrics::default();
    let guards = [(); 3].map(|()| metrics.http.in_flight.enter(RouteClass::Connect));
    assert_eq!(metrics.http.in_flight.get(RouteClass::Connect), 3);
    drop(guards);
    assert_eq!(metrics.http.in_flight.get(RouteClass::Connect), 0);
}

#[test]
fn what_is_the_case_comes_from_the_status() {
    let page = page(&Metrics::default());
    for line in [
        r#"flotilla_sessions_active{browser="chromium",version="1.65"} 2"#,
        r#"flotilla_sessions_pending{browser="chromium",version="1.65"} 1"#,
        r#"flotilla_slots{browser="chromium",version="1.65",state="used"} 2"#,
        r#"flotilla_slots{browser="any",version="any",state="free"} 2"#,
        r#"flotilla_slots{browser="any",version="any",state="reserved"} 1"#,
        r#"flotilla_queue_depth{browser="chromium"} 1"#,
        r#"flotilla_queue_depth{browser="webkit"} 0"#,
        "flotilla_queue_limit 100",
        "flotilla_queue_oldest_age_seconds 0.5",
        r#"flotilla_workers{browser="firefox",version="1.64",state="available"} 1"#,
        r#"flotilla_workers{browser="chromium",version="1.62",state="dead"} 1"#,
        r#"flotilla_workers{browser="chromium",version="1.65",state="dead"} 0"#,
        "flotilla_worker_heartbeat_age_seconds 61.5",
        "flotilla_session_oldest_age_seconds 0",
        "flotilla_registry_reachable 1",
        r#"flotilla_browsers{browser="chromium",version="1.65",state="serving"} 1"#,
        r#"flotilla_worker_memory_bytes{kind="rss"} 1000"#,
        r#"flotilla_worker_memory_bytes{kind="limit"} 2147483648"#,
        "flotilla_worker_lifetime_limit 50",
        r#"flotilla_build_info{version="0.1.0"} 1"#,
        "flotilla_config_constraint_violations 0",
        "process_start_time_seconds 1700000000.25",
    ] {
        assert!(has(&page, line), "no {line} in\n{page}");
    }
}

#[test]
fn the_newest_probe_is_what_is_shown() {
    let metrics = Metrics::default();
    let probed = |ok, ended_at| Probed {
        browser: BrowserKind::Chromium,
        version: "1.65".parse().unwrap(),
        ok,
        phases: vec![(ProbePhase::Connect, Duration::from_millis(7))],
        ended_at,
    };
    metrics.probe.record(probed(true, 100));
    metrics.probe.record(probed(false, 200));
    let page = page(&metrics);
    for line in [
        r#"flotilla_probe_success{browser="chromium",version="1.65"} 0"#,
        r#"flotilla_probe_phase_seconds{browser="chromium",phase="connect"} 0.007"#,
        r#"flotilla_probe_last_success_timestamp_seconds{browser="chromium"} 100"#,
        r#"flotilla_probe_total{browser="chromium",result="ok"} 1"#,
        r#"flotilla_probe_total{browser="chromium",result="failed"} 1"#,
    ] {
        assert!(has(&page, line), "no {line} in\n{page}");
    }
}

#[test]
fn probes_of_ever_new_versions_stay_bounded() {
    let metrics = Metrics::default();
    for minor in 0..100 {
        metrics.probe.record(Probed {
            browser: BrowserKind::Chromium,
            version: crate::PlaywrightVersion { major: 1, minor },
            ok: true,
            phases: Vec::new(),
            ended_at: 1,
        });
    }
    let page = page(&metrics);
    let series = page.lines().filter(|line| line.starts_with("flotilla_probe_success{")).count();
    assert_eq!(series, 24);
    assert!(page.contains(r#"version="1.99""#));
}

#[test]
fn every_label_counts_its_values_in_the_order_of_its_list() {
    fn check<L: Label>() {
        for (place, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.ordinal(), place, "{} {}", L::NAME, value.value());
        }
    }
    check::<BrowserKind>();
    check::<EndCause>();
    check::<ExitReason>();
    check::<StartResult>();
    check::<CloseCode>();
    check::<StatusCode>();
    check::<Route>();
    type Series = (BrowserKind, StartResult);
    for index in 0..Series::SERIES {
        assert_eq!(Series::at(index).index(), index);
    }
    type Wide = (Method, Route, StatusCode);
    for index in 0..Wide::SERIES {
        assert_eq!(Wide::at(index).index(), index);
    }
}

#[test]
fn requests_and_refusals_are_sorted_by_what_they_are() {
    assert_eq!(Route::of("/x/json"), Route::Json);
    assert_eq!(Route::of("/json/version/"), Route::Json);
    assert_eq!(Route::of("/status.json"), Route::Status);
    assert_eq!(Route::of("/"), Route::Home);
    assert_eq!(Route::of("connect"), Route::Other);
    assert_eq!(Route::of("/healthz/"), Route::Healthz);
    assert_eq!(Route::of("/v1/workers/w/drain"), Route::Operator);
    assert_eq!(StartResult::from(&Refusal::draining()), StartResult::Maintenance);
    assert_eq!(StartResult::from(&Refusal::queue_full(1, 1)), StartResult::NoCapacity);
    assert_eq!(StartResult::from(&Refusal::gateway_full(1)), StartResult::NoCapacity);
    assert_eq!(StartResult::from(&Refusal::bad_request("x")), StartResult::ClientError);
    assert_eq!(StartResult::from(&Refusal::other(500, "bug", "x")), StartResult::Internal);
}

#[test]
fn the_reference_page_is_current() {
    crate::config::assert_current("docs/metrics.md", &markdown());
}

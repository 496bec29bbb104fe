//! The metrics that are counted as things happen, by what they are about.

use std::time::Duration;

use crate::browser::BrowserKind;
use crate::call::CallError;
use crate::ending::EndCause;
use crate::order::OrderError;
use crate::pool::ExitReason;
use crate::ticket::TicketError;

use super::instrument::{Counter, Gauge, Histogram, Stopwatch};
use super::metric::metrics;
use super::words::{
    AdvertFault, CloseCode, ClosedBy, ConnectPhase, Direction, LaunchFailure, Method,
    OperatorAction, OperatorResult, Pool, QueueResult, Route, RouteClass, StartResult, StatusCode,
    StoreOperation, WorkerExit,
};

/// From a loopback round trip to a client's patience.
const FAST: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// A connect's parts: a dial takes a fraction of a millisecond, a wait for a slot a minute.
const CONNECT: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0,
    30.0, 60.0,
];
/// With the wait for a slot and the start of a browser in it.
const PATIENT: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0];
/// From one second to a day.
const LONG: &[f64] = &[
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0,
    86400.0,
];

metrics! {
    /// The gateway's HTTP: handshakes count with their answer, but never with a duration.
    Http, "HTTP" {
        /// Requests that were answered, WebSocket handshakes among them: 101 is success.
        requests: Counter<(Method, Route, StatusCode)> = "http_requests_total",
            expecting &["GET", "connect", "/", "/json", "/metrics", "/healthz", "/readyz", "/status.json", "101", "200"];
        /// How long requests took that are no WebSocket handshakes.
        duration: Histogram<(Method, Route)> = "http_request_duration_seconds", buckets FAST,
            expecting &["GET", "/", "/json", "/metrics", "/healthz", "/readyz", "/status.json"];
        /// Requests that have not been answered yet.
        in_flight: Gauge<RouteClass> = "http_in_flight_requests";
    }
}

metrics! {
    /// Clients' ways in.
    Connect, "Connecting" {
        /// From a handshake's first byte to its 101, or to its refusal.
        seconds: Histogram<(BrowserKind, StartResult)> = "flotilla_connect_seconds", buckets CONNECT,
            expecting &["chromium", "firefox", "webkit", "ok"];
        /// The parts of that time.
        phase: Histogram<ConnectPhase> = "flotilla_connect_phase_seconds", buckets CONNECT;
    }
}

metrics! {
    /// Sessions, from admission to end record.
    Sessions, "Sessions" {
        /// Clients that wanted a session, by what became of it.
        started: Counter<(BrowserKind, StartResult)> = "flotilla_sessions_started_total";
        /// Sessions that ended, by cause.
        ended: Counter<(BrowserKind, EndCause)> = "flotilla_sessions_ended_total";
        /// How long sessions lasted.
        duration: Histogram<BrowserKind> = "flotilla_session_duration_seconds", buckets LONG;
    }
}

metrics! {
    /// Waiting for a slot.
    Queue, "Queue" {
        /// How long clients waited for a slot, by how it ended.
        wait: Histogram<(BrowserKind, QueueResult)> = "flotilla_queue_wait_seconds", buckets PATIENT,
            expecting &["chromium", "firefox", "webkit", "granted"];
    }
}

metrics! {
    /// What passes between clients and browsers.
    Relay, "Relay" {
        /// Bytes relayed after the handshake, frame headers included.
        bytes: Counter<Direction> = "flotilla_relay_bytes_total";
        /// WebSocket messages relayed.
        messages: Counter<Direction> = "flotilla_relay_messages_total";
        /// Time in which one side could not take what the other had sent.
        stall: Stopwatch<Direction> = "flotilla_relay_stall_seconds_total";
        /// Ends of sessions by who closed first and with which code.
        closes: Counter<(ClosedBy, CloseCode)> = "flotilla_ws_close_total",
            expecting &["client", "worker", "gateway", "1000", "1001", "1002", "1008", "1011", "1012", "none"];
    }
}

/// What has passed in one direction of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Bytes, frame headers included.
    pub bytes: u64,
    /// Complete messages.
    pub messages: u64,
    /// How long the sink was too slow for the source.
    pub stalled: Duration,
}

impl Relay {
    /// Adds what has passed since the last call. A session may last for days: what it relays is
    /// counted whenever somebody looks, not only at its end.
    pub fn count(&self, direction: Direction, now: Passed, counted: &mut Passed) {
        self.bytes.add(direction, now.bytes.saturating_sub(counted.bytes));
        self.messages.add(direction, now.messages.saturating_sub(counted.messages));
        self.stall.add(direction, now.stalled.saturating_sub(counted.stalled));
        *counted = now;
    }
}

metrics! {
    /// Browser processes.
    Browsers, "Browsers" {
        /// How long browsers took to start.
        launch: Histogram<BrowserKind> = "flotilla_worker_launch_seconds", buckets PATIENT;
        /// Browsers that did not start.
        launch_failures: Counter<(BrowserKind, LaunchFailure)> = "flotilla_worker_launch_failures_total";
        /// Browser processes that went, by reason.
        exits: Counter<(BrowserKind, ExitReason)> = "flotilla_browser_exits_total";
        /// Workers that went, by reason.
        worker_exits: Counter<(Pool, WorkerExit)> = "flotilla_worker_exits_total";
    }
}

metrics! {
    /// What operators want.
    Operators, "Operators" {
        /// Requests of operators that were carried out or refused, by what was asked for.
        calls: Counter<(OperatorAction, OperatorResult)> = "flotilla_operator_requests_total";
        /// Requests that were not answered because nothing vouched for who sent them, by reason.
        refused: Counter<CallError> = "flotilla_auth_failures_total";
    }
}

metrics! {
    /// Several processes as one grid.
    Fleet, "Fleet" {
        /// Workers that proved themselves to this gateway, for the first time or again.
        registrations: Counter<()> = "flotilla_worker_registrations_total";
        /// Workers that this gateway could not reach, each time that one was lost.
        unroutable: Counter<()> = "flotilla_worker_dial_failures_total";
        /// Workers that were not heard of for their TTL.
        expired: Counter<()> = "flotilla_worker_expiries_total";
        /// Times that two live workers had one name.
        duplicates: Counter<()> = "flotilla_worker_duplicates_total";
        /// Entries of the registry that were not believed, by reason.
        rejected: Counter<AdvertFault> = "flotilla_registry_rejected_total";
        /// Tickets that this worker did not take, by reason.
        tickets: Counter<TicketError> = "flotilla_tickets_refused_total";
        /// Orders that this worker did not take, by reason.
        orders: Counter<OrderError> = "flotilla_orders_refused_total";
        /// How long the registry took to answer, by operation.
        operation: Histogram<StoreOperation> = "flotilla_store_op_seconds", buckets FAST;
        /// Operations of the registry that failed.
        errors: Counter<()> = "flotilla_store_errors_total";
    }
}

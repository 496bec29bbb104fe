//! The metrics: every one declared once, with its name, kind, labels and meaning. The text format
//! and the documentation come from the same rows.
//!
//! What happens is counted in atomics, one cell a series, all of them there from the start and at
//! zero. What is the case is computed from [`Status`] when somebody asks.

mod computed;
mod docs;
mod groups;
mod instrument;
mod label;
mod metric;
mod probe;
mod process;
mod text;
mod words;

pub use docs::markdown;
pub use groups::{Browsers, Connect, Fleet, Http, Operators, Passed, Queue, Relay, Sessions};
pub use instrument::{Counter, Gauge, GaugeGuard, Histogram, Stopwatch};
pub use label::{Label, LabelSet};
pub use metric::{Metric, Type};
pub use probe::{Probe, Probed};
pub use process::{ProcFiles, Process};
pub use words::{
    AdvertFault, CloseCode, ClosedBy, ConnectPhase, Direction, LaunchFailure, Method,
    OperatorAction, OperatorResult, Pool, ProbePhase, ProbeResult, QueueResult, Route, RouteClass,
    StartResult, StatusCode, StoreOperation, WorkerExit,
};

use crate::config::Config;
use crate::status::Status;

use computed::About;
use text::Text;

/// Everything that is counted. Shared by reference; updating needs no lock.
#[derive(Debug)]
pub struct Metrics {
    /// The gateway's HTTP.
    pub http: Http,
    /// Clients' ways in.
    pub connect: Connect,
    /// Sessions, from admission to end record.
    pub sessions: Sessions,
    /// Waiting for a slot.
    pub queue: Queue,
    /// What passes between clients and browsers.
    pub relay: Relay,
    /// Browser processes.
    pub browsers: Browsers,
    /// Several processes as one grid.
    pub fleet: Fleet,
    /// What operators want.
    pub operators: Operators,
    /// What the health check's own sessions found.
    pub probe: Probe,
    about: About,
}

impl Metrics {
    /// All at zero, for a grid with these settings.
    pub fn new(config: &Config, config_hash: &str) -> Self {
        Self {
            http: Http::new(),
            connect: Connect::new(),
            sessions: Sessions::new(),
            queue: Queue::new(),
            relay: Relay::new(),
            browsers: Browsers::new(),
            fleet: Fleet::new(),
            operators: Operators::new(),
            probe: Probe::new(),
            about: About::new(config, config_hash),
        }
    }

    /// The page in Prometheus's text format. Its media type is [`Self::CONTENT_TYPE`].
    pub fn render_prometheus(&self, status: &Status, process: Option<&Process>) -> String {
        let mut out = Text::default();
        self.http.render(&mut out);
        self.connect.render(&mut out);
        self.sessions.render(&mut out);
        self.queue.render(&mut out);
        self.relay.render(&mut out);
        self.browsers.render(&mut out);
        self.fleet.render(&mut out);
        self.operators.render(&mut out);
        self.probe.render(&mut out);
        computed::render(status, &self.about, process, &mut out);
        out.finish()
    }

    /// The media type of [`Self::render_prometheus`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";
}

impl Default for Metrics {
    /// For tests and tools: the default settings.
    fn default() -> Self {
        Self::new(&Config::default(), "default")
    }
}

/// Every metric, in the order of the page.
pub fn metrics() -> impl Iterator<Item = &'static Metric> + Clone {
    [
        Http::METRICS,
        Connect::METRICS,
        Sessions::METRICS,
        Queue::METRICS,
        Relay::METRICS,
        Browsers::METRICS,
        Fleet::METRICS,
        Operators::METRICS,
        Probe::METRICS,
        computed::METRICS,
        process::METRICS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests;

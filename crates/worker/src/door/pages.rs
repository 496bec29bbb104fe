//! What a worker tells about itself to people and to Prometheus.

use flotilla_core::metrics::Metrics;
use flotilla_core::status::{
    GridState, PoolStatus, QueueStatus, RegistryStatus, Slots, Status, WorkerState, WorkerStatus,
};
use flotilla_relay::ResponseHead;
use tokio::net::TcpStream;

use super::{Inner, answer};

/// `GET /status.json`: the shape that a grid's has, with this worker alone in it.
pub(super) async fn status(door: &Inner, peer: &mut TcpStream) {
    // Types of our own, without maps of odd keys, always become JSON.
    let body = serde_json::to_string(&of(door).await).unwrap_or_default();
    answer::finish(peer, ResponseHead::new(200, "OK"), "application/json", &body).await;
}

/// `GET /metrics`.
pub(super) async fn metrics(door: &Inner, peer: &mut TcpStream) {
    let process = (door.config.process)();
    door.tally.count(&door.metrics.relay);
    let body = door.metrics.render_prometheus(&of(door).await, process.as_ref());
    answer::finish(peer, ResponseHead::new(200, "OK"), Metrics::CONTENT_TYPE, &body).await;
}

async fn of(door: &Inner) -> Status {
    let worker = door.worker.inspect().await;
    let sessions = door.worker.sessions().await.unwrap_or_default();
    let used = |browser, version| {
        let same = sessions.iter().filter(|s| (s.browser, s.version) == (browser, version));
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    };
    let serves = worker.as_ref().map(|worker| worker.serves.clone()).unwrap_or_default();
    let pools = serves.into_iter().map(|(browser, version)| PoolStatus {
        browser,
        version,
        used: used(browser, version),
        queued: 0,
        default: false,
    });
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: worker.as_ref().map_or(GridState::Draining, state),
        uptime_seconds: door.started.elapsed().as_secs_f64(),
        endpoint: format!("ws://{}", door.endpoint()),
        registry: RegistryStatus::default(),
        slots: worker.as_ref().map(slots).unwrap_or_default(),
        queue: QueueStatus::default(),
        pools: pools.collect(),
        workers: worker.into_iter().collect(),
        sessions,
    }
}

fn state(worker: &WorkerStatus) -> GridState {
    match worker.state {
        WorkerState::Starting => GridState::Starting,
        WorkerState::Draining => GridState::Draining,
        _ => GridState::Ready,
    }
}

fn slots(worker: &WorkerStatus) -> Slots {
    let left = worker.slots.saturating_sub(worker.used);
    let draining = worker.state == WorkerState::Draining;
    Slots {
        total: worker.slots,
        used: worker.used,
        free: if draining { 0 } else { left },
        draining: if draining { left } else { 0 },
    }
}

//! What the gateway answers to plain HTTP: how it is, and where to connect.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_core::Refusal;
use flotilla_core::metrics::{Method as MethodLabel, Metrics, Route, RouteClass};
use flotilla_core::status::{GridState, Status};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::operator::{self, Operate};
use crate::rewind::Rewind;

/// What the pages are made of.
pub(crate) trait Inspect: Operate {
    /// The grid as it is now.
    fn status(&self) -> impl Future<Output = Status> + Send;
    /// The counters.
    fn metrics(&self) -> &Metrics;
    /// The text of `/metrics`.
    fn render_metrics(&self, status: &Status) -> String;
    /// Sessions that are relayed now.
    fn active(&self) -> usize;
}

/// Serves the connection until its client is done with it.
pub(crate) async fn serve<I: Inspect>(first: Bytes, client: TcpStream, grid: Arc<I>) {
    // Who is gone already is nobody in particular.
    let peer = client.peer_addr().map_or(IpAddr::from([0; 4]), |address| address.ip());
    let answer = service_fn(move |request: Request<Incoming>| {
        let grid = grid.clone();
        async move { Ok::<_, Infallible>(counted(request, peer, &*grid).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // A client that asks /json first may upgrade on the same connection: only the head reader can
        // take that, so every answer here is the connection's last.
        .keep_alive(false)
        .header_read_timeout(std::time::Duration::from_secs(30))
        .serve_connection(TokioIo::new(Rewind::new(first, client)), answer);
    if let Err(error) = served.await {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}

async fn counted<I: Inspect>(
    request: Request<Incoming>,
    peer: IpAddr,
    grid: &I,
) -> Response<Full<Bytes>> {
    let http = &grid.metrics().http;
    let _in_flight = http.in_flight.enter(RouteClass::Http);
    let began = std::time::Instant::now();
    let (method, route) =
        (MethodLabel::from(request.method().as_str()), Route::of(request.uri().path()));
    let response = match route {
        Route::Operator => operated(operator::answer(request, peer, grid).await),
        _ => answer(&request, grid).await,
    };
    http.requests.inc((method, route, response.status().as_u16().into()));
    http.duration.observe((method, route), began.elapsed());
    response
}

/// Operators' programs read JSON, also where they are refused.
fn operated(answer: Result<serde_json::Value, Refusal>) -> Response<Full<Bytes>> {
    match answer {
        Ok(body) => as_json(&body),
        Err(refusal) => refused(&refusal, true),
    }
}

async fn answer<I: Inspect>(request: &Request<Incoming>, grid: &I) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_end_matches('/');
    let json = wants_json(request);
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal = Refusal::other(405, "method_not_allowed", "only GET is answered here");
        let mut response = refused(&refusal, json);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "" => text(StatusCode::OK, home(&grid.status().await)),
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => ready(&grid.status().await, json),
        "/status.json" => as_json(&grid.status().await),
        "/metrics" if json => as_json(&serde_json::json!({ "activeConnections": grid.active() })),
        "/metrics" => metrics(grid.render_metrics(&grid.status().await)),
        // Playwright's connect('http://host/p') asks /p/json, and then connects to /p + wsEndpointPath.
        _ if path.ends_with("/json") => as_json(&serde_json::json!({ "wsEndpointPath": "/" })),
        _ if path.ends_with("/json/version") => refused(&Refusal::cdp_not_served(), json),
        _ => refused(&not_found(path), json),
    }
}

fn wants_json(request: &Request<Incoming>) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/json"))
}

/// Ready: a session would be admitted, now or after its turn in the queue.
fn ready(status: &Status, json: bool) -> Response<Full<Bytes>> {
    let problem = match (status.state, status.available_workers()) {
        (GridState::Draining, _) => Some("draining"),
        (GridState::Starting, _) => Some("starting: no browser is up yet"),
        (GridState::Ready, 0) => Some("no worker is available"),
        (GridState::Ready, _) => None,
    };
    // It goes on with what it knows: a balancer that took every gateway out would make an outage
    // of what is none.
    let warning = (!status.registry.reachable)
        .then_some("the registry cannot be reached: new workers are not found until it can");
    match (problem, json) {
        (None, false) => text(
            StatusCode::OK,
            match warning {
                None => "ready\n".to_owned(),
                Some(warning) => format!("ready, but {warning}\n"),
            },
        ),
        (None, true) => as_json(&serde_json::json!({ "ready": true, "warning": warning })),
        (Some(why), _) => refused(&Refusal::other(503, "not_ready", why), json),
    }
}

fn home(status: &Status) -> String {
    let pools: Vec<_> = status
        .pools
        .iter()
        .map(|pool| format!("  {} for Playwright {}\n", pool.browser, pool.version))
        .collect();
    format!(
        "Flotilla {}: Playwright browsers behind one WebSocket endpoint.\n\nConnect: \
         chromium.connect({:?})\nServed:\n{}\nSlots: {} of {} used, {} waiting.\n\
         See also /status.json, /metrics, /healthz, /readyz.\n",
        status.version,
        status.endpoint,
        pools.concat(),
        status.slots.used,
        status.slots.total,
        status.queue.depth
    )
}

fn not_found(path: &str) -> Refusal {
    let path: String = path.chars().take(80).collect();
    Refusal::other(
        404,
        "not_found",
        format!(
            "nothing is at {path:?}. Playwright clients connect to /; people find /status.json, \
             /metrics, /healthz and /readyz here"
        ),
    )
}

fn metrics(body: String) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, Metrics::CONTENT_TYPE, body)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn as_json(body: &impl serde::Serialize) -> Response<Full<Bytes>> {
    // Types of our own, without maps of odd keys, always become JSON.
    respond(StatusCode::OK, "application/json", serde_json::to_string(body).unwrap_or_default())
}

fn refused(refusal: &Refusal, json: bool) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match json {
        true => respond(status, "application/json", refusal.json()),
        false => text(status, refusal.text()),
    };
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

//! What the facts about a worker come to, hop by hop.

use flotilla_core::status::{RegistryKind, Status, WorkerState, WorkerStatus};
use serde::Serialize;

use crate::commands::in_words;

/// What was found out.
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    /// The grid, as the gateway that was asked sees it.
    pub(super) gateway: &'a Status,
    /// The worker, as that gateway sees it.
    pub(super) worker: Option<&'a WorkerStatus>,
    pub(super) known: Vec<&'a str>,
    /// Where its name leads from here; `None` when nobody tried.
    pub(super) resolves: Option<Result<String, String>>,
    /// Why it did not answer the gateway just now, if it did not.
    pub(super) unanswered: Option<String>,
    /// What it says of itself when it is asked from here.
    pub(super) says: Option<Result<Status, String>>,
}

/// One hop of the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Hop {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<&'static str>,
}

/// How a hop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Good,
    Bad,
    /// It cannot be told from here.
    Unknown,
}

fn hop(name: &'static str, verdict: Verdict, words: impl Into<String>) -> Hop {
    Hop { name, verdict, words: words.into(), hint: None }
}

impl Hop {
    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// The hops in the order of the way. What lies behind an unknown worker is not looked at.
pub(super) fn examine(facts: &Facts<'_>) -> Vec<Hop> {
    let mut hops = vec![registry(facts.gateway)];
    let Some(worker) = facts.worker else {
        hops.push(unknown(facts));
        return hops;
    };
    hops.push(hop("registered", Verdict::Good, "the gateway knows it"));
    hops.push(heartbeat(worker));
    if let Some(resolves) = &facts.resolves {
        hops.push(name(worker, resolves));
    }
    hops.push(route(worker, facts.unanswered.as_deref()));
    hops.push(browsers(worker, facts.says.as_ref()));
    hops.push(serves(worker, facts.gateway));
    hops.push(takes(worker));
    hops
}

fn registry(gateway: &Status) -> Hop {
    let latency = gateway.registry.latency_ms.map(|ms| format!(" in {ms:.1} ms"));
    match (gateway.registry.kind, gateway.registry.reachable) {
        (RegistryKind::Memory, _) => hop("registry", Verdict::Good, "in the process itself"),
        (RegistryKind::Redis, true) => {
            let words = format!("Redis answers the gateway{}", latency.unwrap_or_default());
            hop("registry", Verdict::Good, words)
        }
        (RegistryKind::Redis, false) => {
            hop("registry", Verdict::Bad, "the gateway cannot reach Redis: it finds no new workers")
                .hint("see the gateway's log, and its REDIS_URL")
        }
    }
}

fn unknown(facts: &Facts<'_>) -> Hop {
    let known = match facts.known.as_slice() {
        [] => "none at all".to_owned(),
        known => known.join(", "),
    };
    let words = format!("the gateway knows no worker {}; it knows {known}", facts.name);
    hop("registered", Verdict::Bad, words).hint(
        "is it running, with the gateway's Redis and the same fleet secret? Its own log says what \
         it cannot reach, and the gateway's log whom it does not believe",
    )
}

fn heartbeat(worker: &WorkerStatus) -> Hop {
    let words = format!("last heard of {} ago", in_words(worker.heartbeat_age_seconds));
    match worker.state {
        WorkerState::Stalled | WorkerState::Dead => hop("heartbeat", Verdict::Bad, words)
            .hint("it has stopped, hangs, or cannot reach Redis: see its log"),
        _ => hop("heartbeat", Verdict::Good, words),
    }
}

/// The gateway's own way counts; from here it can only explain that.
fn name(worker: &WorkerStatus, resolves: &Result<String, String>) -> Hop {
    let endpoint = &worker.endpoint;
    match resolves {
        Ok(addresses) => hop("name", Verdict::Good, format!("{endpoint} is {addresses} from here")),
        Err(why) => {
            let unroutable = worker.state == WorkerState::Unroutable;
            let verdict = if unroutable { Verdict::Bad } else { Verdict::Unknown };
            hop("name", verdict, format!("{endpoint} leads nowhere from here: {why}"))
                .hint("set PRIVATE_HOSTNAME on the worker to a name that gateways resolve")
        }
    }
}

fn route(worker: &WorkerStatus, unanswered: Option<&str>) -> Hop {
    match (worker.problem.as_deref().or(unanswered), worker.state) {
        (Some(why), _) => {
            let words = format!("the gateway cannot reach it at {}: {why}", worker.endpoint);
            hop("route", Verdict::Bad, words).hint(
                "open the worker's port to the gateways, and set PRIVATE_HOSTNAME to how they \
                 reach it",
            )
        }
        (None, WorkerState::Dead) => hop("route", Verdict::Unknown, "it is not dialled any more"),
        (None, _) if worker.endpoint.is_empty() => {
            hop("route", Verdict::Good, "in the gateway's own process")
        }
        (None, _) => {
            hop("route", Verdict::Good, "the gateway has asked it just now, and it answered")
        }
    }
}

fn browsers(worker: &WorkerStatus, says: Option<&Result<Status, String>>) -> Hop {
    let own = match says {
        Some(Ok(status)) => status.workers.first(),
        Some(Err(why)) => {
            let words = format!("it cannot be asked from here: {why}");
            return hop("browsers", Verdict::Unknown, words);
        }
        None => Some(worker),
    };
    let up = own.map_or(0, |own| own.browsers.iter().filter(|b| b.pid.is_some()).count());
    match (up, worker.state) {
        (0, WorkerState::Starting) => {
            hop("browsers", Verdict::Bad, "none has come up yet").hint("its log says why")
        }
        (0, _) => hop("browsers", Verdict::Good, "none is up; one is started when it is needed"),
        (up, _) => hop("browsers", Verdict::Good, format!("{up} up")),
    }
}

fn serves(worker: &WorkerStatus, gateway: &Status) -> Hop {
    let offered =
        |served: &(_, _)| gateway.pools.iter().any(|pool| (pool.browser, pool.version) == *served);
    let missing: Vec<_> = worker.serves.iter().filter(|served| !offered(served)).collect();
    match (worker.serves.len(), missing.as_slice()) {
        (0, _) => hop("versions", Verdict::Bad, "it serves no browser at all")
            .hint("install one there: flotilla browsers install"),
        (all, []) => {
            hop("versions", Verdict::Good, format!("the gateway offers all {all} that it serves"))
        }
        (_, missing) => {
            let names: Vec<_> =
                missing.iter().map(|served| format!("{} {}", served.0, served.1)).collect();
            let words = format!("the gateway does not offer {}", names.join(", "));
            hop("versions", Verdict::Bad, words)
        }
    }
}

fn takes(worker: &WorkerStatus) -> Hop {
    let slots = format!("{} of {} slots are used", worker.used, worker.slots);
    match worker.state {
        WorkerState::Draining => hop("slots", Verdict::Bad, "it is draining: it takes no sessions")
            .hint("flotilla undrain lets it take sessions again"),
        WorkerState::Busy => hop("slots", Verdict::Good, format!("{slots}: the next one waits")),
        _ => hop("slots", Verdict::Good, slots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(reachable: bool) -> Status {
        let json = format!(
            r#"{{"version":"0.1.0","state":"ready","uptime_seconds":1.0,"endpoint":"ws://h:1",
            "registry":{{"kind":"redis","reachable":{reachable},"latency_ms":0.42}},
            "slots":{{"total":5,"used":0,"free":5,"draining":0}},
            "queue":{{"depth":0,"limit":100,"oldest_wait_seconds":0.0}},
            "pools":[{{"browser":"chromium","version":"1.65","used":0,"queued":0}}],
            "workers":[],"sessions":[]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn worker(extra: &str) -> WorkerStatus {
        let json = format!(
            r#"{{"id":"w","slots":5,"used":0,"sessions_served":0,"started_at":0,
            "endpoint":"w.internal:3131","heartbeat_age_seconds":1.0,{extra}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    const SERVES: &str = r#""serves":[["chromium","1.65"]]"#;

    fn ills(gateway: &Status, worker: Option<&WorkerStatus>, resolves: bool) -> Vec<&'static str> {
        let resolves = match resolves {
            true => Ok("10.0.0.7".to_owned()),
            false => Err("no such host".to_owned()),
        };
        let facts = Facts {
            name: "w",
            gateway,
            worker,
            known: vec!["v"],
            unanswered: None,
            resolves: Some(resolves),
            says: Some(Err("no route".to_owned())),
        };
        let hops = examine(&facts);
        assert!(hops.iter().all(|hop| !hop.words.is_empty()));
        hops.iter().filter(|hop| hop.verdict == Verdict::Bad).map(|hop| hop.name).collect()
    }

    fn ill(extra: &str) -> Vec<&'static str> {
        ills(&gateway(true), Some(&worker(&format!("{SERVES},{extra}"))), true)
    }

    #[test]
    fn each_hop_is_named_when_it_fails_and_none_when_all_is_well() {
        assert!(ill(r#""state":"available""#).is_empty());
        assert!(ill(r#""state":"busy""#).is_empty(), "others wait for its slots");
        assert_eq!(ills(&gateway(true), None, true), ["registered"]);
        assert_eq!(ill(r#""state":"stalled""#), ["heartbeat"]);
        assert_eq!(ill(r#""state":"dead""#), ["heartbeat"]);
        assert_eq!(ill(r#""state":"unroutable","problem":"refused""#), ["route"]);
        assert_eq!(ill(r#""state":"draining""#), ["slots"]);
        let bare = worker(r#""state":"available","serves":[]"#);
        assert_eq!(ills(&gateway(true), Some(&bare), true), ["versions"]);
        let other = worker(r#""state":"available","serves":[["firefox","1.65"]]"#);
        assert_eq!(ills(&gateway(true), Some(&other), true), ["versions"]);
        let well = worker(&format!(r#"{SERVES},"state":"available""#));
        assert_eq!(ills(&gateway(false), Some(&well), true), ["registry"]);
    }

    #[test]
    fn a_name_that_only_this_machine_cannot_resolve_is_no_illness() {
        let well = worker(&format!(r#"{SERVES},"state":"available""#));
        assert!(ills(&gateway(true), Some(&well), false).is_empty());
        let lost = worker(&format!(r#"{SERVES},"state":"unroutable","problem":"no such host""#));
        assert_eq!(ills(&gateway(true), Some(&lost), false), ["name", "route"]);
    }

    #[test]
    fn a_worker_without_a_browser_is_ill_only_while_it_starts() {
        let starting = worker(&format!(r#"{SERVES},"state":"starting""#));
        let (grid, well) = (gateway(true), worker(&format!(r#"{SERVES},"state":"available""#)));
        let of = |worker| browsers(worker, None).verdict;
        assert_eq!(route(&well, Some("no answer in time")).verdict, Verdict::Bad);
        assert_eq!((of(&starting), of(&well)), (Verdict::Bad, Verdict::Good));
        assert_eq!(browsers(&well, Some(&Ok(grid))).verdict, Verdict::Good);
    }
}

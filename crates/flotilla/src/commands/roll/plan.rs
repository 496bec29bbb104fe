//! From options to a roll: what there is, what is promised, and whether it may begin.

use std::process::ExitCode;
use std::time::Duration;

use flotilla_core::config::Role;
use flotilla_core::keyring::Keyring;
use flotilla_core::rollout::{Patience, Plan, Rollout, Seen};
use flotilla_core::status::{PoolStatus, WorkerState};

use super::options::{Common, GatewayOptions, WorkerOptions};
use super::{Refused, conduct, resume, telling};
use crate::commands::config::{SettingFlags, load};
use crate::commands::{in_words, named};
use crate::operator::Settings;
use crate::printer::Printer;
use crate::probe::{self, Endpoint};
use crate::roll::{CommandPlatform, GatewayHands, Hands, WorkerHands, WorkerTarget, now};

const STATUS_WITHIN: Duration = Duration::from_secs(5);
/// How long a fresh roll looks, and one that may have been interrupted.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// A roll that may begin.
pub(super) struct Ready<H> {
    pub(super) what: &'static str,
    pub(super) hands: H,
    pub(super) rollout: Rollout,
    pub(super) floor: usize,
    /// Where to connect again and again, and as whom.
    pub(super) connect: probe::Target,
    /// Whose counters tell how sessions ended.
    pub(super) counters: Vec<Endpoint>,
    /// How to continue it.
    pub(super) resume: String,
}

/// What the settings and options say together.
struct Base {
    endpoint: Endpoint,
    keyring: Keyring,
    patience: Patience,
    /// What started before this is old.
    since: f64,
    /// The start of the names of new ones.
    prefix: String,
}

pub(super) async fn workers(
    options: &WorkerOptions,
    settings: &Settings,
    printer: Printer,
) -> Result<ExitCode, Refused> {
    let base = base(&options.common, settings)?;
    let counters = endpoints(&options.gateway)?;
    let counters = if counters.is_empty() { vec![base.endpoint.clone()] } else { counters };
    let pool = default_pool(&base.endpoint).await?;
    let target = WorkerTarget {
        since: base.since,
        release: options.release.clone(),
        probe: (!options.probe_all).then_some((pool.browser, pool.version)),
    };
    let platform = platform("workers", &options.common);
    let (keyring, patience) = (base.keyring.clone(), base.patience.clone());
    let hands = WorkerHands::new(counters[0].clone(), keyring, platform, target, patience);
    let fleet = hands.look().await.map_err(Refused::new)?;
    let there = fleet.iter().filter(|seen| seen.state != WorkerState::Dead).count();
    let plan = Plan {
        desired: options.replicas.unwrap_or(there),
        max_unavailable: options.max_unavailable,
        max_surge: options.max_surge,
        slots_floor: options.slots_floor,
        batch: options.batch,
        prefix: base.prefix.clone(),
        patience: base.patience.clone(),
    };
    let ready = Ready {
        what: "workers",
        hands,
        floor: plan.floor(),
        rollout: Rollout::new(plan.clone())?,
        connect: connect(&base, &pool),
        counters,
        resume: resume::workers(options, base.since, &plan),
    };
    go(ready, &options.common, &plan, &fleet, printer).await
}

pub(super) async fn gateways(
    options: &GatewayOptions,
    settings: &Settings,
    printer: Printer,
) -> Result<ExitCode, Refused> {
    let base = base(&options.common, settings)?;
    let gateways = endpoints(&options.gateway)?;
    let pool = default_pool(&base.endpoint).await?;
    let platform = platform("gateways", &options.common);
    let served = (pool.browser, pool.version);
    let (keyring, patience) = (base.keyring.clone(), base.patience.clone());
    let hands =
        GatewayHands::new(gateways.clone(), keyring, platform, base.since, served, patience);
    let fleet = hands.look().await.map_err(Refused::new)?;
    let away: Vec<_> =
        hands.names().filter(|name| !fleet.iter().any(|s| s.who.id == *name)).collect();
    // One that is away is a failure, unless it was a roll that took it away.
    if options.common.since.is_none() && !away.is_empty() {
        return Err(Refused::new(format!("nobody answers at {}", away.join(", "))));
    }
    let plan = Plan {
        desired: gateways.len(),
        max_unavailable: options.max_unavailable,
        max_surge: 0,
        slots_floor: None,
        batch: options.batch,
        prefix: base.prefix.clone(),
        patience: base.patience.clone(),
    };
    let ready = Ready {
        what: "gateways",
        hands,
        floor: plan.floor(),
        rollout: Rollout::new(plan.clone())?.with_vacant(away),
        connect: connect(&base, &pool),
        counters: gateways,
        resume: resume::gateways(options, base.since),
    };
    go(ready, &options.common, &plan, &fleet, printer).await
}

/// Says what is to be done, and does it, if it may.
async fn go<H: Hands>(
    ready: Ready<H>,
    options: &Common,
    plan: &Plan,
    fleet: &[Seen],
    printer: Printer,
) -> Result<ExitCode, Refused> {
    let words = telling::plan(ready.what, plan, fleet);
    if options.json {
        let _ = printer.json_line(&telling::plan_as_json(ready.what, plan, fleet));
    } else if options.dry_run {
        printer.out(words);
    } else {
        printer.note(words);
    }
    let long = long_sessions(fleet, plan.patience.drain);
    if options.dry_run {
        long.into_iter().for_each(|words| printer.note(words));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(why) = long {
        if !options.yes {
            let hint = Some("--yes begins all the same, --drain-timeout gives them longer");
            return Err(Refused { why, hint });
        }
        printer.note(why);
    }
    conduct::conduct(ready, options, printer).await
}

/// What is said of sessions that have lasted longer than they would get.
fn long_sessions(fleet: &[Seen], patience: Duration) -> Option<String> {
    let old = fleet.iter().filter(|seen| !seen.new && seen.oldest > patience);
    let worst = old.max_by_key(|seen| seen.oldest)?;
    Some(format!(
        "{} has a session that has lasted {}, and a drain waits {}: others of its kind may outlast \
         it, and the roll would be given up there",
        worst.who.id,
        in_words(worst.oldest.as_secs_f64()),
        in_words(patience.as_secs_f64())
    ))
}

fn base(options: &Common, settings: &Settings) -> Result<Base, Refused> {
    let endpoint = named(&options.endpoint).unwrap_or(&settings.endpoint);
    let endpoint = endpoint.parse().map_err(|why| Refused::new(format!("--endpoint: {why}")))?;
    let config = load(&SettingFlags::default(), Role::Standalone)?.config;
    let keyring = settings.keyring.clone().ok_or(Refused {
        why: "there is no fleet secret to vouch for us".to_owned(),
        hint: Some(
            "set FLOTILLA_FLEET_SECRET, or FLOTILLA_FLEET_SECRET_FILE, as the workers have it",
        ),
    })?;
    let patience = Patience {
        start: options.start_timeout,
        probe: options.probe_timeout,
        drain: options.drain_timeout.unwrap_or(config.timing.drain_timeout),
        stop: options.stop_timeout,
        retry: Duration::from_secs(1),
        settle: if options.since.is_some() { LOOKS.1 } else { LOOKS.0 },
    };
    let begun = now();
    let prefix = format!("roll-{begun:.0}-");
    Ok(Base { endpoint, keyring, patience, since: options.since.unwrap_or(begun), prefix })
}

fn endpoints(texts: &[String]) -> Result<Vec<Endpoint>, Refused> {
    let parse = |text: &String| {
        text.parse().map_err(|why| Refused::new(format!("--gateway {text}: {why}")))
    };
    texts.iter().map(parse).collect()
}

fn platform(what: &'static str, options: &Common) -> CommandPlatform {
    CommandPlatform {
        what,
        start: options.start_command.clone(),
        stop: options.stop_command.clone(),
        within: options.start_timeout,
    }
}

/// What a client gets that asks for nothing special.
async fn default_pool(endpoint: &Endpoint) -> Result<PoolStatus, Refused> {
    let status = probe::status(endpoint, STATUS_WITHIN).await;
    let status = status.map_err(|why| Refused::new(format!("{endpoint}: {why}")))?;
    let found = status.pools.iter().find(|pool| pool.default).or(status.pools.first());
    found.cloned().ok_or_else(|| Refused::new(format!("{endpoint} serves no browser")))
}

fn connect(base: &Base, pool: &PoolStatus) -> probe::Target {
    let (kind, version) = (pool.browser, pool.version);
    probe::Target { endpoint: base.endpoint.clone(), kind, version, headers: Vec::new() }
}

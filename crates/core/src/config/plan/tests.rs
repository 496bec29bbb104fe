//! Plans between any two timings that keep the rules, looked at half-way.

use proptest::prelude::*;

use super::*;

fn timing(seconds: [u64; 8]) -> Timing {
    let mut timing = Timing::default();
    for (field, seconds) in FIELDS.iter().zip(seconds) {
        (field.set)(&mut timing, Duration::from_secs(seconds));
    }
    timing
}

/// Small numbers, so that timings often lie close to one another or on top.
fn valid() -> impl Strategy<Value = Timing> {
    prop::array::uniform8(1u64..16)
        .prop_map(timing)
        .prop_filter("keeps the rules", |timing| broken(timing).is_none())
}

/// Every state in which some of the wave's changes are in force and the others not.
fn mixtures(now: &Timing, wave: &Wave) -> Vec<Timing> {
    (0..1u32 << wave.len())
        .map(|chosen| {
            let mut state = now.clone();
            for (bit, change) in wave.iter().enumerate() {
                if chosen & (1 << bit) != 0 {
                    (change.field.set)(&mut state, change.to);
                }
            }
            state
        })
        .collect()
}

proptest! {
    #[test]
    fn every_state_on_the_way_keeps_every_rule(from in valid(), to in valid()) {
        let mut now = from.clone();
        for wave in plan_change(&from, &to).unwrap() {
            prop_assert!(!wave.is_empty());
            for state in mixtures(&now, &wave) {
                prop_assert!(broken(&state).is_none(), "{state:?}");
            }
            for change in &wave {
                prop_assert_eq!((change.field.get)(&now), change.from);
                (change.field.set)(&mut now, change.to);
            }
        }
        prop_assert_eq!(now, to);
    }

    #[test]
    fn a_jump_is_refused_exactly_when_a_mixture_breaks_a_rule(from in valid(), to in valid()) {
        let all = changes(&from, &to);
        let unsafe_mixture = mixtures(&from, &all).iter().any(|state| broken(state).is_some());
        prop_assert_eq!(check_jump(&from, &to).is_err(), unsafe_mixture);
        prop_assert_eq!(plan_change(&from, &to).unwrap().len() > 1, unsafe_mixture);
    }
}

fn set(key: &str, seconds: u64, timing: &Timing) -> Timing {
    let mut changed = timing.clone();
    let field = FIELDS.iter().find(|field| field.key == key).unwrap();
    (field.set)(&mut changed, Duration::from_secs(seconds));
    changed
}

#[test]
fn raising_the_heartbeat_beyond_the_ttl_raises_the_ttl_first() {
    let from = Timing::default();
    let to = set("redis_key_ttl", 300, &from);
    let to = set("shutdown_command_ttl", 300, &to);
    let to = set("heartbeat_interval", 90, &to);
    let refusal = check_jump(&from, &to).unwrap_err().to_string();
    assert!(refusal.contains("heartbeat_interval < redis_key_ttl"), "{refusal}");
    let steps = refusal.split_once(":\n").unwrap().1;
    assert_eq!(
        steps,
        "  1. raise REDIS_KEY_TTL from 1m to 5m, raise SHUTDOWN_COMMAND_TTL from 1m to 5m\n  \
         2. raise HEARTBEAT_INTERVAL from 5s to 90s"
    );
}

#[test]
fn lowering_the_ttl_below_the_heartbeat_lowers_the_heartbeat_first() {
    let from = Timing::default();
    let to = set("heartbeat_interval", 1, &set("redis_key_ttl", 4, &from));
    let waves = plan_change(&from, &to).unwrap();
    let keys: Vec<Vec<_>> =
        waves.iter().map(|wave| wave.iter().map(|change| change.field.key).collect()).collect();
    assert_eq!(keys, [["heartbeat_interval"], ["redis_key_ttl"]]);
}

#[test]
fn an_end_that_breaks_a_rule_has_no_plan() {
    let good = Timing::default();
    let bad = set("heartbeat_interval", 60, &good);
    assert!(matches!(plan_change(&bad, &good), Err(PlanError::From(_))));
    let error = plan_change(&good, &bad).unwrap_err().to_string();
    assert!(error.contains("heartbeat_interval < redis_key_ttl"), "{error}");
}

#[test]
fn nothing_to_change_is_no_wave() {
    assert!(plan_change(&Timing::default(), &Timing::default()).unwrap().is_empty());
}

#[test]
fn the_planner_knows_every_timing() {
    let planned: Vec<_> = FIELDS.iter().map(|field| field.key).collect();
    let declared: Vec<_> = Timing::SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!(planned, declared);
}

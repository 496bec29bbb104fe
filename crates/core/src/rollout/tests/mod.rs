//! A roll's rules, one by one, and then all of them in random worlds.

mod rules;
mod world;

use std::time::Duration;

use super::*;
use crate::status::WorkerState;

fn ms(n: u64) -> Moment {
    Duration::from_millis(n)
}

fn plan(desired: usize, max_unavailable: usize, max_surge: usize, batch: usize) -> Plan {
    Plan {
        desired,
        max_unavailable,
        max_surge,
        slots_floor: None,
        batch,
        prefix: "new-".into(),
        patience: Patience {
            start: ms(20_000),
            probe: ms(10_000),
            drain: ms(60_000),
            stop: ms(20_000),
            retry: ms(500),
            settle: ms(2_000),
        },
    }
}

//! Nobody is admitted without a ticket that a gateway wrote for this session and this life of this
//! worker, no longer ago than a ticket lasts; and no ticket admits twice.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::Fact;
use crate::worker;

use super::Case;

const GOOD_FOR: Duration = Duration::from_secs(30);

pub(super) fn one_admission_each(case: &mut Case<'_>) {
    let (mut written, mut used) = (BTreeMap::new(), BTreeMap::new());
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::Ticketed { session, ticket, worker, instance, .. } => {
                written.insert(*ticket, (*at, *session, worker.clone(), instance.clone()));
            }
            Fact::Admitted { worker, conn, session, ticket, .. } => {
                let life = format!("{:?}-{}", worker.name, worker.life);
                let wrong = match written.get(ticket) {
                    None => Some("nobody wrote its ticket"),
                    Some((_, whose, ..)) if whose != session => Some("its ticket is another's"),
                    Some((_, _, id, _)) if *id != worker::id(worker.name).0 => {
                        Some("its ticket is for another worker")
                    }
                    Some((.., instance)) if *instance != life => {
                        Some("its ticket is for another life of the worker")
                    }
                    Some((when, ..)) if *at > *when + GOOD_FOR + Duration::from_millis(1) => {
                        Some("its ticket has expired")
                    }
                    Some(_) if used.contains_key(ticket) => Some("its ticket has been used"),
                    Some(_) => None,
                };
                used.insert(*ticket, *conn);
                if let Some(wrong) = wrong {
                    let what = format!("{session:?} on {worker:?} ({conn:?}): {wrong}");
                    case.wrong(*at, "nobody is admitted without a valid ticket", what);
                }
            }
            _ => {}
        }
    }
}

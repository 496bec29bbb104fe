//! When a worker, a browser or an operator ends sessions, their clients know within a second, as
//! long as the network works.

use flotilla_core::pool::Moment;

use crate::history::Fact;
use crate::net::{ConnId, Parting};
use crate::world::{Died, Me, Role};

use super::timeline::{Visit, touches};
use super::{AT_ONCE, Case};

pub(super) fn within_a_second(case: &mut Case<'_>) {
    for (at, fact) in &case.outcome.history.facts {
        let (worker, browser, only) = match fact {
            Fact::Down { who, how } if who.name.role == Role::Worker && *how != Parting::Silent => {
                (*who, None, None)
            }
            Fact::BrowserDown { worker, browser, died } if *died != Died::Closed => {
                (*worker, Some(browser), None)
            }
            Fact::EndOrdered { worker, conn, .. } => (*worker, None, Some(*conn)),
            _ => continue,
        };
        let hit = |conn: &ConnId, visit: &Visit| {
            visit.worker == worker
                && visit.let_in.is_some_and(|let_in| let_in < *at)
                && only.is_none_or(|only| only == *conn)
                && browser.is_none_or(|browser| visit.browser.as_ref() == Some(browser))
        };
        let hit: Vec<_> =
            case.time.visits.iter().filter(|(conn, visit)| hit(conn, visit)).collect();
        let hit: Vec<_> = hit.into_iter().map(|(conn, visit)| (*conn, visit.clone())).collect();
        for (conn, visit) in hit {
            if !told(case, conn, &visit, *at) {
                let what = format!("{:?} of {worker:?} ({conn:?})", visit.session);
                case.wrong(*at, "clients are told within 1 s", what);
            }
        }
    }
}

fn told(case: &Case<'_>, conn: ConnId, visit: &Visit, at: Moment) -> bool {
    let Some(guest_conn) = visit.guest else { return true };
    let Some(guest) = case.time.guests.get(&guest_conn) else { return true };
    let Some(gateway) = guest.gateway else { return true };
    if guest.told.min(guest.left).min(visit.given_up) <= at + AT_ONCE {
        return true;
    }
    let excused = |a: Me, b: Me| {
        let troubles = case.time.troubles(a.name, b.name);
        // The death itself is no excuse; what was stalled before may still be on its way.
        let troubles: Vec<_> = troubles.into_iter().filter(|span| span.0 != at).collect();
        touches(&troubles, at.saturating_sub(2 * AT_ONCE), at + AT_ONCE)
    };
    excused(gateway, guest.client)
        || excused(gateway, visit.worker)
        || [conn, guest_conn].iter().any(|conn| case.time.broken.contains_key(conn))
}

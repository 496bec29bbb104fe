//! A browser is shared by sessions of one tenant only, and never if one asked for its own.

use std::collections::BTreeMap;

use flotilla_core::pool::Sharing;

use crate::history::Fact;

use super::Case;

pub(super) fn never_share_a_browser(case: &mut Case<'_>) {
    let (mut demands, mut browsers) = (BTreeMap::new(), BTreeMap::new());
    for (at, fact) in &case.outcome.history.facts {
        match fact {
            Fact::Admitted { conn, demand, .. } => {
                demands.insert(*conn, demand.clone());
            }
            Fact::Seated { worker, conn, browser } => {
                let Some(demand) = demands.get(conn) else { continue };
                let who = match &demand.sharing {
                    Sharing::Tenant(tenant) => tenant.clone(),
                    Sharing::Alone | Sharing::Custom { .. } => format!("{conn:?} alone"),
                };
                let first = browsers.entry((*worker, browser.clone())).or_insert(who.clone());
                if *first != who {
                    let what = format!("{browser} of {worker:?} had {first}, and now {who}");
                    case.wrong(*at, "tenants never share a browser", what);
                }
            }
            _ => {}
        }
    }
}

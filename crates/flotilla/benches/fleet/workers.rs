//! The part of the fake workers.

use std::net::SocketAddr;

use flotilla_core::{BrowserKind, PlaywrightVersion};
use flotilla_testkit::fakes::CrowdConfig;
use serde::{Deserialize, Serialize};

use crate::announced::Announced;
use crate::clock::Clock;
use crate::part::{Orders, answer};

pub(crate) const SLOTS: usize = 5;
const VERSIONS: [PlaywrightVersion; 2] =
    [PlaywrightVersion { major: 1, minor: 64 }, PlaywrightVersion { major: 1, minor: 65 }];

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) secret: String,
    pub(crate) redis: String,
}

/// What the workers can be told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first of them take so many sessions each from now on, the others none. The answer is
    /// nothing.
    LeaveFree { workers: usize, free: usize },
    /// When slots were given back since this was asked last: seconds, in order.
    Freed,
    /// How many sessions they hold, and how many they have refused.
    Held,
}

pub(crate) async fn play() -> anyhow::Result<()> {
    let (clock, mut orders) = (Clock::new(), Orders::read()?);
    let Some(setup) = orders.next::<Setup>().await? else { return Ok(()) };
    let config = CrowdConfig {
        workers: setup.workers,
        slots: SLOTS,
        serves: VERSIONS.map(|version| (BrowserKind::Chromium, version)).to_vec(),
        secret: setup.secret,
    };
    let announced = Announced::start(&config, &setup.redis).await?;
    let workers = announced.crowd.workers();
    let origin: SocketAddr = announced.crowd.origin();
    answer(&origin)?;
    while let Some(order) = orders.next().await? {
        match order {
            Order::LeaveFree { workers: some, free } => {
                for (at, worker) in workers.iter().enumerate() {
                    worker.leave_free(if at < some { free } else { 0 });
                }
                answer(&())?;
            }
            Order::Freed => {
                let freed = workers.iter().flat_map(|worker| worker.take_freed());
                let mut freed: Vec<_> = freed.map(|at| clock.at(at)).collect();
                freed.sort_by(f64::total_cmp);
                answer(&freed)?;
            }
            Order::Held => {
                let tally = announced.crowd.tally();
                answer(&(tally.held, tally.refused))?;
            }
        }
    }
    Ok(())
}

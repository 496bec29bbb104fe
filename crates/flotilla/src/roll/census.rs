//! Counting by everybody's own counters: which sessions ended meanwhile and why, and which clients
//! were not let in. Gateways count what they relay, workers what comes to them directly.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use crate::probe::{self, Endpoint};

const WITHIN: Duration = Duration::from_secs(3);
const STARTED_AT: &str = "process_start_time_seconds";
const ENDED: &str = "flotilla_sessions_ended_total";
const STARTED: &str = "flotilla_sessions_started_total";

/// Ends that a client did not bring about, and no limit of its own.
const KILLED: [&str; 3] = ["drain_kill", "worker_lost", "worker_crash"];
/// Refusals that are the grid's doing. That every slot was taken is not: slots are promised too.
const TURNED_AWAY: [&str; 3] = ["maintenance", "worker_error", "internal"];

/// What the gateways counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Sessions that ended, by cause.
    pub ended: BTreeMap<String, u64>,
    /// Clients that wanted a session, by what became of them.
    pub started: BTreeMap<String, u64>,
}

impl Counted {
    /// Sessions that ended.
    pub fn ended_in_all(&self) -> u64 {
        self.ended.values().sum()
    }

    /// Sessions that were ended by the grid.
    pub fn killed(&self) -> u64 {
        KILLED.iter().filter_map(|cause| self.ended.get(*cause)).sum()
    }

    /// Clients that were sent away for reasons of the grid's own.
    pub fn turned_away(&self) -> u64 {
        TURNED_AWAY.iter().filter_map(|result| self.started.get(*result)).sum()
    }

    fn add(&mut self, more: &Self) {
        for (to, more) in [(&mut self.ended, &more.ended), (&mut self.started, &more.started)] {
            for (label, count) in more {
                *to.entry(label.clone()).or_default() += count;
            }
        }
    }

    /// Without what was counted before.
    fn since(&self, before: &Self) -> Self {
        let less = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let known = |label| before.get(label).copied().unwrap_or_default();
            now.iter().map(|(l, count)| (l.clone(), count.saturating_sub(known(l)))).collect()
        };
        Self {
            ended: less(&self.ended, &before.ended),
            started: less(&self.started, &before.started),
        }
    }
}

/// Somebody's counters, in one life of it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Reading {
    life: String,
    counted: Counted,
}

/// Everybody's counters since the census began.
#[derive(Debug)]
pub(crate) struct Census {
    pages: Vec<Page>,
    sum: Counted,
}

/// Somebody's counters, as they were last read.
#[derive(Debug)]
struct Page {
    of: Endpoint,
    last: Option<Reading>,
}

impl Census {
    /// Begins with what these gateways, and others that count, have counted so far.
    pub(crate) async fn begin(
        gateways: Vec<Endpoint>,
        others: Vec<Endpoint>,
    ) -> Result<Self, String> {
        let mut pages = Vec::new();
        for of in gateways {
            let first = read(&of).await.map_err(|why| format!("{of}: {why}"))?;
            let again = read(&of).await.map_err(|why| format!("{of}: {why}"))?;
            if again.life != first.life {
                return Err(format!(
                    "{of} leads to several gateways: name each with --gateway, so that the \
                     sessions that end there can be counted"
                ));
            }
            pages.push(Page { of, last: Some(again) });
        }
        for of in others {
            let last = read(&of).await.ok();
            pages.push(Page { of, last });
        }
        Ok(Self { pages, sum: Counted::default() })
    }

    /// Counts what has happened since the last time, with those who have come. Who does not answer
    /// is counted later, or has ended.
    pub(crate) async fn count(&mut self, others: Vec<Endpoint>) {
        for of in others {
            if !self.pages.iter().any(|page| page.of == of) {
                self.pages.push(Page { of, last: None });
            }
        }
        let sum = &mut self.sum;
        join_all(self.pages.iter_mut().map(Page::read)).await.iter().for_each(|new| sum.add(new));
    }

    /// What has happened so far.
    pub(crate) fn so_far(&self) -> &Counted {
        &self.sum
    }
}

impl Page {
    /// What was counted since the last time; all of it in a new life.
    async fn read(&mut self) -> Counted {
        let Ok(now) = read(&self.of).await else { return Counted::default() };
        let before = self.last.as_ref().filter(|last| last.life == now.life);
        let new = match before {
            Some(before) => now.counted.since(&before.counted),
            None => now.counted.clone(),
        };
        self.last = Some(now);
        new
    }
}

async fn read(gateway: &Endpoint) -> Result<Reading, String> {
    let answer = probe::page(gateway, "metrics", WITHIN).await.map_err(|why| why.to_string())?;
    match answer.is_success() {
        true => parse(&answer.text()).ok_or_else(|| "it does not tell since when it runs".into()),
        false => Err(format!("/metrics answers {} {}", answer.status, answer.reason)),
    }
}

fn parse(text: &str) -> Option<Reading> {
    let mut reading = Reading::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let (to, label) = match name {
            STARTED_AT => {
                reading.life = value.to_owned();
                continue;
            }
            ENDED => (&mut reading.counted.ended, "cause"),
            STARTED => (&mut reading.counted.started, "result"),
            _ => continue,
        };
        let value = value.parse::<f64>().unwrap_or_default();
        if let Some(label) = label_of(labels, label) {
            *to.entry(label.to_owned()).or_default() += value as u64;
        }
    }
    (!reading.life.is_empty()).then_some(reading)
}

/// The value of a label among `a="x",b="y"}`: words of ours, which have no quotes in them.
fn label_of<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut all = labels.trim_end_matches('}').split(',').filter_map(|l| l.split_once('='));
    all.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(life: u32, killed: u32, closed: u32, away: u32) -> Reading {
        parse(&format!(
            "# HELP flotilla_sessions_ended_total x\n\
             flotilla_sessions_ended_total{{browser=\"chromium\",cause=\"drain_kill\"}} {killed}\n\
             flotilla_sessions_ended_total{{browser=\"firefox\",cause=\"drain_kill\"}} 1\n\
             flotilla_sessions_ended_total{{browser=\"chromium\",cause=\"client_close\"}} {closed}\n\
             flotilla_sessions_started_total{{browser=\"chromium\",result=\"maintenance\"}} {away}\n\
             flotilla_sessions_started_total{{browser=\"chromium\",result=\"no_capacity\"}} 9\n\
             process_start_time_seconds {life}\n"
        ))
        .unwrap()
    }

    #[test]
    fn what_the_grid_did_is_told_from_what_clients_did() {
        let mut sum = page(1, 3, 10, 2).counted.since(&page(1, 1, 4, 0).counted);
        sum.add(&Counted::default());
        assert_eq!((sum.killed(), sum.ended_in_all(), sum.turned_away()), (2, 8, 2));
    }

    #[test]
    fn a_page_that_is_no_gateways_is_none() {
        assert_eq!(parse("<html>"), None);
        assert_eq!(parse(""), None);
    }
}

//! How a roll is told to those who watch: lines, or lines of JSON, and on a terminal how it stands.

use std::time::Duration;

use flotilla_core::rollout::{Plan, Rollout, Seen, Standing};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::commands::in_words;
use crate::printer::Printer;
use crate::roll::{Event, Lowest, Watcher};

/// The plan, for people.
pub(super) fn plan(what: &str, plan: &Plan, fleet: &[Seen]) -> String {
    let mut text = format!(
        "Rolling {what}: {} wanted, at most {} away, at most {} run, {} at one time.",
        plan.desired,
        plan.max_unavailable,
        plan.ceiling(),
        plan.batch
    );
    for seen in fleet {
        let (fate, state) = (if seen.new { "stays" } else { "goes" }, seen.state.as_str());
        text += &format!("\n  {} {fate}: {state}, {} session(s)", seen.who.id, seen.sessions);
    }
    text
}

/// The plan, for programs.
pub(super) fn plan_as_json(what: &str, plan: &Plan, fleet: &[Seen]) -> Value {
    let one = |seen: &Seen| {
        json!({
            "id": seen.who.id,
            "new": seen.new,
            "state": seen.state,
            "slots": seen.slots,
            "sessions": seen.sessions,
        })
    };
    json!({
        "event": "plan",
        "what": what,
        "replicas": plan.desired,
        "max_unavailable": plan.max_unavailable,
        "max_surge": plan.max_surge,
        "batch": plan.batch,
        "fleet": fleet.iter().map(one).collect::<Vec<_>>(),
    })
}

/// Tells what happens, and remembers the fewest that were available.
pub(super) struct Terminal {
    printer: Printer,
    json: bool,
    progress: ProgressBar,
    pub(super) lowest: Lowest,
}

impl Terminal {
    pub(super) fn new(printer: Printer, json: bool) -> Self {
        // On stderr, and nothing at all where that is no terminal.
        let progress = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            progress.set_style(style);
        }
        progress.enable_steady_tick(Duration::from_millis(120));
        Self { printer, json, progress, lowest: Lowest::UNSEEN }
    }

    pub(super) fn busy(&self, with: &'static str) {
        self.progress.set_message(with);
    }

    pub(super) fn end(&self) {
        self.progress.finish_and_clear();
    }
}

impl Watcher for Terminal {
    fn event(&mut self, event: Event) {
        self.progress.suspend(|| match self.json {
            // An event of ours always becomes JSON.
            true => drop(self.printer.json_line(&event)),
            false => self.printer.note(&event),
        });
    }

    fn looked(&mut self, fleet: &[Seen], rollout: &Rollout) {
        self.lowest.look(fleet);
        self.progress.set_message(standing(&rollout.standing()));
    }
}

fn standing(now: &Standing) -> String {
    let mut text = format!("{} of {} new", now.proved, now.desired);
    if now.coming > 0 {
        text += &format!(", {} coming", now.coming);
    }
    if now.leaving > 0 {
        text += &format!(", {} leaving with {} session(s)", now.leaving, now.sessions_leaving);
    }
    if !now.oldest_leaving.is_zero() {
        text += &format!(", the oldest {}", in_words(now.oldest_leaving.as_secs_f64()));
    }
    text
}

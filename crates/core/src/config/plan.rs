//! Changing timings while a grid runs: in waves, so that the rules hold whichever parts of the
//! grid have the new values already.

use std::fmt;
use std::time::Duration;

use super::kind::{Kind, Span};
use super::rules::{Bound, FIELDS, Field, RULES, Rule};
use super::settings;
use super::timing::Timing;

/// One timing's change.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Which timing.
    pub field: Field,
    /// What it is.
    pub from: Duration,
    /// What it is to be.
    pub to: Duration,
}

/// Changes that may be made in any order, and be in force in some places and not in others.
pub type Wave = Vec<Change>;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The timings in force break a rule already.
    #[error("the timings in force break {0}: repair that first")]
    From(String),
    /// The timings wanted break a rule.
    #[error("the timings wanted break {0}: no order of changes leads there")]
    To(String),
}

/// A change that is not safe in one go.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "these timings cannot change all at once: {broken} would not hold where only some of them have arrived. Change them in this order, each step everywhere before the next:\n{}",
    Steps(waves)
)]
pub struct UnsafeJump {
    /// The rule that could break.
    pub broken: String,
    /// The order that is safe.
    pub waves: Vec<Wave>,
}

/// The order in which to change timings: every wave everywhere before the next. Whatever part of a
/// wave is in force, every rule holds. One wave when the order does not matter, none when nothing
/// changes.
///
/// # Errors
/// When either end breaks a rule itself.
pub fn plan_change(from: &Timing, to: &Timing) -> Result<Vec<Wave>, PlanError> {
    if let Some(rule) = broken(from) {
        return Err(PlanError::From(rule.to_string()));
    }
    if let Some(rule) = broken(to) {
        return Err(PlanError::To(rule.to_string()));
    }
    let mut now = from.clone();
    let mut left = changes(from, to);
    let mut waves = Vec::new();
    while !left.is_empty() {
        let (wave, later) = next_wave(&now, left);
        for change in &wave {
            (change.field.set)(&mut now, change.to);
        }
        waves.push(wave);
        left = later;
    }
    Ok(waves)
}

/// Whether timings may change all at once.
///
/// # Errors
/// The safe order, when they may not.
pub fn check_jump(from: &Timing, to: &Timing) -> Result<(), UnsafeJump> {
    let Some(rule) = breakable(from, &changes(from, to)) else {
        return Ok(());
    };
    let waves = plan_change(from, to).unwrap_or_default();
    Err(UnsafeJump { broken: rule.to_string(), waves })
}

fn broken(timing: &Timing) -> Option<&'static Rule> {
    RULES.iter().find(|rule| !rule.holds(timing))
}

fn changes(from: &Timing, to: &Timing) -> Vec<Change> {
    FIELDS
        .iter()
        .map(|field| Change { field: *field, from: (field.get)(from), to: (field.get)(to) })
        .filter(|change| change.from != change.to)
        .collect()
}

/// The largest wave that is safe from here, and what must wait.
///
/// What tightens a rule that could break waits for what loosens it. Both ends keep every rule, so
/// of two timings that both tighten one neither has to, and at least one change never waits.
fn next_wave(now: &Timing, changes: Vec<Change>) -> (Wave, Vec<Change>) {
    let (mut wave, mut later) = (changes, Vec::new());
    while let Some(rule) = breakable(now, &wave) {
        let (tightening, rest) = wave.into_iter().partition(|change| tightens(rule, change));
        wave = rest;
        later.extend::<Vec<_>>(tightening);
    }
    (wave, later)
}

fn tightens(rule: &Rule, change: &Change) -> bool {
    let rises = change.to > change.from;
    let is_upper = matches!(rule.upper, Bound::Timing(upper) if upper.key == change.field.key);
    (rule.lower.key == change.field.key && rises) || (is_upper && !rises)
}

/// A rule that would break where some of the changes are in force and others are not.
fn breakable(now: &Timing, changes: &[Change]) -> Option<&'static Rule> {
    let mut worst = now.clone();
    RULES.iter().find(|rule| {
        worst.clone_from(now);
        for change in changes.iter().filter(|change| tightens(rule, change)) {
            (change.field.set)(&mut worst, change.to);
        }
        !rule.holds(&worst)
    })
}

/// Waves as numbered steps.
#[derive(Debug)]
pub struct Steps<'a>(pub &'a [Wave]);

impl fmt::Display for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, wave) in self.0.iter().enumerate() {
            let changes: Vec<_> = wave.iter().map(ToString::to_string).collect();
            let end = if number + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "  {}. {}{end}", number + 1, changes.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.field.key;
        let name = settings().find(|setting| setting.key == key).map(|setting| setting.env_name());
        let verb = if self.to > self.from { "raise" } else { "lower" };
        let (from, to) = (Span::show(&self.from), Span::show(&self.to));
        write!(f, "{verb} {} from {from} to {to}", name.as_deref().unwrap_or(key))
    }
}

#[cfg(test)]
mod tests;

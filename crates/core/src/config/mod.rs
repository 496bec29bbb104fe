//! The configuration: every setting declared once, taken from flags, environment and file, held to
//! the rules between settings, and able to say where each value came from.
//!
//! Knows no file, environment or clock: the binary reads those and hands them in as [`Sources`].

mod agreements;
mod browsers;
mod docs;
mod error;
mod file;
mod fleet;
mod group;
mod kind;
mod listen;
mod log;
mod nearest;
mod notes;
mod places;
mod plan;
mod read;
mod redis;
mod rules;
mod secret;
mod sessions;
mod setting;
mod show;
mod timing;

pub use browsers::Browsers;
pub use docs::{example, markdown};
pub use error::{ConfigError, Violation};
pub use fleet::Fleet;
pub use listen::Listen;
pub use log::{Log, LogFormat, LogLevel};
pub use places::Places;
pub use plan::{Change, PlanError, Steps, UnsafeJump, Wave, check_jump, plan_change};
pub use read::{Entry, File, Origin, Role, Sources};
pub use redis::Redis;
pub use rules::{Bound, Field, RULES, Rule, violations};
pub use secret::Secret;
pub use sessions::Sessions;
pub use setting::Setting;
pub use timing::Timing;

use read::Reader;

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Where clients come in.
    pub listen: Listen,
    /// Where files go.
    pub places: Places,
    /// Which browsers there are, and how long one serves.
    pub browsers: Browsers,
    /// How many sessions, how long they wait, and what they may ask for.
    pub sessions: Sessions,
    /// The timings that depend on one another.
    pub timing: Timing,
    /// What is logged, and how.
    pub log: Log,
    /// The registry of a grid of several machines.
    pub redis: Redis,
    /// What makes several processes one grid.
    pub fleet: Fleet,
}

/// A configuration that is in force, with where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Every setting with its value and source, in the order of the table.
    pub entries: Vec<Entry>,
    /// What a person should know, though nothing is wrong.
    pub notes: Vec<String>,
}

/// Every setting, in the order in which they are listed to people.
pub fn settings() -> impl Iterator<Item = &'static Setting> + Clone {
    [
        Listen::SETTINGS,
        Places::SETTINGS,
        Browsers::SETTINGS,
        Sessions::SETTINGS,
        Timing::SETTINGS,
        Log::SETTINGS,
        Redis::SETTINGS,
        Fleet::SETTINGS,
    ]
    .into_iter()
    .flatten()
}

impl Config {
    /// Takes every setting from its strongest source (flag, environment, file, default) and holds
    /// the whole to the rules.
    ///
    /// # Errors
    /// Everything that is wrong, together.
    pub fn load(sources: &Sources) -> Result<Loaded, Vec<ConfigError>> {
        let settings: Vec<_> = settings().collect();
        let mut reader = Reader::new(sources, &settings);
        let mut config = Self {
            listen: Listen::read(&mut reader),
            places: Places::read(&mut reader),
            browsers: Browsers::read(&mut reader),
            sessions: Sessions::read(&mut reader),
            timing: Timing::read(&mut reader),
            log: Log::read(&mut reader),
            redis: Redis::read(&mut reader),
            fleet: Fleet::read(&mut reader),
        };
        let Reader { mut entries, mut errors, unreadable, .. } = reader;
        agreements::follow(&mut config, &mut entries);
        let mut violations = rules::check(&config, &entries);
        violations.extend(agreements::check(&config, &entries, sources.role));
        // What could not be read has its default here, about which nothing should be said.
        violations.retain(|v| !v.keys.iter().any(|key| unreadable.contains(key)));
        errors.extend(violations.into_iter().map(ConfigError::Rule));
        if errors.is_empty() {
            let notes = notes::notes(&entries, &sources.env, sources.role);
            Ok(Loaded { config, entries, notes })
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
pub(crate) use docs::tests::assert_current;

#[cfg(test)]
mod tests;

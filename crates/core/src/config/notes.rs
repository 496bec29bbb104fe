//! What a person should know about a configuration although nothing in it is wrong.

use super::nearest::distance;
use super::read::{Entry, Origin, Role};
use super::setting::Setting;
use super::settings;

/// Settings that were made and are not used, and variables that look like a setting and are none.
pub(super) fn notes(entries: &[Entry], env: &[(String, String)], role: Role) -> Vec<String> {
    let strays = env.iter().filter_map(|(name, _)| stray(name));
    let unused = (role == Role::Standalone).then(|| unused(entries)).flatten();
    unused.into_iter().chain(strays).collect()
}

/// One note for all of them: people who bring an environment from elsewhere set many.
fn unused(entries: &[Entry]) -> Option<String> {
    let set: Vec<_> = entries
        .iter()
        .filter(|entry| entry.setting.note.is_some() && entry.origin != Origin::Default)
        .map(|entry| format!("{} ({})", entry.setting.key, entry.origin))
        .collect();
    let note = entries.iter().find_map(|entry| entry.setting.note)?;
    (!set.is_empty()).then(|| format!("{}: {note}", set.join(", ")))
}

/// Says what a variable of ours was meant to be. Only near misses: other programs of the project
/// have variables of their own.
fn stray(name: &str) -> Option<String> {
    let ours = name.strip_prefix("FLOTILLA_")?;
    let known: Vec<&Setting> = settings().collect();
    if known.iter().any(|setting| setting.env_name() == name) {
        return None;
    }
    let meant = known
        .iter()
        .find(|setting| setting.key.eq_ignore_ascii_case(ours))
        .or_else(|| known.iter().find(|setting| distance(&setting.env_name(), name) <= 2))?;
    Some(format!("{name} is not read: did you mean {}?", meant.env_name()))
}

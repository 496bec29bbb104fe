//! A worker's last word: this life of it is over.

use serde::{Deserialize, Serialize};

use crate::id::{Instance, WorkerId};
use crate::keyring::{Keyring, Purpose};

/// The longest text that is looked at: two names, their signature, and room.
pub const LONGEST: usize = 1024;

/// Says that one life of a worker is over. It names the life, so it does no harm to the worker's
/// next one, whoever repeats it and however late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Which worker.
    pub id: WorkerId,
    /// Which life of it.
    pub instance: Instance,
}

impl Goodbye {
    /// The goodbye as it travels.
    pub fn seal(&self, keyring: &Keyring) -> String {
        // Two names always become JSON.
        keyring.seal(Purpose::Goodbye, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what [`Goodbye::seal`] wrote; `None` when nobody with our secret wrote it.
    pub fn open(keyring: &Keyring, text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        serde_json::from_slice(&keyring.open(Purpose::Goodbye, text)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fleet_says_goodbye_and_only_for_the_life_it_names() {
        let ours = Keyring::parse("our-secret-our-secret").unwrap();
        let theirs = Keyring::parse("their-secret-their-secret").unwrap();
        let goodbye = Goodbye { id: WorkerId("w".into()), instance: Instance("one".into()) };
        assert_eq!(Goodbye::open(&ours, &goodbye.seal(&ours)), Some(goodbye.clone()));
        assert_eq!(Goodbye::open(&ours, &goodbye.seal(&theirs)), None);
        let json = serde_json::to_vec(&goodbye).unwrap();
        assert_eq!(Goodbye::open(&ours, &ours.seal(Purpose::Order, &json)), None);
        assert_eq!(Goodbye::open(&ours, &"x".repeat(LONGEST + 1)), None);
    }
}

//! What a worker says of itself, and how that travels.

use serde::{Deserialize, Serialize};

use crate::browser::BrowserKind;
use crate::id::{Instance, WorkerId};
use crate::keyring::{Keyring, Purpose};
use crate::refusal::Served;

/// The longest text of an advert that is looked at: a real one has a few hundred bytes.
pub const LONGEST: usize = 16 * 1024;
const MOST_SERVED: usize = 64;
const MOST_SLOTS: usize = 1000;
const LONGEST_NAME: usize = 64;
const LONGEST_ADDRESS: usize = 255;

/// What a worker says of itself. Only the worker knows better.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advert {
    /// Its name.
    pub id: WorkerId,
    /// This life of it.
    pub instance: Instance,
    /// Grows with every advert of a life: an older one never replaces a newer.
    #[serde(default)]
    pub seq: u64,
    /// How long this life has lasted, in milliseconds, by its own clock that never jumps.
    #[serde(default)]
    pub uptime_ms: u64,
    /// When this life began, in seconds since 1970; for people only.
    #[serde(default)]
    pub started_at: u64,
    /// Where gateways dial it: `host:port`. Empty in-process.
    #[serde(default)]
    pub endpoint: String,
    /// Where clients can dial it themselves: `ws://host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// The version of Flotilla that it runs.
    #[serde(default)]
    pub release: String,
    /// How often it says that it is there, in milliseconds.
    #[serde(default)]
    pub heartbeat_ms: u64,
    /// Sessions that it takes at one time.
    pub slots: usize,
    /// Slots that are taken.
    pub used: usize,
    /// Sessions admitted in this life.
    pub lifetime: u64,
    /// True until its first browser is up.
    #[serde(default)]
    pub starting: bool,
    /// True when it takes no new sessions.
    #[serde(default)]
    pub draining: bool,
    /// Which browsers, for which Playwrights.
    pub serves: Vec<Served>,
    /// The same counts by browser.
    #[serde(default)]
    pub browsers: Vec<BrowserCount>,
}

/// Sessions of one browser on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserCount {
    /// Which browser.
    pub browser: BrowserKind,
    /// Sessions that hold a slot.
    pub active: usize,
    /// Sessions admitted in this life.
    pub lifetime: u64,
}

/// Why an advert is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdvert {
    /// Nobody with the fleet's secret signed it.
    #[error("it is not signed with the fleet's secret")]
    Forged,
    /// It is longer than any real one.
    #[error("it has {0} bytes, and at most {LONGEST} are read")]
    TooLong(usize),
    /// It is not an advert at all.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// It says what cannot be.
    #[error("it says what cannot be: {0}")]
    Absurd(&'static str),
    /// It is somebody else's.
    #[error("it is filed under the name of another worker")]
    Misfiled,
}

impl InvalidAdvert {
    /// The label of the counter.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::TooLong(_) => "too_long",
            Self::Malformed(_) => "malformed",
            Self::Absurd(_) => "absurd",
            Self::Misfiled => "misfiled",
        }
    }
}

impl Advert {
    /// Slots that a new session could have.
    pub fn free(&self) -> usize {
        if self.draining { 0 } else { self.slots.saturating_sub(self.used) }
    }

    /// True when both say the same but for when they say it.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let timeless = |advert: &Self| Self { seq: 0, uptime_ms: 0, ..advert.clone() };
        timeless(self) == timeless(other)
    }

    /// The advert as it travels: its signature, a space, JSON.
    pub fn seal(&self, keyring: &Keyring) -> String {
        // A struct of plain fields always becomes JSON.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{} {json}", keyring.sign(Purpose::Advert, json.as_bytes()))
    }

    /// Reads what [`Advert::seal`] wrote.
    ///
    /// # Errors
    /// When nobody with our secret wrote it, or it says what cannot be.
    pub fn open(keyring: &Keyring, text: &str) -> Result<Self, InvalidAdvert> {
        if text.len() > LONGEST {
            return Err(InvalidAdvert::TooLong(text.len()));
        }
        let (signature, json) = text.split_once(' ').ok_or(InvalidAdvert::Forged)?;
        if !keyring.verify(Purpose::Advert, json.as_bytes(), signature) {
            return Err(InvalidAdvert::Forged);
        }
        let advert: Self = serde_json::from_str(json)
            .map_err(|error| InvalidAdvert::Malformed(error.to_string()))?;
        advert.check()?;
        Ok(advert)
    }

    /// Whether a worker can be like that.
    ///
    /// # Errors
    /// What about it cannot be.
    pub fn check(&self) -> Result<(), InvalidAdvert> {
        let absurd = |what| Err(InvalidAdvert::Absurd(what));
        if !is_name(&self.id.0) || !is_name(&self.instance.0) {
            return absurd("a name is 1 to 64 letters, digits, dots, dashes and underscores");
        }
        if self.slots > MOST_SLOTS || self.used > self.slots {
            return absurd("a worker has at most 1000 slots, and never more taken than it has");
        }
        if self.serves.len() > MOST_SERVED || self.browsers.len() > BrowserKind::ALL.len() {
            return absurd("no worker serves so many browsers");
        }
        let public = self.public.as_deref().unwrap_or_default();
        if self.endpoint.len() > LONGEST_ADDRESS || public.len() > LONGEST_ADDRESS {
            return absurd("no address is so long");
        }
        Ok(())
    }
}

/// Whether this can be a worker's name: it goes into keys, paths, labels and tables as it is.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::PlaywrightVersion;

    fn ring(text: &str) -> Keyring {
        Keyring::parse(text).unwrap()
    }

    fn advert() -> Advert {
        Advert {
            id: WorkerId("w-1.example_2".into()),
            instance: Instance("abc".into()),
            slots: 5,
            used: 2,
            serves: vec![(BrowserKind::Chromium, PlaywrightVersion { major: 1, minor: 65 })],
            ..Advert::default()
        }
    }

    #[test]
    fn an_advert_travels_and_only_with_the_fleets_own_signature() {
        let (ours, theirs) = (ring("our-secret-our-secret"), ring("their-secret-their-secret"));
        assert_eq!(Advert::open(&ours, &advert().seal(&ours)), Ok(advert()));
        assert_eq!(Advert::open(&ours, &advert().seal(&theirs)), Err(InvalidAdvert::Forged));
        let changed = advert().seal(&ours).replace(r#""used":2"#, r#""used":0"#);
        assert_eq!(Advert::open(&ours, &changed), Err(InvalidAdvert::Forged));
        assert_eq!(Advert::open(&ours, "nonsense"), Err(InvalidAdvert::Forged));
    }

    #[test]
    fn what_cannot_be_is_not_believed_whoever_signed_it() {
        let ours = ring("our-secret-our-secret");
        let sealed = |json: &str| format!("{} {json}", ours.sign(Purpose::Advert, json.as_bytes()));
        let json = serde_json::to_string(&advert()).unwrap();
        for (from, to, label) in [
            (r#""used":2"#, r#""used":-2"#, "malformed"),
            (r#""used":2"#, r#""used":6"#, "absurd"),
            (r#""slots":5"#, r#""slots":100000"#, "absurd"),
            ("w-1", "w 1", "absurd"),
            ("w-1", "", "absurd"),
        ] {
            let from = if to.is_empty() { "w-1.example_2" } else { from };
            let lie = json.replacen(from, to, 1);
            assert_ne!(lie, json);
            assert_eq!(Advert::open(&ours, &sealed(&lie)).unwrap_err().as_str(), label, "{lie}");
        }
        let huge = Advert { release: "x".repeat(1 << 20), ..advert() }.seal(&ours);
        assert_eq!(Advert::open(&ours, &huge).unwrap_err().as_str(), "too_long");
    }
}

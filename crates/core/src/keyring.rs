//! The fleet's shared secret: what gateways and workers sign for each other.
//!
//! HMAC-SHA256 (RFC 2104, FIPS 180-4), with the purpose in front of the text, so that what was
//! signed as one thing can never be passed off as another. The first secret signs and all of them
//! verify, so a secret is rotated without a gap: add the new one everywhere, then put it first,
//! then take the old one away.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Fewer bytes could be guessed.
const SHORTEST: usize = 16;

/// What a text was signed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session may start on a worker.
    Ticket,
    /// What a worker says of itself.
    Advert,
    /// That the one who answers is the worker that was meant.
    Proof,
    /// What an operator wants a worker to do.
    Order,
    /// What became of that.
    Outcome,
    /// A request of an operator to a gateway.
    Call,
    /// A worker's last word.
    Goodbye,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Ticket => b"flotilla ticket 1\0",
            Self::Advert => b"flotilla advert 1\0",
            Self::Proof => b"flotilla proof 1\0",
            Self::Order => b"flotilla order 1\0",
            Self::Outcome => b"flotilla outcome 1\0",
            Self::Call => b"flotilla call 1\0",
            Self::Goodbye => b"flotilla goodbye 1\0",
        }
    }
}

/// Why a secret cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyring {
    /// There is none.
    #[error("there is no secret in it: write one of {SHORTEST} characters or more")]
    Empty,
    /// It could be guessed.
    #[error(
        "secret {0} of it is shorter than {SHORTEST} characters and could be guessed: \
         openssl rand -hex 32 makes a good one"
    )]
    TooShort(usize),
}

/// The secrets that a process knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring(Vec<Vec<u8>>);

impl Keyring {
    /// Reads secrets that are separated by commas or white space. The first signs.
    ///
    /// # Errors
    /// When there is none, or one is too short.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyring> {
        let secrets: Vec<_> = text
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|secret| !secret.is_empty())
            .map(|secret| secret.as_bytes().to_vec())
            .collect();
        match secrets.iter().position(|secret| secret.len() < SHORTEST) {
            Some(at) => Err(InvalidKeyring::TooShort(at + 1)),
            None if secrets.is_empty() => Err(InvalidKeyring::Empty),
            None => Ok(Self(secrets)),
        }
    }

    /// Signs `text` with the first secret.
    pub fn sign(&self, purpose: Purpose, text: &[u8]) -> String {
        BASE64URL_NOPAD.encode(&mac(&self.0[0], purpose, text).finalize().into_bytes())
    }

    /// Whether one of the secrets signed `text` as that. Takes the same time wherever they differ.
    pub fn verify(&self, purpose: Purpose, text: &[u8], signature: &str) -> bool {
        let Ok(signature) = BASE64URL_NOPAD.decode(signature.as_bytes()) else {
            return false;
        };
        self.0.iter().any(|secret| mac(secret, purpose, text).verify_slice(&signature).is_ok())
    }

    /// The text behind its signature, fit for a URL's path.
    pub fn seal(&self, purpose: Purpose, text: &[u8]) -> String {
        format!("{}.{}", BASE64URL_NOPAD.encode(text), self.sign(purpose, text))
    }

    /// What [`Keyring::seal`] was given; `None` when nobody with our secrets sealed it as that.
    pub fn open(&self, purpose: Purpose, sealed: &str) -> Option<Vec<u8>> {
        let (text, signature) = sealed.split_once('.')?;
        let text = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        self.verify(purpose, &text, signature).then_some(text)
    }
}

fn mac(secret: &[u8], purpose: Purpose, text: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104, section 2).
    #[expect(clippy::unwrap_used, reason = "new_from_slice fails for no length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(purpose.label());
    mac.update(text);
    mac
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} hidden)", self.0.len())
    }
}

/// A keyring that can be replaced while it is in use. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedKeyring(Arc<RwLock<Arc<Keyring>>>);

impl SharedKeyring {
    /// Starts with these secrets.
    pub fn new(keyring: Keyring) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keyring))))
    }

    /// The secrets as they are now.
    pub fn get(&self) -> Arc<Keyring> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these.
    pub fn replace(&self, keyring: Keyring) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the-old-secret-of-the-fleet";
    const NEW: &str = "the-new-secret-of-the-fleet";

    fn ring(text: &str) -> Keyring {
        Keyring::parse(text).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_secret_for_the_same_purpose_only() {
        let sealed = ring(NEW).seal(Purpose::Ticket, b"text");
        assert_eq!(ring(NEW).open(Purpose::Ticket, &sealed).unwrap(), b"text");
        assert_eq!(ring(NEW).open(Purpose::Order, &sealed), None);
        assert_eq!(ring(OLD).open(Purpose::Ticket, &sealed), None);
        for end in 0..sealed.len() {
            assert_eq!(ring(NEW).open(Purpose::Ticket, &sealed[..end]), None);
        }
    }

    #[test]
    fn a_secret_is_rotated_in_three_steps_without_a_gap() {
        let steps =
            [ring(OLD), ring(&format!("{OLD},{NEW}")), ring(&format!("{NEW} {OLD}")), ring(NEW)];
        for pair in steps.windows(2) {
            for (signs, reads) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
                let sealed = signs.seal(Purpose::Ticket, b"text");
                assert!(reads.open(Purpose::Ticket, &sealed).is_some());
            }
        }
    }

    #[test]
    fn secrets_that_could_be_guessed_are_refused_and_none_is_shown() {
        assert_eq!(Keyring::parse(" ,\n"), Err(InvalidKeyring::Empty));
        assert_eq!(Keyring::parse(&format!("{OLD},short")), Err(InvalidKeyring::TooShort(2)));
        assert_eq!(format!("{:?}", ring(OLD)), "Keyring(1 hidden)");
    }
}

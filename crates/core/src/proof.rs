//! Dialling a worker back: it answers a nonce with what it says of itself, and proves that it says
//! so now.

use crate::advert::Advert;
use crate::keyring::{Keyring, Purpose};

/// The worker's answer: the proof, a space, its sealed advert.
pub fn answer(keyring: &Keyring, nonce: &str, sealed: &str) -> String {
    format!("{} {sealed}", keyring.sign(Purpose::Proof, said(nonce, sealed).as_bytes()))
}

/// What the worker says of itself, if it proves it for this nonce.
///
/// # Errors
/// Why it is not believed, in words for a log.
pub fn read(keyring: &Keyring, nonce: &str, answer: &str) -> Result<Advert, String> {
    let (proof, sealed) = answer.trim_end().split_once(' ').ok_or("it is no worker")?;
    if !keyring.verify(Purpose::Proof, said(nonce, sealed).as_bytes(), proof) {
        return Err("it could not prove that it knows the fleet's secret".to_owned());
    }
    Advert::open(keyring, sealed).map_err(|why| why.to_string())
}

fn said(nonce: &str, sealed: &str) -> String {
    format!("{nonce} {sealed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Instance, WorkerId};

    #[test]
    fn an_answer_is_good_for_its_nonce_and_the_fleets_secret_only() {
        let ring = |text| Keyring::parse(text).unwrap();
        let (ours, theirs) = (ring("our-secret-our-secret"), ring("their-secret-their-secret"));
        let (id, instance) = (WorkerId("w".into()), Instance("1".into()));
        let advert = Advert { id, instance, ..Advert::default() };
        let said = answer(&ours, "nonce", &advert.seal(&ours));
        assert_eq!(read(&ours, "nonce", &said), Ok(advert.clone()));
        assert!(read(&ours, "another", &said).is_err());
        assert!(read(&ours, "nonce", &answer(&theirs, "nonce", &advert.seal(&ours))).is_err());
        assert!(read(&ours, "nonce", "hello").is_err());
    }
}

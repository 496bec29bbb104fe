//! All that stands in Redis about the workers, read in pieces.

use flotilla_core::Advert;
use flotilla_core::advert::InvalidAdvert;
use flotilla_core::keyring::Keyring;
use redis::cmd;

use super::address::RedisAddress;
use super::fault::Fault;
use super::keys::{self, WORKERS};
use super::link::{Asks, Link};
use super::living::living;

/// Fields that are asked for at one time. Few, since somebody may have written large ones.
const PIECE: usize = 64;

/// A field of a hash and its value, as they stand there.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// Reads a hash piece by piece, so that Redis never works long for it.
pub(crate) struct Scan {
    hash: &'static str,
    cursor: Option<u64>,
}

// === impl Scan ===

impl Scan {
    pub(crate) fn of(hash: &'static str) -> Self {
        Self { hash, cursor: Some(0) }
    }

    /// The next piece; `None` after the last. What is there all the time comes at least once.
    pub(crate) async fn next(&mut self, asks: &mut Asks) -> Result<Option<Vec<Entry>>, Fault> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let mut scan = cmd("HSCAN");
        scan.arg(self.hash).arg(cursor).arg("COUNT").arg(PIECE);
        let (next, entries): (u64, Vec<Entry>) = asks.ask(&scan).await?;
        self.cursor = (next != 0).then_some(next);
        Ok(Some(entries))
    }
}

/// Reads what is filed under a worker's name.
pub(crate) fn open((field, value): &Entry, keyring: &Keyring) -> Result<Advert, InvalidAdvert> {
    let text = std::str::from_utf8(value).map_err(|_| InvalidAdvert::Forged)?;
    let advert = Advert::open(keyring, text)?;
    if advert.id.0.as_bytes() != field {
        return Err(InvalidAdvert::Misfiled);
    }
    Ok(advert)
}

/// Reads what all living workers said last. What is not believed is passed over.
///
/// # Errors
/// Why Redis cannot be read.
pub async fn read_fleet(address: &RedisAddress, keyring: &Keyring) -> Result<Vec<Advert>, Fault> {
    let mut asks = Link::connect(address).await?.asks;
    let mut scan = Scan::of(WORKERS);
    let mut fleet = Vec::new();
    while let Some(entries) = scan.next(&mut asks).await? {
        let adverts = entries.iter().filter_map(|entry| open(entry, keyring).ok());
        let adverts: Vec<_> = adverts.collect();
        let lives = living(&mut asks, adverts.iter().map(keys_of).collect()).await?;
        fleet.extend(adverts.into_iter().zip(lives).filter(|(_, lives)| *lives).map(|a| a.0));
    }
    fleet.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    fleet.dedup_by(|a, b| a.id == b.id);
    Ok(fleet)
}

fn keys_of(advert: &Advert) -> Vec<String> {
    keys::all_of(&advert.id.0)
}

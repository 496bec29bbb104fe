//! The names of keys, fields and channels.

use flotilla_core::{Advert, BrowserKind, WorkerId};

/// A hash: each worker's newest advert, sealed, under its name.
pub(crate) const WORKERS: &str = "flotilla:workers";
/// A hash: the sessions on each worker, by browser.
pub(crate) const ACTIVE: &str = "cluster:active_connections";
/// A hash: the sessions that each worker has admitted in its life, by browser.
pub(crate) const LIFETIME: &str = "cluster:lifetime_connections";

/// A hash about a worker and one of its browsers, for people. It goes when nobody refreshes it.
pub(crate) fn worker(browser: BrowserKind, id: &str) -> String {
    format!("worker:{browser}:{id}")
}

/// The same for whatever browsers it may serve.
pub(crate) fn all_of(id: &str) -> Vec<String> {
    BrowserKind::ALL.map(|browser| worker(browser, id)).to_vec()
}

/// What a worker has been told to do.
pub(crate) fn command(browser: BrowserKind, id: &WorkerId) -> String {
    format!("worker:cmd:{browser}:{id}")
}

/// A worker and a browser, in the hashes of counts.
pub(crate) fn field(browser: BrowserKind, id: &WorkerId) -> String {
    format!("{browser}:{id}")
}

/// The browsers of a worker, each once.
pub(crate) fn browsers(advert: &Advert) -> Vec<BrowserKind> {
    let counted = advert.browsers.iter().map(|count| count.browser);
    let mut browsers: Vec<_> = advert.serves.iter().map(|served| served.0).chain(counted).collect();
    browsers.sort_unstable();
    browsers.dedup();
    browsers
}

/// The channels of the grid that uses this database: channels know no databases.
#[derive(Clone, Debug)]
pub(crate) struct Channels(String);

impl Channels {
    pub(crate) fn of(database: i64) -> Self {
        Self(if database == 0 { String::new() } else { format!("@{database}") })
    }

    /// Every advert, as it is told.
    pub(crate) fn fleet(&self) -> String {
        format!("flotilla:fleet{}", self.0)
    }

    /// Every last word.
    pub(crate) fn goodbyes(&self) -> String {
        format!("flotilla:goodbyes{}", self.0)
    }

    /// Says to one worker that there is a command for it.
    pub(crate) fn commands(&self, id: &WorkerId) -> String {
        format!("flotilla:commands:{id}{}", self.0)
    }
}

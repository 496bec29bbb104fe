//! Which browsers there are, and how long one serves.

use std::time::Duration;

use crate::browser::BrowserKind;
use crate::version::PlaywrightVersion;

use super::group::group;
use super::kind::{Count, Deadline, List, Maybe, Size, Switch, Version, Word};

group! {
    /// Which browsers there are, and how long one serves.
    Browsers, "Browsers" {
        /// The browser of clients that name none. Where `browsers` leaves it out and nobody has set
        /// it, the first of `browsers` takes its place.
        default_browser: BrowserKind as Word<BrowserKind> = "chromium", env "DEFAULT_BROWSER_TYPE";
        /// Which browsers to serve.
        browsers: Vec<BrowserKind> as List<Word<BrowserKind>> = "", env "BROWSER_TYPE", shown "all that are installed", sample "[\"chromium\", \"firefox\"]";
        /// The Playwright version of clients that name none.
        default_version: Option<PlaywrightVersion> as Maybe<Version> = "", shown "the newest installed", sample "\"1.65\"";
        /// Which Playwright versions to serve.
        versions: Vec<PlaywrightVersion> as List<Version> = "", shown "all that are installed", sample "[\"1.64\", \"1.65\"]";
        /// Whether browsers run without a window.
        headless: bool as Switch = "true", env "HEADLESS";
        /// How long a browser may take to start.
        launch_timeout: Duration as Deadline = "30s", live;
        /// How many sessions a browser serves before it is replaced.
        max_lifetime_sessions: u32 as Count<1, 1_000_000> = "50", env "MAX_LIFETIME_SESSIONS", live;
        /// How many sessions before that limit a browser's successor is launched, so that it is
        /// ready in time. Counts as one less than the limit where it is not smaller.
        lifetime_margin: u32 as Count<0, 1_000_000> = "2", live;
        /// How old a browser gets before it is replaced.
        max_browser_age: Duration as Deadline = "1h", live;
        /// How much memory a browser and its processes may hold before it is replaced.
        max_browser_memory: u64 as Size = "2GiB", live;
        /// How many browsers stand ready for sessions that want one of their own.
        warm_sessions: u32 as Count<0, 1000> = "1", live;
    }
}

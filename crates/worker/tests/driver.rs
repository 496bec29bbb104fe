//! The driver with real Node, Playwright, Chromium and Firefox. One binary, so that it links once.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do: by a panic")]

mod driver {
    mod bench;
    mod deaths;
    mod launches;
    mod provisioning;
    mod sessions;
}

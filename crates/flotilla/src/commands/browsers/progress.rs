//! How an installation is told to those who wait: a moving line on a terminal, plain lines
//! elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::Duration;

use flotilla_core::BrowserKind;
use flotilla_worker::provision::{Build, Step};
use indicatif::ProgressBar;

use crate::printer::Printer;

/// Tells steps on stderr.
pub(super) struct Teller {
    printer: Printer,
    bar: Option<ProgressBar>,
    /// The last tenth of a download that was told where there is no terminal.
    told: Mutex<Option<(BrowserKind, u8)>>,
}

impl Teller {
    pub(super) fn new(printer: Printer) -> Self {
        let bar = stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { printer, bar, told: Mutex::default() }
    }

    pub(super) fn tell(&self, step: Step) {
        if let Step::Downloading(kind, percent) = step
            && self.bar.is_none()
            && !self.is_news(kind, percent)
        {
            return;
        }
        let lasting = lasts(&step);
        let line = words(step);
        match &self.bar {
            None => self.printer.note(line),
            Some(bar) if lasting => bar.suspend(|| self.printer.note(line)),
            Some(bar) => bar.set_message(line),
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn is_news(&self, kind: BrowserKind, percent: u8) -> bool {
        let now = Some((kind, percent / 10));
        // A teller that panicked told enough.
        let Ok(mut told) = self.told.lock() else {
            return true;
        };
        std::mem::replace(&mut *told, now) != now
    }
}

/// What stays on the terminal; the rest is only shown while it lasts.
fn lasts(step: &Step) -> bool {
    matches!(
        step,
        Step::Present(_)
            | Step::NoDownload(..)
            | Step::Tried(_)
            | Step::Missing(..)
            | Step::Videos(_)
    )
}

fn words(step: Step) -> String {
    match step {
        Step::Waiting => "waiting: another installation is running".to_owned(),
        Step::Fetching(what) => format!("fetching {what}"),
        Step::Present(version) => format!("Playwright {version} is here: trying its browsers anew"),
        Step::Downloading(kind, percent) => format!("downloading {kind}: {percent} %"),
        Step::NoDownload(kind, why) => format!("{kind}: no download: {why}"),
        Step::Trying(build) => format!("trying {}", name(&build)),
        Step::Tried(build) => tried(&build),
        Step::Videos(Some(program)) => format!("videos: recorded with {}", program.display()),
        Step::Videos(None) => {
            "videos: recordVideo will not work: there is no ffmpeg (`apt-get install ffmpeg`)"
                .to_owned()
        }
        Step::Missing(kind, why) => format!("{kind}: {why}"),
    }
}

fn name(build: &Build) -> String {
    let path = build.executable.as_deref().unwrap_or("".as_ref());
    format!("{} ({})", build.flavour.kind(), path.display())
}

fn tried(build: &Build) -> String {
    let version = build.probe.browser_version.as_deref().unwrap_or("?");
    match &build.probe.error {
        None => format!("{}: {version} works, {} ms", name(build), build.probe.ms),
        Some(error) => {
            let first = error.lines().next().unwrap_or_default();
            format!("{}: {version} does not work: {first}", name(build))
        }
    }
}

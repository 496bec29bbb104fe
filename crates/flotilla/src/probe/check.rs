//! The check itself: a whole session with a page in it, timed.

use std::time::Duration;

use flotilla_core::{BrowserKind, PlaywrightVersion};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::error::{Phase, ProbeError};
use super::session::{Session, Target};

/// How a session went.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeReport {
    /// The browser that was asked for.
    pub browser: BrowserKind,
    /// The Playwright that asked.
    pub version: PlaywrightVersion,
    /// Whether everything was as it should be.
    pub ok: bool,
    /// What the browser says it is, once it was had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser_version: Option<String>,
    /// The phases that were completed, in order.
    pub phases: Vec<PhaseTiming>,
    /// From the beginning to the end, whichever it was.
    pub total_ms: f64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// How long a phase took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PhaseTiming {
    /// Which.
    pub phase: Phase,
    /// How long.
    pub ms: f64,
}

/// What went wrong, for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// In which phase.
    pub phase: Phase,
    /// The kind of error, one word.
    pub kind: &'static str,
    /// The whole story.
    pub message: String,
}

/// Has one session with `target`: connect, context and page, navigate, evaluate, close. All of it
/// within `timeout`.
pub async fn check(target: &Target, timeout: Duration) -> ProbeReport {
    let started = Instant::now();
    let mut report = ProbeReport {
        browser: target.kind,
        version: target.version,
        ok: false,
        browser_version: None,
        phases: Vec::with_capacity(5),
        total_ms: 0.0,
        failure: None,
    };
    let outcome = run(target, started + timeout, &mut report).await;
    report.total_ms = millis(started.elapsed());
    report.ok = outcome.is_ok();
    report.failure = outcome.err().map(|error| Failure {
        phase: error.phase(),
        kind: error.kind(),
        message: error.to_string(),
    });
    report
}

async fn run(
    target: &Target,
    deadline: Instant,
    report: &mut ProbeReport,
) -> Result<(), ProbeError> {
    let mut since = Instant::now();
    let mut lap = |phase| {
        let now = Instant::now();
        let ms = millis(now - since);
        since = now;
        PhaseTiming { phase, ms }
    };
    let sum = Sum::random();
    let mut session = Session::connect(target, deadline).await?;
    report.browser_version = Some(session.browser_version().to_owned());
    report.phases.push(lap(Phase::Connect));
    let context = session.new_context().await?;
    let page = session.new_page(&context).await?;
    report.phases.push(lap(Phase::Context));
    session.goto(&page, &sum.page()).await?;
    report.phases.push(lap(Phase::Navigate));
    let given = session.evaluate(&page, "Number(document.title) + 1").await?;
    sum.verify(&given)?;
    report.phases.push(lap(Phase::Evaluate));
    session.close_context(context).await?;
    session.close().await?;
    report.phases.push(lap(Phase::Close));
    Ok(())
}

/// Milliseconds for a report: no finer than a microsecond.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A sum that only a browser which has run the page's script can know: its terms are new each
/// time, so nothing that was remembered or made up passes for it.
#[derive(Clone, Copy, Debug)]
struct Sum {
    a: u16,
    b: u16,
}

impl Sum {
    fn random() -> Self {
        let mut bytes = [0; 4];
        // Without randomness the sum is a known one: the check is still one of arithmetic.
        let _ = getrandom::fill(&mut bytes);
        Self {
            a: u16::from_le_bytes([bytes[0], bytes[1]]),
            b: u16::from_le_bytes([bytes[2], bytes[3]]),
        }
    }

    fn page(self) -> String {
        let Self { a, b } = self;
        format!("data:text/html,<title>probe</title><script>document.title={a}*{b}</script>")
    }

    fn verify(self, given: &serde_json::Value) -> Result<(), ProbeError> {
        let expected = u64::from(self.a) * u64::from(self.b) + 1;
        if given.as_f64().is_some_and(|n| n == expected as f64) {
            return Ok(());
        }
        Err(ProbeError::WrongValue {
            expected: json!(expected).to_string(),
            given: given.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_sum_passes() {
        let sum = Sum { a: 6, b: 7 };
        assert!(sum.verify(&json!(43)).is_ok());
        for wrong in [json!(42), json!("43"), json!(null), json!("NaN")] {
            let error = sum.verify(&wrong).unwrap_err();
            assert_eq!((error.kind(), error.phase()), ("wrong_value", Phase::Evaluate));
        }
    }
}

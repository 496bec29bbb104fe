//! Waiting for something to become true, instead of sleeping and hoping.

use std::fmt::Debug;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(10);

/// Waits until `predicate` holds.
///
/// # Panics
/// When it does not within `ceiling`; `what` completes "waited for …".
pub fn wait_until(what: &str, ceiling: Duration, mut predicate: impl FnMut() -> bool) {
    wait_for(what, ceiling, || predicate().then_some(()));
}

/// Waits until `probe` has a value, and returns it.
///
/// # Panics
/// When it has none within `ceiling`.
pub fn wait_for<T>(what: &str, ceiling: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(began.elapsed() < ceiling, "waited for {what}, in vain for {ceiling:?}");
        std::thread::sleep(STEP);
    }
}

/// Waits until `probe` gives `wanted`, and tells what it gave when it never does.
///
/// # Panics
/// When it does not within `ceiling`.
pub fn wait_equal<T: PartialEq + Debug>(
    what: &str,
    ceiling: Duration,
    wanted: &T,
    mut probe: impl FnMut() -> T,
) {
    let began = Instant::now();
    loop {
        let got = probe();
        if got == *wanted {
            return;
        }
        assert!(
            began.elapsed() < ceiling,
            "waited {ceiling:?} for {what} to be {wanted:?}, and it is {got:?}"
        );
        std::thread::sleep(STEP);
    }
}

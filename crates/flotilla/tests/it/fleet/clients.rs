//! What a client sees of a fault: by its own clock, in its own words.

use std::time::{Duration, SystemTime};

use flotilla_testkit::program::{Program, Running};
use serde_json::json;

use crate::connect_as;

/// A client of one session, with a page.
pub(super) fn opens(node: &Program, name: &str) {
    node.run(&connect_as(name, ""));
}

/// The session of that name does what it is told.
pub(super) fn works(node: &Program, name: &str) {
    let code = "return await s[args.name + '_page'].evaluate('2 + 3')";
    assert_eq!(node.run_with(code, json!({"name": name})), 5);
}

/// Closes the session of that name.
pub(super) fn closes(node: &Program, name: &str) {
    node.run_with("await s[args.name].close()", json!({"name": name}));
}

/// A call that ends only with its session.
pub(super) struct Pending(Running);

impl Pending {
    pub(super) fn start(node: &Program, name: &str) -> Self {
        let code = "try {
              await s[args.name + '_page'].evaluate(() => new Promise(() => {}));
            } catch (error) {
              return { at: Date.now(), message: error.message };
            }";
        Self(node.start(code, json!({"name": name})))
    }

    /// How long after that moment the client learned that its session is over, and what it was told.
    pub(super) fn told(self, since: SystemTime) -> (Duration, String) {
        let told = self.0.outcome().unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(told["at"].as_u64().unwrap());
        let after = at.duration_since(since).unwrap_or_default();
        (after, told["message"].as_str().unwrap().to_owned())
    }
}

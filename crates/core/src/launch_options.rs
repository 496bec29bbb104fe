//! What a session asks of its browser's launch, held against what the warm browser already is
//! and what the operator allows.

use std::collections::BTreeMap;

use serde_json::Value;

/// Launch options in the words of Playwright's `launch()`; empty when nothing is asked.
pub type LaunchOptions = BTreeMap<String, Value>;

/// Options that say something about the client's own process or about where files go on its
/// machine. They mean nothing here, and `@playwright/test` sends some of them every time.
const MEANINGLESS_HERE: [&str; 10] = [
    "handleSIGINT",
    "handleSIGTERM",
    "handleSIGHUP",
    "tracesDir",
    "artifactsDir",
    "downloadsPath",
    "logger",
    "timeout",
    "assistantMode",
    "cdpPort",
];

/// Options that no operator can allow: which program runs is the worker's choice.
const NEVER: [&str; 1] = ["executablePath"];

/// What the operator lets sessions ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchPolicy {
    /// What the warm browsers are.
    pub headless: bool,
    /// Names of options that sessions may set.
    pub allowed: Vec<String>,
    /// Prefixes of command line arguments that sessions may pass; `*` allows all.
    pub allowed_args: Vec<String>,
}

/// Why launch options were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchOptionError {
    /// The header is not a JSON object.
    #[error("x-playwright-launch-options is not a JSON object: {0}")]
    Malformed(String),
    /// The operator does not allow this option.
    #[error(
        "the launch option {option:?} is not allowed on this grid. Allowed: {allowed}. \
         Remove it from launchOptions, or ask the operator to add it to FLOTILLA_ALLOWED_LAUNCH_OPTIONS"
    )]
    NotAllowed {
        /// The option's name.
        option: String,
        /// What is allowed, for people.
        allowed: String,
    },
    /// Nobody can allow this option.
    #[error(
        "the launch option {0:?} is not for a session to choose: which program runs is the grid's \
         choice. Remove it from launchOptions"
    )]
    Never(String),
    /// The operator does not allow this command line argument.
    #[error(
        "the browser argument {arg:?} is not allowed on this grid. Allowed: {allowed}. \
         Remove it from launchOptions.args, or ask the operator to add it to FLOTILLA_ALLOWED_LAUNCH_ARGS"
    )]
    ArgNotAllowed {
        /// The argument.
        arg: String,
        /// What is allowed, for people.
        allowed: String,
    },
}

impl LaunchPolicy {
    /// Reduces the header's JSON to what differs from the warm browser; empty means that the
    /// warm browser will do.
    ///
    /// # Errors
    /// When the JSON is malformed, or asks for what the operator does not allow. Nothing that
    /// would change the browser is dropped silently.
    pub fn reduce(&self, json: &str) -> Result<LaunchOptions, LaunchOptionError> {
        if json.trim().is_empty() {
            return Ok(LaunchOptions::new());
        }
        let asked: LaunchOptions = serde_json::from_str(json)
            .map_err(|error| LaunchOptionError::Malformed(error.to_string()))?;
        let mut wanted = LaunchOptions::new();
        for (name, value) in asked {
            if self.changes_nothing(&name, &value) {
                continue;
            }
            self.allow(&name, &value)?;
            wanted.insert(name, value);
        }
        Ok(wanted)
    }

    fn changes_nothing(&self, name: &str, value: &Value) -> bool {
        MEANINGLESS_HERE.contains(&name)
            || match (name, value) {
                (_, Value::Null) => true,
                ("headless", value) => *value == Value::Bool(self.headless),
                // The browsers of a grid without a display are the headless shell already.
                ("channel", Value::String(channel)) => {
                    channel.is_empty() || (self.headless && channel == "chromium-headless-shell")
                }
                ("slowMo", value) => value.as_f64() == Some(0.0),
                ("args", Value::Array(args)) => args.is_empty(),
                ("devtools" | "ignoreDefaultArgs" | "ignoreAllDefaultArgs", Value::Bool(on)) => !on,
                ("chromiumSandbox", Value::Bool(on)) => !on,
                ("env" | "firefoxUserPrefs", Value::Object(map)) => map.is_empty(),
                _ => false,
            }
    }

    fn allow(&self, name: &str, value: &Value) -> Result<(), LaunchOptionError> {
        if NEVER.contains(&name) {
            return Err(LaunchOptionError::Never(name.to_owned()));
        }
        if name == "args" && !self.allowed_args.is_empty() {
            return self.allow_args(value);
        }
        if self.allowed.iter().any(|allowed| allowed == name) {
            return Ok(());
        }
        Err(LaunchOptionError::NotAllowed {
            option: name.to_owned(),
            allowed: for_people(&self.allowed),
        })
    }

    fn allow_args(&self, value: &Value) -> Result<(), LaunchOptionError> {
        let args = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let refused = args.iter().map(|arg| arg.as_str().unwrap_or_default()).find(|arg| {
            !self.allowed_args.iter().any(|prefix| prefix == "*" || arg.starts_with(prefix))
        });
        match refused {
            None => Ok(()),
            Some(arg) => Err(LaunchOptionError::ArgNotAllowed {
                arg: arg.to_owned(),
                allowed: for_people(&self.allowed_args),
            }),
        }
    }
}

fn for_people(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> LaunchPolicy {
        LaunchPolicy {
            headless: true,
            allowed: ["headless", "channel", "proxy", "slowMo"].map(str::to_owned).to_vec(),
            allowed_args: Vec::new(),
        }
    }

    #[test]
    fn what_playwright_test_always_sends_asks_for_nothing() {
        let header = r#"{"handleSIGINT":false,"tracesDir":"/tmp/x","headless":true,"channel":null,"args":[]}"#;
        assert!(policy().reduce(header).unwrap().is_empty());
        assert!(policy().reduce("").unwrap().is_empty());
        assert!(policy().reduce("{}").unwrap().is_empty());
    }

    #[test]
    fn what_differs_from_the_warm_browser_is_kept() {
        let wanted = policy()
            .reduce(r#"{"headless":false,"proxy":{"server":"http://p:1"},"slowMo":0}"#)
            .unwrap();
        assert_eq!(wanted.keys().collect::<Vec<_>>(), ["headless", "proxy"]);
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_name() {
        let error = policy().reduce(r#"{"args":["--no-proxy-server"]}"#).unwrap_err();
        assert!(error.to_string().contains("\"args\""), "{error}");
        assert!(matches!(policy().reduce("[1]"), Err(LaunchOptionError::Malformed(_))));
        let all = LaunchPolicy { allowed: vec!["executablePath".to_owned()], ..policy() };
        let never = all.reduce(r#"{"executablePath":"/bin/sh"}"#);
        assert_eq!(never, Err(LaunchOptionError::Never("executablePath".to_owned())));
    }

    #[test]
    fn args_pass_by_prefix_where_the_operator_says_so() {
        let policy = LaunchPolicy { allowed_args: vec!["--lang=".to_owned()], ..policy() };
        assert!(policy.reduce(r#"{"args":["--lang=de"]}"#).is_ok());
        let error = policy.reduce(r#"{"args":["--lang=de","--user-data-dir=/"]}"#).unwrap_err();
        assert!(error.to_string().contains("--user-data-dir=/"), "{error}");
        assert!(policy.reduce(r#"{"args":[1]}"#).is_err());
    }
}

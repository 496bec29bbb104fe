//! A platform that is two command lines.

use std::process::Stdio;
use std::time::Duration;

use flotilla_core::rollout::{Ended, Platform};
use tokio::process::Command;

/// Starts and ends processes with the commands that an operator gave.
#[derive(Clone, Debug)]
pub struct CommandPlatform {
    /// What is rolled: `workers` or `gateways`.
    pub what: &'static str,
    /// Starts one process, and comes back.
    pub start: String,
    /// Ends one process, and comes back when it has ended.
    pub stop: Option<String>,
    /// How long a command may take.
    pub within: Duration,
}

impl Platform for CommandPlatform {
    async fn start(&self, name: &str, replaces: Option<&str>) -> Result<(), String> {
        self.run("start", &self.start, name, replaces.unwrap_or_default(), "").await
    }

    async fn stop(&self, name: &str, endpoint: &str) -> Result<Ended, String> {
        match &self.stop {
            Some(command) => {
                self.run("stop", command, name, "", endpoint).await.map(|()| Ended::Yes)
            }
            None => Ok(Ended::NotHere),
        }
    }
}

impl CommandPlatform {
    /// Names go by the environment: a shell reads them as words, never as commands.
    async fn run(
        &self,
        deed: &'static str,
        line: &str,
        name: &str,
        replaces: &str,
        endpoint: &str,
    ) -> Result<(), String> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", line])
            .env("FLOTILLA_ROLL", self.what)
            .env("FLOTILLA_ROLL_NAME", name)
            .env("FLOTILLA_ROLL_REPLACES", replaces)
            .env("FLOTILLA_ROLL_ENDPOINT", endpoint)
            .stdin(Stdio::null())
            // Ours is for data, and what it says is talk.
            .stdout(std::io::stderr())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|why| format!("cannot run /bin/sh: {why}"))?;
        let ended = tokio::time::timeout(self.within, child.wait()).await;
        let ended = ended.map_err(|_| {
            format!("the {deed} command did not come back within {} s", self.within.as_secs())
        })?;
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the {deed} command ended with {status}")),
            Err(why) => Err(format!("the {deed} command was lost: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(start: &str, stop: Option<&str>) -> CommandPlatform {
        let within = Duration::from_secs(20);
        CommandPlatform { what: "workers", start: start.into(), stop: stop.map(Into::into), within }
    }

    #[tokio::test]
    async fn a_command_learns_what_is_meant_from_its_environment() {
        let words = r#"[ "$FLOTILLA_ROLL $FLOTILLA_ROLL_NAME" = "workers n 1; false" ]"#;
        let start = format!(r#"{words} && [ "$FLOTILLA_ROLL_REPLACES" = old ]"#);
        let stop = format!(r#"{words} && [ "$FLOTILLA_ROLL_ENDPOINT" = h:1 ]"#);
        let platform = platform(&start, Some(&stop));
        assert_eq!(platform.start("n 1; false", Some("old")).await, Ok(()));
        assert_eq!(platform.stop("n 1; false", "h:1").await, Ok(Ended::Yes));
    }

    #[tokio::test]
    async fn a_command_that_fails_or_does_not_come_back_is_told() {
        let failed = platform("exit 7", None).start("n", None).await.unwrap_err();
        assert!(failed.contains("the start command ended with exit status: 7"), "{failed}");
        assert_eq!(platform("", None).stop("n", "").await, Ok(Ended::NotHere));
        let slow =
            CommandPlatform { within: Duration::from_millis(50), ..platform("sleep 9", None) };
        let late = slow.start("n", None).await.unwrap_err();
        assert!(late.contains("did not come back"), "{late}");
    }
}

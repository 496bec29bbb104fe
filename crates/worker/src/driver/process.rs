//! Starting processes that cannot outlive this one.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// How a program is started so that the kernel kills it with its parent, even after `kill -9`:
/// a small program that asks the kernel for it (`PR_SET_PDEATHSIG`) and then becomes the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecShim {
    /// `flotilla __exec`, which also checks that the parent still lives.
    Flotilla(PathBuf),
    /// `setpriv` of util-linux: for tests of this crate, which have no flotilla binary.
    Setpriv,
}

impl ExecShim {
    /// The binary that is running now.
    pub fn current_exe() -> io::Result<Self> {
        std::env::current_exe().map(Self::Flotilla)
    }

    /// The words before the program, for a parent that is named by its process id or by a shell's
    /// expression that gives it.
    pub(super) fn words(&self, parent: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Flotilla(exe) => &[&exe.to_string_lossy(), "__exec", "--parent", parent, "--"],
            Self::Setpriv => &["setpriv", "--pdeathsig", "KILL", "--"],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// A command for a program that dies with this process.
    pub(super) fn command(&self, program: &Path) -> Command {
        let words = self.words(&std::process::id().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program);
        command
    }

    /// The text of a script that starts a program which dies with the driver. Browsers are
    /// started by Playwright, which takes one path and no words before it.
    pub(super) fn wrapper(&self, program: &Path) -> String {
        let words = self.words("$FLOTILLA_DRIVER_PID");
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let program = quote(&program.to_string_lossy());
        format!("#!/bin/sh\nexec {} {program} \"$@\"\n", words.join(" "))
    }
}

/// Quotes for sh, but lets our one variable through.
fn quote(word: &str) -> String {
    if word == "$FLOTILLA_DRIVER_PID" {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Spawns on a thread that lives as long as this process: the kernel sends the parent-death signal
/// when the *thread* that spawned is gone, and a runtime's threads come and go.
pub(super) async fn spawn(mut command: Command) -> io::Result<Child> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal is for this process: it drains first.
        .process_group(0)
        .kill_on_drop(true);
    let (reply, spawned) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    let job = Box::new(move || {
        let _inside = runtime.enter();
        // The asker may be gone: then the child is killed by being dropped.
        let _ = reply.send(command.spawn());
    });
    let gone = || io::Error::other("the thread that starts processes is gone");
    spawner().send(job).map_err(|_| gone())?;
    spawned.await.map_err(|_| gone())?
}

type Job = Box<dyn FnOnce() + Send>;

fn spawner() -> &'static mpsc::Sender<Job> {
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("spawner".into())
            .spawn(move || inbox.into_iter().for_each(|job| job()))
            // Without threads nothing of this program would run.
            .expect("a thread can be started");
        jobs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_keeps_strange_paths_whole() {
        let shim = ExecShim::Flotilla("/opt/it's here/flotilla".into());
        assert_eq!(
            shim.wrapper(Path::new("/usr/bin/x y")),
            "#!/bin/sh\nexec '/opt/it'\\''s here/flotilla' '__exec' '--parent' \"$FLOTILLA_DRIVER_PID\" '--' '/usr/bin/x y' \"$@\"\n"
        );
    }
}

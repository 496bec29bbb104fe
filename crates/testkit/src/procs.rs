//! Who is running, read from /proc: for tests that nothing is left behind.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process, told apart from a later one of the same id by its start time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proc {
    /// Its id.
    pub pid: u32,
    started: u64,
    /// Its name, for messages.
    pub name: String,
}

struct Stat {
    name: String,
    state: char,
    parent: u32,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, blanks and parentheses too.
    let (head, rest) = text.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split(' ').collect();
    Some(Stat {
        name: head.split_once('(')?.1.to_owned(),
        state: fields[0].chars().next()?,
        parent: fields[1].parse().ok()?,
        started: fields[19].parse().ok()?,
    })
}

fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The process of that id, if there is one that has not ended.
pub fn find(pid: u32) -> Option<Proc> {
    let stat = stat(pid).filter(|stat| stat.state != 'Z')?;
    Some(Proc { pid, started: stat.started, name: stat.name })
}

impl Proc {
    /// Whether it still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        find(self.pid).as_ref() == Some(self)
            || find(self.pid).is_some_and(|now| now.started == self.started)
    }
}

/// `root` and everything that descends from it.
pub fn tree(root: u32) -> BTreeSet<Proc> {
    let parents: Vec<_> = all().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|p| p.1 == parent).map(|p| p.0));
        at += 1;
    }
    found.into_iter().filter_map(find).collect()
}

/// Processes whose command line or environment has `text` in it: also those that nobody in the
/// tree is the parent of any more.
pub fn mentioning(text: &str) -> BTreeSet<Proc> {
    let mentions = |pid: u32, file: &str| {
        fs::read(format!("/proc/{pid}/{file}"))
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|w| w == text.as_bytes()))
    };
    all()
        .filter(|&pid| mentions(pid, "environ") || mentions(pid, "cmdline"))
        .filter_map(find)
        .collect()
}

/// Sends a signal to one process.
///
/// # Panics
/// When there is no such process.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id is positive"), signal).expect("the process is there");
}

/// `kill -9`.
///
/// # Panics
/// When there is no such process.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Bytes of memory that the process holds now.
pub fn resident(pid: u32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// The process that owns the loopback TCP socket with that local port: how a test learns who
/// really connected.
pub fn owner_of_port(port: u16) -> Option<u32> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| inode_of(&fs::read_to_string(table).ok()?, port))?;
    let wanted = format!("socket:[{inode}]");
    all().find(|pid| {
        fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str()))
    })
}

fn inode_of(table: &str, port: u16) -> Option<String> {
    let suffix = format!(":{port:04X}");
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields.len() > 9 && fields[1].ends_with(&suffix) && fields[9] != "0")
            .then(|| fields[9].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_in_the_tree_until_it_has_ended() {
        let mut child = std::process::Command::new("cat")
            .env("FLOTILLA_TESTKIT_MARK", "a-mark-of-this-test")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let find_it = |set: BTreeSet<Proc>| set.into_iter().find(|p| p.pid == child.id());
        let proc = find_it(tree(std::process::id())).unwrap();
        assert!(proc.is_alive());
        crate::wait::wait_until("cat to run", std::time::Duration::from_secs(5), || {
            find_it(mentioning("a-mark-of-this-test")).is_some()
        });
        kill(child.id());
        child.wait().unwrap();
        assert!(!proc.is_alive());
    }

    #[test]
    fn the_owner_of_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(owner_of_port(port), Some(std::process::id()));
    }
}

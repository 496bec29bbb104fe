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
    let socket = sockets().into_iter().find(|s| s.port == port)?;
    all().find(|&pid| inodes(pid).contains(&socket.inode))
}

/// The TCP ports on which these processes listen.
pub fn listening(procs: &BTreeSet<Proc>) -> BTreeSet<u16> {
    let held: BTreeSet<_> = procs.iter().flat_map(|p| inodes(p.pid)).collect();
    let sockets = sockets().into_iter().filter(|s| s.listens && held.contains(&s.inode));
    sockets.map(|s| s.port).collect()
}

struct Socket {
    port: u16,
    listens: bool,
    inode: String,
}

/// The TCP sockets of the machine that some process holds.
fn sockets() -> Vec<Socket> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text: String = tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    text.lines().filter_map(socket).collect()
}

/// A line of the kernel's table: the second field is the local address, the fourth the state
/// (0A listens), the tenth the inode.
fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    let inode = fields.get(9).filter(|inode| **inode != "0")?;
    Some(Socket {
        port: u16::from_str_radix(port, 16).ok()?,
        listens: fields[3] == "0A",
        inode: (*inode).to_owned(),
    })
}

/// The sockets that a process holds, by inode.
fn inodes(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files
        .filter_map(|file| {
            let target = fs::read_link(file.path()).ok()?.into_os_string().into_string().ok()?;
            Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect()
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
        assert!(listening(&tree(std::process::id())).contains(&port));
    }
}

//! Who is measured.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};
use flotilla_testkit::folder::Folder;
use flotilla_testkit::proxies::{Proxy, Upstream};

use crate::roles;

/// One way from the client to the echo server.
#[derive(Debug)]
pub(crate) struct Party {
    /// `direct`, or the proxy and how it dials: `relay, unix`.
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Whose processor time counts.
    pub(crate) pid: u32,
}

/// Everybody, running.
#[derive(Debug)]
pub(crate) struct Parties {
    parties: Vec<Party>,
    _proxies: Vec<Proxy>,
    _selves: Vec<OneOfUs>,
    _folder: Folder,
}

/// This binary in a role; it ends when its standard input does.
#[derive(Debug)]
struct OneOfUs {
    child: Child,
    input: Option<ChildStdin>,
    address: SocketAddr,
}

// === impl Parties ===

impl Parties {
    pub(crate) fn start() -> Result<Self> {
        let folder = Folder::new();
        let path = folder.path().join("echo.sock").display().to_string();
        let echo = OneOfUs::start(&["echo", &path])?;
        let tcp = Upstream::Tcp(echo.address);
        let unix = Upstream::Unix(path);
        let mut parties =
            vec![Party { name: "direct", address: echo.address, pid: echo.child.id() }];
        let mut selves = vec![echo];
        let mut proxies = Vec::new();
        let names = [
            (
                &unix,
                ["relay, unix", "haproxy, unix", "nginx, unix"],
                ["relay on one thread, unix", "relay that copies, unix"],
            ),
            (
                &tcp,
                ["relay, tcp", "haproxy, tcp", "nginx, tcp"],
                ["relay on one thread, tcp", "relay that copies, tcp"],
            ),
        ];
        for (upstream, [ours, haproxy, nginx], [alone, copying]) in names {
            let roles = [(ours, "relay"), (alone, "relay-alone"), (copying, "relay-copying")];
            for (name, role) in roles {
                let relay = OneOfUs::start(&[role, &roles::format(upstream)])?;
                parties.push(Party { name, address: relay.address, pid: relay.child.id() });
                selves.push(relay);
            }
            for (name, proxy) in
                [(haproxy, Proxy::haproxy(upstream)?), (nginx, Proxy::nginx(upstream)?)]
            {
                parties.push(Party { name, address: proxy.address(), pid: proxy.pid() });
                proxies.push(proxy);
            }
        }
        Ok(Self { parties, _proxies: proxies, _selves: selves, _folder: folder })
    }

    pub(crate) fn all(&self) -> &[Party] {
        &self.parties
    }

    pub(crate) fn proxies(&self) -> &[Party] {
        &self.parties[1..]
    }
}

// === impl Party ===

impl Party {
    /// Whether it differs in large frames only.
    pub(crate) fn is_for_large_frames_only(&self) -> bool {
        self.name.starts_with("relay that copies")
    }
}

// === impl OneOfUs ===

impl OneOfUs {
    fn start(role: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--role").args(role).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("its output is piped")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("{role:?} says {line:?}"))?;
        Ok(Self { input: child.stdin.take(), child, address })
    }
}

impl Drop for OneOfUs {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

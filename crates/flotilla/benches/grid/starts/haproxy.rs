//! HAProxy before the server: HTTP until the upgrade, a tunnel after.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use flotilla_testkit::folder::Folder;

/// A running HAProxy, with its own default of a thread for each core. Ended when dropped.
#[derive(Debug)]
pub(super) struct Haproxy {
    child: Child,
    address: SocketAddr,
}

impl Haproxy {
    pub(super) fn start(folder: &Folder, origin: &str) -> anyhow::Result<Self> {
        let config = folder.join("haproxy.cfg");
        std::fs::write(&config, configuration(origin))?;
        // It inherits the listener, so nobody else can have taken the port meanwhile.
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&config)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("haproxy cannot be run")?;
        Ok(Self { child, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(origin: &str) -> String {
    format!(
        "global\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\n  timeout tunnel 1h\n\
         listen front\n  bind fd@0\n  server origin unix@{origin}\n"
    )
}

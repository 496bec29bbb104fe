//! HAProxy and nginx as WebSocket proxies, to measure beside them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::folder::Folder;
use crate::wait::wait_for;

/// Where a proxy dials.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A UNIX socket's path.
    Unix(String),
}

/// A running proxy. It is killed with its value.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

// === impl Proxy ===

impl Proxy {
    /// HAProxy in HTTP mode, which becomes a tunnel with the handshake's 101. As many threads as there are processors.
    pub fn haproxy(upstream: &Upstream) -> Result<Self> {
        let server = match upstream {
            Upstream::Tcp(address) => address.to_string(),
            Upstream::Unix(path) => format!("unix@{path}"),
        };
        Self::start("haproxy", |folder, port| {
            let config = format!(
                "global\n  maxconn 9500\n  nbthread {}\n\
                 defaults\n  mode http\n  maxconn 9500\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  \
                 timeout tunnel 1h\n\
                 frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\n\
                 backend b\n  server s {server}\n",
                processors(),
            );
            let path = folder.join("haproxy.cfg");
            fs::write(&path, config)?;
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(path);
            Ok(command)
        })
    }

    /// nginx with `proxy_pass` and the upgrade's headers. As many workers as there are processors.
    pub fn nginx(upstream: &Upstream) -> Result<Self> {
        let server = match upstream {
            Upstream::Tcp(address) => address.to_string(),
            Upstream::Unix(path) => format!("unix:{path}"),
        };
        Self::start("nginx", |folder, port| {
            let dir = folder.display();
            let config = format!(
                "user root;\nworker_processes {};\nworker_rlimit_nofile 20000;\ndaemon off;\npid {dir}/pid;\n\
                 error_log {dir}/error.log;\nevents {{ worker_connections 19000; }}\n\
                 http {{\n  access_log off;\n  client_body_temp_path {dir}/a;\n  proxy_temp_path {dir}/b;\n  \
                 fastcgi_temp_path {dir}/c;\n  uwsgi_temp_path {dir}/d;\n  scgi_temp_path {dir}/e;\n  \
                 upstream u {{ server {server}; }}\n  server {{\n    listen 127.0.0.1:{port};\n    location / {{\n      \
                 proxy_pass http://u;\n      proxy_http_version 1.1;\n      proxy_read_timeout 1h;\n      \
                 proxy_set_header Upgrade $http_upgrade;\n      proxy_set_header Connection Upgrade;\n    }}\n  }}\n}}\n",
                processors(),
            );
            let path = folder.join("nginx.conf");
            fs::write(&path, config)?;
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).arg("-e").arg("error.log").arg("-c").arg(path);
            Ok(command)
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process; it may have children.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn start(
        name: &str,
        prepare: impl Fn(&Path, u16) -> Result<Command>,
    ) -> Result<Self> {
        // The port was free a moment ago; should somebody else be faster, the next one is tried.
        for _ in 0..5 {
            let folder = Folder::new();
            let port = free_port()?;
            let mut command = prepare(folder.path(), port)?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let mut proxy = Self { child, address, folder };
            if proxy.comes_up() {
                return Ok(proxy);
            }
        }
        anyhow::bail!("{name} does not come up")
    }

    fn comes_up(&mut self) -> bool {
        wait_for("a proxy that listens or ends", Duration::from_secs(10), || {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return Some(false);
            }
            TcpStream::connect(self.address).is_ok().then_some(true)
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx ends its workers on SIGTERM only; HAProxy minds neither.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

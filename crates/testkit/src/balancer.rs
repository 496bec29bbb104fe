//! HAProxy before several gateways, as a fleet's users have one: it asks each whether it is ready,
//! and gives new connections to those that are.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::place::Place;
use crate::proxies::Proxy;
use crate::wait::wait_equal;

/// A running balancer. It is killed with its value.
#[derive(Debug)]
pub struct Balancer {
    proxy: Proxy,
    gateways: Vec<String>,
}

// === impl Balancer ===

impl Balancer {
    /// In TCP mode over these gateways (`HOST:PORT`), of which any may be down. Connections that
    /// are open stay with a gateway that is no longer ready.
    ///
    /// # Errors
    /// When HAProxy does not come up.
    pub fn over<'a>(gateways: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let gateways: Vec<_> = gateways.into_iter().map(str::to_owned).collect();
        let proxy = Proxy::start("haproxy", |folder, port| {
            let path = folder.join("haproxy.cfg");
            fs::write(&path, config(folder, port, &gateways))?;
            let mut command = Place::Loopback.command("haproxy");
            command.arg("-db").arg("-f").arg(path);
            Ok(command)
        })?;
        Ok(Self { proxy, gateways })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The same for a Playwright client.
    pub fn endpoint(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// The gateways that are given new connections.
    ///
    /// # Panics
    /// When HAProxy does not tell.
    pub fn ready(&self) -> BTreeSet<String> {
        let states = self.states().expect("HAProxy tells its state");
        let up = states.lines().filter_map(|line| line.strip_suffix(",UP")?.strip_prefix("b,g"));
        up.filter_map(|number| self.gateways.get(number.parse::<usize>().ok()?).cloned()).collect()
    }

    /// Waits until just these gateways are given new connections.
    ///
    /// # Panics
    /// When they are not within `ceiling`.
    pub fn wait_ready<'a>(&self, gateways: impl IntoIterator<Item = &'a str>, ceiling: Duration) {
        let wanted = gateways.into_iter().map(str::to_owned).collect();
        wait_equal("the gateways that the balancer uses", ceiling, &wanted, || self.ready());
    }

    /// Lines such as `b,g0,UP`.
    fn states(&self) -> std::io::Result<String> {
        let mut socket = UnixStream::connect(stats_socket(self.proxy.folder()))?;
        // -1 4 -1: of every proxy, the servers, all of them.
        socket.write_all(b"show stat -1 4 -1\n")?;
        let mut table = String::new();
        socket.read_to_string(&mut table)?;
        let rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let rows = rows.filter(|row| row.len() > STATUS);
        Ok(rows.map(|row| format!("{},{},{}\n", row[0], row[1], row[STATUS])).collect())
    }
}

/// The column of a server's state in HAProxy's table.
const STATUS: usize = 17;

fn stats_socket(folder: &Path) -> String {
    folder.join("stats").display().to_string()
}

fn config(folder: &Path, port: u16, gateways: &[String]) -> String {
    let servers: String = gateways
        .iter()
        .enumerate()
        .map(|(number, gateway)| format!("  server g{number} {gateway} check\n"))
        .collect();
    format!(
        "global\n  stats socket {}\n\
         defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\n  \
         timeout check 1s\n  retries 3\n  option redispatch 1\n\
         frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\n\
         backend b\n  balance roundrobin\n  option httpchk GET /readyz\n  \
         default-server inter 100ms fall 1 rise 1\n{servers}",
        stats_socket(folder)
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, Ordering};

    use super::*;
    use crate::http;

    const SOON: Duration = Duration::from_secs(20);

    /// Answers `/readyz` with a status that can be changed, and everything else with its name.
    struct Gateway {
        address: String,
        readiness: Arc<AtomicU16>,
    }

    impl Gateway {
        fn new() -> Self {
            Self::at("127.0.0.1:0")
        }

        fn at(address: &str) -> Self {
            let listener = TcpListener::bind(address).unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let readiness = Arc::new(AtomicU16::new(200));
            let (name, status) = (address.clone(), Arc::clone(&readiness));
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (name, status) = (name.clone(), Arc::clone(&status));
                    std::thread::spawn(move || answer(stream, &name, &status));
                }
            });
            Self { address, readiness }
        }
    }

    fn answer(mut stream: TcpStream, name: &str, readiness: &AtomicU16) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let request = lines.next().and_then(Result::ok).unwrap_or_default();
        let _ = lines.find(|line| !matches!(line, Ok(line) if !line.is_empty()));
        let probe = request.starts_with("GET /readyz");
        let status = if probe { readiness.load(Ordering::Relaxed) } else { 200 };
        let _ = write!(stream, "HTTP/1.1 {status} Said\r\nConnection: close\r\n\r\n{name}");
    }

    fn who_answers(balancer: &Balancer) -> BTreeSet<String> {
        let address = balancer.address().to_string();
        (0..6).map(|_| http::get(&address, "/", &[]).unwrap().body).collect()
    }

    #[test]
    fn new_connections_go_to_the_gateways_that_are_ready() {
        let (one, other) = (Gateway::new(), Gateway::new());
        let (first, second) = (one.address.as_str(), other.address.as_str());
        let balancer = Balancer::over([first, second]).unwrap();
        balancer.wait_ready([first, second], SOON);
        assert_eq!(who_answers(&balancer).len(), 2);
        one.readiness.store(503, Ordering::Relaxed);
        balancer.wait_ready([second], SOON);
        assert_eq!(who_answers(&balancer), BTreeSet::from([other.address.clone()]));
        one.readiness.store(200, Ordering::Relaxed);
        balancer.wait_ready([first, second], SOON);
    }

    #[test]
    fn a_gateway_that_is_not_there_yet_is_used_when_it_comes() {
        let one = Gateway::new();
        let port = crate::ports::Port::new();
        let later = format!("127.0.0.1:{}", port.number());
        let balancer = Balancer::over([one.address.as_str(), &later]).unwrap();
        balancer.wait_ready([one.address.as_str()], SOON);
        assert_eq!(who_answers(&balancer), BTreeSet::from([one.address.clone()]));
        let other = Gateway::at(&later);
        balancer.wait_ready([one.address.as_str(), &other.address], SOON);
        assert_eq!(who_answers(&balancer).len(), 2);
    }
}

//! A web server on the client's own machine: pages to open, and a big file to download.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::procs;

/// The server. Runs until the process ends; it holds a port and no more.
#[derive(Debug)]
pub struct Pages {
    port: u16,
    visitors: Arc<Mutex<Vec<u32>>>,
}

impl Pages {
    /// Starts one on a port of its own, on IPv4's loopback.
    ///
    /// # Panics
    /// When there is no port.
    #[expect(clippy::new_without_default, reason = "starting a server has an effect")]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let visitors = Arc::default();
        let seen = Arc::clone(&visitors);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(&stream, &seen));
            }
        });
        Self { port, visitors }
    }

    /// The address of a page: `/` says hello, `/bytes/N` is a download of N bytes.
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// The processes that have really connected, in order.
    ///
    /// # Panics
    /// Never: nothing panics with the lock held.
    pub fn visitors(&self) -> Vec<u32> {
        self.visitors.lock().expect("no thread panics with it").clone()
    }
}

/// The byte at a place of every download.
pub fn byte_at(place: u64) -> u8 {
    (place % 251) as u8
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<u32>>) {
    // Looked up before the answer, while the peer's socket is certainly there.
    if let Some(pid) = stream.peer_addr().ok().and_then(|peer| procs::owner_of_port(peer.port())) {
        seen.lock().expect("no thread panics with it").push(pid);
    }
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if !matches!(reader.read_line(&mut request), Ok(1..)) {
            return;
        }
        let mut line = String::new();
        while matches!(reader.read_line(&mut line), Ok(3..)) {
            line.clear();
        }
        let path = request.split(' ').nth(1).unwrap_or("/");
        if answer(stream, path).is_err() {
            return;
        }
    }
}

fn answer(mut stream: &TcpStream, path: &str) -> std::io::Result<()> {
    if let Some(length) = path.strip_prefix("/bytes/").and_then(|n| n.parse::<u64>().ok()) {
        return send_bytes(stream, length);
    }
    let body = "<!doctype html><title>served by the client</title><h1>hello</h1>";
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn send_bytes(mut stream: &TcpStream, length: u64) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
         Content-Disposition: attachment; filename=big.bin\r\nContent-Length: {length}\r\n\r\n"
    )?;
    // A whole number of periods, so that one buffer serves for every place.
    let period: Vec<u8> = (0..251 * 256).map(byte_at).collect();
    let mut left = length;
    while left > 0 {
        let n = left.min(period.len() as u64);
        stream.write_all(&period[..n as usize])?;
        left -= n;
    }
    Ok(())
}

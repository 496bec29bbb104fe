//! What clients do to each party, and what it costs.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flotilla_testkit::meter;
use flotilla_testkit::wait::wait_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::parties::Party;

/// Round trips of small messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trips {
    /// Microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of the proxy's processor time for each message; a round trip is two.
    pub(crate) cpu: f64,
}

/// Memory of silent sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) sessions: usize,
    /// Bytes for each.
    pub(crate) bytes: f64,
}

const SMALL: usize = 1024;
const LARGE: usize = 1 << 20;
const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nUser-Agent: Playwright/1.65.1 (x64; debian 12) node/20.20\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client's frame, masked with zeros.
fn frame(len: usize) -> Vec<u8> {
    let mut frame = vec![0x82];
    match len {
        0..=125 => frame.push(0x80 | len as u8),
        126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.resize(frame.len() + 4 + len, 0);
    frame
}

/// One connection, one small message at a time.
pub(crate) fn round_trips(party: &Party, period: Duration) -> Result<Trips> {
    let mut stream = std::net::TcpStream::connect(party.address)?;
    stream.set_nodelay(true)?;
    stream.write_all(HANDSHAKE)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    let question = frame(SMALL);
    let mut answer = vec![0; question.len() - 4];
    let mut trips = Vec::new();
    let mut trip = || -> Result<f64> {
        let start = Instant::now();
        stream.write_all(&question)?;
        stream.read_exact(&mut answer)?;
        Ok(start.elapsed().as_secs_f64() * 1e6)
    };
    for _ in 0..200 {
        trip()?;
    }
    let cpu = meter::cpu(party.pid);
    let start = Instant::now();
    while start.elapsed() < period {
        trips.push(trip()?);
    }
    Ok(summary(trips, meter::cpu(party.pid) - cpu))
}

fn summary(mut trips: Vec<f64>, cpu: Duration) -> Trips {
    trips.sort_by(f64::total_cmp);
    let at = |part: f64| trips[((trips.len() - 1) as f64 * part) as usize];
    Trips { p50: at(0.5), p99: at(0.99), cpu: cpu.as_secs_f64() * 1e6 / (2 * trips.len()) as f64 }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(HANDSHAKE).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0, "closed in the handshake");
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

async fn trip(stream: &mut TcpStream, question: &[u8], answer: &mut [u8]) -> Result<()> {
    stream.write_all(question).await?;
    stream.read_exact(answer).await?;
    Ok(())
}

/// Runs `tasks` clients at once for a while and gathers what they found.
fn at_once<T, F>(tasks: usize, client: impl Fn() -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(client())).collect();
        let mut found = Vec::new();
        for task in tasks {
            found.push(task.await??);
        }
        Ok(found)
    })
}

/// The kernel's percentage of the processor time for many small messages.
pub(crate) fn kernel_share(
    party: &Party,
    load: impl FnOnce() -> Result<Trips>,
) -> Result<(Trips, f64)> {
    let (user, kernel) = meter::user_and_kernel(party.pid);
    let trips = load()?;
    let (user_after, kernel_after) = meter::user_and_kernel(party.pid);
    let (user, kernel) = (user_after - user, kernel_after - kernel);
    Ok((trips, 100.0 * kernel / (user + kernel).max(1.0)))
}

/// Many connections, each with one small message at a time.
pub(crate) fn many(party: &Party, connections: usize, period: Duration) -> Result<Trips> {
    let address = party.address;
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(connections));
    let cpu = std::sync::Arc::new(std::sync::OnceLock::new());
    let pid = party.pid;
    let found = at_once(connections, || {
        let (barrier, cpu) = (std::sync::Arc::clone(&barrier), std::sync::Arc::clone(&cpu));
        async move {
            let question = frame(SMALL);
            let mut answer = vec![0; question.len() - 4];
            let mut stream = connect(address).await?;
            trip(&mut stream, &question, &mut answer).await?;
            if barrier.wait().await.is_leader() {
                let _ = cpu.set(meter::cpu(pid));
            }
            let mut trips = Vec::new();
            let begin = Instant::now();
            while begin.elapsed() < period {
                let start = Instant::now();
                trip(&mut stream, &question, &mut answer).await?;
                trips.push(start.elapsed().as_secs_f64() * 1e6);
            }
            Ok(trips)
        }
    })?;
    let before = cpu.get().copied().unwrap_or_default();
    Ok(summary(found.concat(), meter::cpu(party.pid) - before))
}

/// A few connections that send large frames as fast as they are echoed. Megabytes, both ways, for each second of the
/// proxy's processor time.
pub(crate) fn large(party: &Party, connections: usize, period: Duration) -> Result<f64> {
    let address = party.address;
    let cpu = meter::cpu(party.pid);
    let found = at_once(connections, || async move {
        let (mut read, mut write) = connect(address).await?.into_split();
        let begin = Instant::now();
        let writing = tokio::spawn(async move {
            let message = frame(LARGE);
            let mut sent = 0_u64;
            while begin.elapsed() < period {
                write.write_all(&message).await?;
                sent += 1;
            }
            Ok::<_, std::io::Error>((sent, write))
        });
        // The answers to all of them have to come, in a buffer that stays in the cache.
        let mut buffer = vec![0; 256 * 1024];
        let mut got = 0_u64;
        let answer = (LARGE + 10) as u64;
        let mut writing = Some(writing);
        let mut expected = None;
        loop {
            if let Some(done) = writing.take_if(|task| task.is_finished()) {
                let (sent, write) = done.await??;
                expected = Some((sent * answer, write));
            }
            if expected.as_ref().is_some_and(|(all, _)| got >= *all) {
                return Ok(got);
            }
            got += read.read(&mut buffer).await? as u64;
        }
    })?;
    let bytes = 2.0 * found.iter().sum::<u64>() as f64;
    Ok(bytes / 1e6 / (meter::cpu(party.pid) - cpu).as_secs_f64())
}

/// Sessions that start, say one word and end, for each second.
pub(crate) fn connections(party: &Party, clients: usize, period: Duration) -> Result<f64> {
    let address = party.address;
    let begin = Instant::now();
    let found = at_once(clients, || async move {
        let question = frame(8);
        let mut answer = vec![0; question.len() - 4];
        let mut sessions = 0_u64;
        while begin.elapsed() < period {
            let mut stream = connect(address).await?;
            trip(&mut stream, &question, &mut answer).await?;
            // Else the ports that wait for stray packets run out.
            stream.set_zero_linger()?;
            sessions += 1;
        }
        Ok(sessions)
    })?;
    Ok(found.iter().sum::<u64>() as f64 / begin.elapsed().as_secs_f64())
}

/// Many sessions that each said one word and are silent then.
pub(crate) fn idle(party: &Party, wanted: usize) -> Result<Idle> {
    let sessions = meter::sessions_that_fit(wanted);
    let before = meter::memory(party.pid)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let streams = runtime.block_on(async {
        let question = frame(SMALL);
        let mut answer = vec![0; question.len() - 4];
        let mut streams = Vec::new();
        for _ in 0..sessions {
            let mut stream = connect(party.address).await?;
            trip(&mut stream, &question, &mut answer).await?;
            streams.push(stream);
        }
        Ok::<_, anyhow::Error>(streams)
    })?;
    let after = meter::memory(party.pid)?;
    drop(streams);
    let files = format!("/proc/{}/fd", party.pid);
    let open = || std::fs::read_dir(&files).map_or(0, Iterator::count);
    wait_until("the sessions to end", Duration::from_secs(30), || open() < 200);
    Ok(Idle { sessions, bytes: after.saturating_sub(before) as f64 / sessions as f64 })
}

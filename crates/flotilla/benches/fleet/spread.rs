//! What it costs Redis to pass one advert on, against the number of gateways that hear it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use flotilla_testkit::meter;
use flotilla_testkit::redis::Redis;
use serde::{Deserialize, Serialize};

use crate::stage::wait;

/// How many listen.
pub(crate) const GATEWAYS: [usize; 4] = [1, 10, 30, 100];
/// As long as a real one on its channel.
const ADVERT: usize = 480;
const ADVERTS: usize = 10_000;
const AT_ONCE: usize = 100;

/// Microseconds of Redis' processor time for each advert.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) gateways: f64,
    pub(crate) micros: f64,
}

/// As gateways hear it: connections that subscribe and read.
pub(crate) fn run(gateways: usize) -> anyhow::Result<Spread> {
    let redis = Redis::start();
    let heard = Arc::new(AtomicUsize::new(0));
    for _ in 0..gateways {
        let mut stream = TcpStream::connect(redis.address())?;
        stream.write_all(b"SUBSCRIBE flotilla:fleet\r\n")?;
        let heard = heard.clone();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut bytes) {
                heard.fetch_add(n, Ordering::Relaxed);
            }
        });
    }
    let subscribed = || redis.cli(&["PUBSUB", "NUMSUB", "flotilla:fleet"]);
    wait("everybody to listen", || subscribed().lines().nth(1) == Some(&gateways.to_string()))?;
    let before = (meter::cpu(redis.pid()), heard.load(Ordering::Relaxed));
    publish(&redis)?;
    let expected = gateways * ADVERTS * ADVERT;
    let all_heard = || heard.load(Ordering::Relaxed) - before.1 >= expected;
    wait("all adverts to be heard", all_heard)?;
    let cpu: Duration = meter::cpu(redis.pid()) - before.0;
    Ok(Spread { gateways: gateways as f64, micros: cpu.as_secs_f64() * 1e6 / ADVERTS as f64 })
}

/// Tells adverts, each in a write of its own as workers do, some on their way at one time.
fn publish(redis: &Redis) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(redis.address())?;
    stream.set_nodelay(true)?;
    let text = "x".repeat(ADVERT);
    let message = format!(
        "*3\r\n$7\r\nPUBLISH\r\n$14\r\nflotilla:fleet\r\n${ADVERT}\r\n{text}\r\n"
    );
    let mut answers = stream.try_clone()?;
    let mut bytes = vec![0; 64 * 1024];
    for _ in 0..ADVERTS / AT_ONCE {
        for _ in 0..AT_ONCE {
            stream.write_all(message.as_bytes())?;
        }
        let mut answered = 0;
        while answered < AT_ONCE {
            let n = answers.read(&mut bytes).context("Redis answers")?;
            ensure!(n > 0, "Redis has closed the connection");
            answered += bytes[..n].iter().filter(|byte| **byte == b':').count();
        }
    }
    Ok(())
}

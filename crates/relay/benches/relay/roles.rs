//! The processes that this binary starts of itself.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use flotilla_relay::{
    CloseReason, Counters, RelayOptions, Socket, read_request_head, read_response_head, relay,
};
use flotilla_testkit::proxies::Upstream;
use flotilla_testkit::{echo, meter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::load;
use crate::parties::Party;

/// Plays the role that the arguments name until standard input ends.
pub(crate) fn play(args: &[String]) -> Result<()> {
    meter::allow_many_files()?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["echo", path] => run(Builder::new_current_thread(), echo_server(path.to_owned())),
        ["relay", upstream] => run(two_workers(), relays(parse(upstream)?, true)),
        ["relay-copying", upstream] => run(two_workers(), relays(parse(upstream)?, false)),
        ["relay-alone", upstream] => {
            run(Builder::new_current_thread(), relays(parse(upstream)?, true))
        }
        ["load", address, pid, kind] => put_load(address.parse()?, pid.parse()?, kind),
        _ => bail!("no such role: {args:?}"),
    }
}

/// Loads one party from outside, for a profiler.
fn put_load(address: SocketAddr, pid: u32, kind: &str) -> Result<()> {
    let party = Party { name: "profiled", address, pid };
    let period = Duration::from_secs(3);
    match kind {
        "one" => println!("{:?}", load::round_trips(&party, period)?),
        "many" => println!("{:?}", load::many(&party, 64, period)?),
        _ => println!("{:.0} MB for a CPU second", load::large(&party, 4, period)?),
    }
    Ok(())
}

/// As the product runs.
fn two_workers() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2);
    builder
}

/// How [`play`] is told where to dial.
pub(crate) fn format(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Tcp(address) => address.to_string(),
        Upstream::Unix(path) => path.clone(),
    }
}

fn parse(text: &str) -> Result<Upstream> {
    Ok(match text.starts_with('/') {
        true => Upstream::Unix(text.to_owned()),
        false => Upstream::Tcp(text.parse()?),
    })
}

fn run(
    mut builder: Builder,
    role: impl Future<Output = Result<()>> + Send + 'static,
) -> Result<()> {
    let runtime: Runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        let role = tokio::spawn(role);
        tokio::select! {
            ended = role => ended?,
            // The parent is gone, or done with us.
            _ = read_to_end() => Ok(()),
        }
    })?;
    runtime.shutdown_background();
    Ok(())
}

async fn read_to_end() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = receiver.await;
}

fn tell(address: SocketAddr) -> Result<()> {
    println!("{address}");
    Ok(std::io::stdout().flush()?)
}

async fn echo_server(path: String) -> Result<()> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let unix = UnixListener::bind(path)?;
    tell(tcp.local_addr()?)?;
    Ok(echo::serve(tcp, unix).await?)
}

async fn relays(upstream: Upstream, splice: bool) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    tell(listener.local_addr()?)?;
    let upstream: &'static Upstream = Box::leak(Box::new(upstream));
    let options: &'static RelayOptions =
        Box::leak(Box::new(RelayOptions { splice, ..RelayOptions::default() }));
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(session(client, upstream, options));
    }
}

/// What a gateway does, without its decisions.
async fn session(client: TcpStream, upstream: &Upstream, options: &RelayOptions) -> Result<()> {
    let (client, upstream) = Box::pin(handshake(client, upstream)).await?;
    let counters = Counters::default();
    let never = std::future::pending();
    let lost =
        || async { CloseReason::new(CloseReason::INTERNAL_ERROR, "the echo server is gone") };
    relay(client, upstream, options, &counters, never, lost).await;
    Ok(())
}

async fn handshake(mut client: TcpStream, upstream: &Upstream) -> Result<(Socket, Socket)> {
    let deadline = Instant::now() + Duration::from_secs(5);
    let (request, early_up) = read_request_head(&mut client, 32 * 1024, deadline).await?;
    request.check_websocket_upgrade().context("not a handshake")?;
    let mut upstream: Socket = match upstream {
        Upstream::Tcp(address) => TcpStream::connect(address).await?.into(),
        Upstream::Unix(path) => UnixStream::connect(path).await?.into(),
    };
    upstream.write_all(&request.to_bytes()).await?;
    let (answer, early_down) = read_response_head(&mut upstream, 32 * 1024, deadline).await?;
    client.write_all(&answer.to_bytes()).await?;
    if !answer.is_switching() {
        tokio::io::copy(&mut upstream.take(64 * 1024), &mut client).await?;
        bail!("refused with {}", answer.status);
    }
    Ok((Socket::from(client).with_leftover(early_up), upstream.with_leftover(early_down)))
}

//! What a fake worker answers: the worker's side of `flotilla_core::wire`.

use std::io;
use std::sync::Arc;

use flotilla_core::wire;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::frames::{CLOSE, Frame, Frames, PING, PONG, read_head};
use super::worker::{FakeWorker, NotTaken};
use crate::echo::SWITCHING;

/// Serves one connection. `None` is no worker's address: a plain WebSocket server answers there.
pub(super) async fn connection(mut stream: TcpStream, worker: Option<Arc<FakeWorker>>) {
    // However it ends, the peer has gone or will see it.
    let _ = serve(&mut stream, worker).await;
}

async fn serve(stream: &mut TcpStream, worker: Option<Arc<FakeWorker>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (head, rest) = read_head(stream).await?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let Some(worker) = worker else {
        stream.write_all(SWITCHING).await?;
        return echo(stream, rest).await;
    };
    if let Some(nonce) = path.strip_prefix(wire::HELLO_PATH) {
        return answer(stream, "200 OK", "", &worker.hello(nonce)).await;
    }
    let Some(ticket) = path.strip_prefix(wire::SESSION_PATH) else {
        return answer(stream, "404 Not Found", "", "this is a fake worker\n").await;
    };
    match worker.take(ticket) {
        Ok(slot) => {
            let advert = slot.advert();
            let header = wire::ADVERT_HEADER;
            let processing = format!("HTTP/1.1 102 Processing\r\n{header}: {advert}\r\n\r\n");
            stream.write_all(processing.as_bytes()).await?;
            stream.write_all(SWITCHING).await?;
            let echoed = echo(stream, rest).await;
            drop(slot);
            echoed
        }
        Err(why) => refuse(stream, &worker, &why).await,
    }
}

async fn refuse(stream: &mut TcpStream, worker: &FakeWorker, why: &NotTaken) -> io::Result<()> {
    let (status, code) = match why {
        NotTaken::Ticket(error) => ("403 Forbidden", error.as_str()),
        NotTaken::Busy => ("503 Service Unavailable", "busy"),
        NotTaken::Draining => ("503 Service Unavailable", "draining"),
    };
    let refusal = wire::REFUSAL_HEADER;
    let headers = match why {
        NotTaken::Ticket(_) => format!("{refusal}: {code}\r\n"),
        _ => format!("{refusal}: {code}\r\n{}: {}\r\n", wire::ADVERT_HEADER, worker.advert()),
    };
    answer(stream, status, &headers, &format!("{code}\n")).await
}

async fn answer(stream: &mut TcpStream, status: &str, more: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await?;
    stream.shutdown().await
}

/// Sends back what comes, until it is closed.
async fn echo(stream: &mut TcpStream, rest: Vec<u8>) -> io::Result<()> {
    let mut frames = Frames::with(rest);
    while let Some(frame) = frames.next(stream).await? {
        let back = match frame.opcode() {
            PING => Frame { first: 0x80 | PONG, ..frame },
            PONG => continue,
            _ => frame,
        };
        stream.write_all(&back.to_bytes(false)).await?;
        if back.opcode() == CLOSE {
            return stream.shutdown().await;
        }
    }
    Ok(())
}

//! The server behind both: it switches protocols, and closes when the client does.

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::roles::{tell, until_unneeded};

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const CLOSED: [u8; 2] = [0x88, 0x00];

pub(super) async fn serve(socket: &Path) -> anyhow::Result<()> {
    let listener = UnixListener::bind(socket)?;
    tell("ready")?;
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(session(stream));
        }
    };
    tokio::select! {
        broken = accepting => broken,
        () = until_unneeded() => Ok(()),
    }
}

async fn session(mut stream: UnixStream) -> io::Result<()> {
    let mut head = Vec::with_capacity(2048);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(SWITCHING.as_bytes()).await?;
    // The client's close frame: its first byte is enough.
    if stream.read(&mut [0; 64]).await? > 0 {
        stream.write_all(&CLOSED).await?;
    }
    Ok(())
}

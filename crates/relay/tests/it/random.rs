//! Random traffic: what arrives is what was sent, plus pings between frames.

use std::time::Duration;

use flotilla_relay::RelayOptions;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::rig::{tcp_rig_with, unix_rig_with};
use crate::wire::frame;

/// The payload of the relay's pings. The peers of this test send none of that length.
const PING: usize = 8;

/// One direction: its frames, and in which pieces they are written and read.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    frames: Vec<(u8, usize)>,
    writes: Vec<usize>,
    reads: Vec<usize>,
}

pub(crate) fn traffic() -> impl Strategy<Value = Traffic> {
    let data = (
        prop::sample::select(vec![0x82u8, 0xC1]),
        prop_oneof![
            8 => 0..300usize,
            2 => 60_000..200_000usize,
        ],
    );
    let control = (prop::sample::select(vec![0x89u8, 0x8A]), 9..125usize);
    let frames = prop::collection::vec(prop_oneof![4 => data, 1 => control], 0..30);
    let sizes =
        || prop::collection::vec(prop_oneof![3 => 1..40usize, 2 => 1000..90_000usize], 1..8);
    (frames, sizes(), sizes()).prop_map(|(frames, writes, reads)| Traffic { frames, writes, reads })
}

fn bytes(traffic: &Traffic, masked: bool) -> Vec<u8> {
    let frames = traffic.frames.iter().enumerate();
    frames.flat_map(|(i, &(first, len))| frame(first, &vec![i as u8; len], masked)).collect()
}

/// Writes in the given pieces, over and over; small pieces stay rare in large streams.
async fn write_in_pieces(sink: &mut (impl AsyncWrite + Unpin), bytes: &[u8], sizes: &[usize]) {
    let mut at = 0;
    let mut sizes = sizes.iter().cycle();
    while at < bytes.len() {
        let size = if at > 50_000 { 30_000 } else { *sizes.next().expect("endless") };
        let end = bytes.len().min(at + size);
        sink.write_all(&bytes[at..end]).await.expect("written");
        tokio::task::yield_now().await;
        at = end;
    }
}

async fn read_in_pieces(mut source: impl AsyncRead + Unpin, sizes: &[usize]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut sizes = sizes.iter().cycle();
    loop {
        let size = if all.len() > 50_000 { 30_000 } else { *sizes.next().expect("endless") };
        let mut piece = vec![0; size];
        match source.read(&mut piece).await {
            Ok(0) | Err(_) => return all,
            Ok(len) => all.extend_from_slice(&piece[..len]),
        }
        tokio::task::yield_now().await;
    }
}

/// Takes the relay's pings and its close out of a stream; they can only stand between frames, else the
/// frames that this finds would be garbage.
fn without_ours(stream: &[u8], masked: bool) -> Vec<u8> {
    let mut rest = stream;
    let mut out = Vec::new();
    while let [first, second, ..] = *rest {
        let (extended, len) = match second & 0x7F {
            126 => (2, usize::from(rest[2]) << 8 | usize::from(rest[3])),
            127 => (8, rest[2..10].iter().fold(0, |len, &byte| len << 8 | usize::from(byte))),
            short => (0, usize::from(short)),
        };
        assert_eq!(second >= 0x80, masked, "each side gets frames as it expects them");
        let whole = 2 + extended + if masked { 4 } else { 0 } + len;
        let ours = first == 0x89 && len == PING || first == 0x88;
        if !ours {
            out.extend_from_slice(&rest[..whole]);
        }
        rest = &rest[whole..];
    }
    assert!(rest.is_empty(), "half a header: {rest:02x?}");
    out
}

pub(crate) async fn exchange<C, U>(
    mut rig: crate::rig::Rig<C, U>,
    up: &Traffic,
    down: &Traffic,
    spare: (C, U),
) where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (sent_up, sent_down) = (bytes(up, true), bytes(down, false));
    let client = std::mem::replace(&mut rig.client, spare.0);
    let upstream = std::mem::replace(&mut rig.upstream, spare.1);
    let (client_read, mut client_write) = tokio::io::split(client);
    let (upstream_read, mut upstream_write) = tokio::io::split(upstream);
    let client = async {
        write_in_pieces(&mut client_write, &sent_up, &up.writes).await;
        client_write.shutdown().await.expect("shut down");
    };
    let upstream = async {
        let write = write_in_pieces(&mut upstream_write, &sent_down, &down.writes);
        let ((), got) = tokio::join!(write, read_in_pieces(upstream_read, &up.reads));
        // The client comes to its end first: an upstream that ends without a close has crashed.
        upstream_write.shutdown().await.expect("shut down");
        got
    };
    let ((), got_up, got_down) =
        tokio::join!(client, upstream, read_in_pieces(client_read, &down.reads));
    let same = without_ours(&got_up, true) == sent_up;
    assert!(same, "to the upstream: {} of {} bytes", got_up.len(), sent_up.len());
    let same = without_ours(&got_down, false) == sent_down;
    assert!(same, "to the client: {} of {} bytes", got_down.len(), sent_down.len());
    let outcome = rig.outcome_while_open().await;
    assert_eq!(outcome.up.frames, up.frames.len() as u64);
    assert_eq!(outcome.down.bytes, sent_down.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_traffic_arrives_as_it_was_sent(up in traffic(), down in traffic(), tcp in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ping_interval = Duration::from_millis(1);
            let options = RelayOptions { ping_interval, ..RelayOptions::default() };
            if tcp {
                let rig = tcp_rig_with(options).await;
                let spare = (crate::rig::tcp_pair().await.0, tokio::net::UnixStream::pair().unwrap().0);
                exchange(rig, &up, &down, spare).await;
            } else {
                let spare = tokio::net::UnixStream::pair().unwrap();
                exchange(unix_rig_with(options), &up, &down, spare).await;
            }
        });
    }
}

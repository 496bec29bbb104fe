//! A peer that breaks the protocol ends the session, and both are told how.

use flotilla_relay::{EndedBy, How, Violation};
use tokio::io::AsyncWriteExt;

use crate::rig::tcp_rig;
use crate::wire::{frame, next_frame, text};

#[tokio::test]
async fn a_violation_by_the_client_is_told_to_both() {
    let mut rig = tcp_rig().await;
    let good = text(b"good", true);
    let unmasked = text(b"bad", false);
    rig.client.write_all(&[&good[..], &unmasked].concat()).await.unwrap();
    assert_eq!(next_frame(&mut rig.upstream).await.unwrap().raw, good);
    let words = "WebSocket protocol error: client frame without a mask";
    assert_eq!(next_frame(&mut rig.upstream).await.unwrap().closing(), (1002, words));
    assert_eq!(next_frame(&mut rig.client).await.unwrap().closing(), (1002, words));
    let outcome = rig.outcome().await;
    assert_eq!(outcome.ended_by, EndedBy::Client);
    assert_eq!(outcome.how, How::Violation(Violation::Unmasked));
    assert_eq!(outcome.up.messages, 1);
}

#[tokio::test]
async fn a_violation_by_the_upstream_is_told_to_both() {
    let cases = [
        (frame(0x83, b"", false), Violation::ReservedOpcode),
        (frame(0xA1, b"", false), Violation::ReservedBit),
        (frame(0x89, &[0; 126], false), Violation::LongControl),
        (frame(0x08, b"", false), Violation::FragmentedControl),
        (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Violation::Length),
        (text(b"masked", true), Violation::Masked),
        (frame(0x80, b"", false), Violation::StrayContinuation),
        ([frame(0x01, b"a", false), text(b"b", false)].concat(), Violation::Interrupted),
    ];
    for (bytes, violation) in cases {
        let mut rig = tcp_rig().await;
        rig.upstream.write_all(&bytes).await.unwrap();
        let mut last = next_frame(&mut rig.client).await.unwrap();
        if violation == Violation::Interrupted {
            assert_eq!(last.payload, b"a");
            last = next_frame(&mut rig.client).await.unwrap();
        }
        let words = format!("WebSocket protocol error: {violation}");
        assert_eq!(last.closing(), (1002, words.as_str()));
        assert_eq!(next_frame(&mut rig.upstream).await.unwrap().closing().0, 1002);
        let outcome = rig.outcome().await;
        assert_eq!((outcome.ended_by, outcome.how), (EndedBy::Upstream, How::Violation(violation)));
    }
}

//! The frame tracker against the reference, over arbitrary frames and splits.

use flotilla_relay::frame::Sender;
use proptest::prelude::*;

use crate::checks;
use crate::wire::frame;

/// A frame's first byte, its payload's length, and a flaw: its mask is the other side's.
fn any_frame() -> impl Strategy<Value = (u8, usize, bool)> {
    let opcode = prop_oneof![
        8 => prop::sample::select(vec![0u8, 1, 2]),
        4 => prop::sample::select(vec![8u8, 9, 10]),
        1 => prop::sample::select(vec![3u8, 7, 11, 15]),
    ];
    let bits = prop_oneof![
        9 => prop::sample::select(vec![0x80u8, 0xC0, 0x00, 0x40]),
        1 => prop::sample::select(vec![0x90u8, 0xA0]),
    ];
    let len = prop_oneof![
        6 => 0..126usize,
        3 => 120..400usize,
        1 => 65_400..66_000usize,
    ];
    (opcode, bits, len, prop::bool::weighted(0.02))
        .prop_map(|(opcode, bits, len, flaw)| (bits | opcode, len, flaw))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_frames_in_any_slices_are_followed_like_the_reference(
        frames in prop::collection::vec(any_frame(), 0..12),
        client in any::<bool>(),
        skipping in any::<bool>(),
        seed in any::<u32>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let sender = if client { Sender::Client } else { Sender::Server };
        let mut bytes = Vec::new();
        for (first, len, flaw) in frames {
            bytes.extend(frame(first, &vec![first; len], client != flaw));
        }
        checks::compare(&bytes, sender, skipping, seed);
        checks::compare(&bytes[..cut.index(bytes.len() + 1)], sender, skipping, seed);
    }

    #[test]
    fn any_well_formed_messages_are_counted(
        messages in prop::collection::vec(prop::collection::vec(0..300usize, 1..4), 0..8),
        seed in any::<u32>(),
    ) {
        let mut bytes = Vec::new();
        for parts in &messages {
            for (i, len) in parts.iter().enumerate() {
                let opcode = if i == 0 { 1 } else { 0 };
                let fin = if i + 1 == parts.len() { 0x80 } else { 0 };
                bytes.extend(frame(fin | opcode, &vec![b'm'; *len], true));
                bytes.extend(frame(0x89, b"between", true));
            }
        }
        let found = checks::decode_at_once(&bytes, Sender::Client);
        prop_assert_eq!(found.messages, messages.len() as u64);
        prop_assert!(found.at_boundary && found.violation.is_none());
        checks::compare(&bytes, Sender::Client, false, seed);
    }

    #[test]
    fn any_bytes_are_followed_like_the_reference(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        client in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let sender = if client { Sender::Client } else { Sender::Server };
        checks::compare(&bytes, sender, false, seed);
    }
}

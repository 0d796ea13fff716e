//! A proof holds with public keys alone, and bends at nothing.
#![allow(clippy::unwrap_used, reason = "a test")]
use cairn_seal::{Block, Hash, Proof, ProofError, PublicKeys, SealKey, SealedEvent};
use proptest::prelude::*;

fn event(position: i64) -> SealedEvent {
    SealedEvent {
        position,
        recorded_at_micros: 5,
        command_id: "c".to_owned(),
        aggregate_type: "wallet".to_owned(),
        aggregate_id: format!("org_{position}"),
        sequence: 1,
        event_type: "wallet.topped_up".to_owned(),
        event_version: "1".to_owned(),
        payload: "{ \"a\":1 }".to_owned(),
        metadata: "{}".to_owned(),
    }
}

fn sealed(count: i64) -> (PublicKeys, Vec<SealedEvent>, Block) {
    let key = SealKey::from_bytes(&[3; 32]);
    let events: Vec<_> = (1..=count).map(event).collect();
    let leaves = events.iter().map(SealedEvent::leaf).collect();
    let block = Block::seal(&key, ([1; 16], None), leaves, 9);
    (key.public(), events, block)
}

#[test]
fn fields_do_not_run_into_each_other() {
    let (mut left, mut right) = (event(1), event(1));
    left.command_id = "ab".to_owned();
    left.aggregate_type = "c".to_owned();
    right.command_id = "a".to_owned();
    right.aggregate_type = "bc".to_owned();
    assert_ne!(left.leaf(), right.leaf());
}

/// The layout is a promise: what was sealed years ago is checked with it.
#[test]
fn the_bytes_and_hashes_of_a_known_event_never_change() {
    let (_, events, block) = sealed(3);
    let known = (events[0].leaf().to_string(), block.signed.header.hash().to_string());
    let expected = (
        "0022b72c700dadcec79ee2bfbd9b5cec0673312fddb226df095e51879befa4bc",
        "ee73a73f8de2b01c5ed70848a1e1c7e49322faddbb39e422125abfaa4d808a29",
    );
    assert_eq!((known.0.as_str(), known.1.as_str()), expected);
}

#[test]
fn a_proof_says_who_is_not_trusted() {
    let (_, events, block) = sealed(2);
    let proof = Proof::new(events[0].clone(), &block).unwrap();
    let stranger = SealKey::from_bytes(&[4; 32]).public();
    assert_eq!(proof.check(&stranger), Err(ProofError::UnknownKey(block.signed.header.key_id)));
    assert!(Proof::new(event(3), &block).is_none());
    assert!(matches!(Proof::from_json("{}"), Err(ProofError::Malformed(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_event_is_proven_after_a_journey_as_json(count in 1_i64..60, at in any::<prop::sample::Index>()) {
        let (keys, events, block) = sealed(count);
        let event = events[at.index(events.len())].clone();
        let position = event.position;
        let json = serde_json::to_string(&Proof::new(event, &block).unwrap()).unwrap();
        let proven = Proof::from_json(&json).unwrap().check(&keys).unwrap();
        prop_assert_eq!((proven.position, proven.block_hash), (position, block.signed.header.hash()));
    }

    #[test]
    fn a_proof_with_one_bit_changed_does_not_hold(count in 2_i64..40, at in any::<prop::sample::Index>(), what in 0_usize..9, bit in 0_usize..256) {
        let (keys, events, block) = sealed(count);
        let mut proof = Proof::new(events[at.index(events.len())].clone(), &block).unwrap();
        let flip = |hash: &mut Hash| hash.0[bit / 8] ^= 1 << (bit % 8);
        match what {
            0 => proof.event.position ^= 1 << (bit % 64),
            1 => proof.event.recorded_at_micros ^= 1 << (bit % 64),
            2 => proof.event.payload.push(' '),
            3 => flip(&mut proof.path[0]),
            4 => flip(&mut proof.block.header.root),
            5 => flip(&mut proof.block.header.previous),
            6 => proof.block.signature[bit / 4] ^= 1 << (bit % 8),
            7 => proof.block.header.first ^= 1 << (bit % 64),
            _ => proof.path.push(Hash([0; 32])),
        }
        prop_assert!(proof.check(&keys).is_err());
    }

    #[test]
    fn a_published_line_is_read_as_it_was_written_and_not_otherwise(count in 1_i64..20, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (_, _, block) = sealed(count);
        let line = block.to_line().unwrap();
        prop_assert_eq!(Block::from_line(&line).unwrap(), block.clone());
        let mut bytes = line.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let read = String::from_utf8(bytes).ok().and_then(|text| Block::from_line(&text).ok());
        prop_assert!(read.is_none_or(|read| read != block));
    }
}

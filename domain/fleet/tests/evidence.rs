//! What a node says of its boot: kept where it says something new, rejected where it cannot be true, and never twice.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::{Decider, Timestamp};
use cairn_fleet::evidence::KEEP_MILLIS;
use cairn_fleet::{Beat, Fault, Link, Node, NodeCommand, NodeEvent, NodeLifecycle};
use proptest::prelude::*;

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// Of a boot, so many seconds after it; the clock is right.
fn beat(boot: u8, sequence: u64) -> Beat {
    let clock_at = at(i64::try_from(sequence / 1_000).unwrap());
    Beat { boot_id: format!("boot-{boot}"), sequence, clock_at }
}

fn ready() -> Node {
    let node_id = Some(cairn_core::NodeId::from_bits(1));
    Node { node_id, lifecycle: NodeLifecycle::Ready, link: Link::Online, ..Node::default() }
}

/// What a beat leads to, at the time that it says itself.
fn hear(node: &mut Node, beat: Beat) -> Vec<NodeEvent> {
    let at = beat.clock_at;
    let events = node.decide(NodeCommand::ObserveBeat { beat, at }).unwrap();
    *node = events.iter().cloned().fold(node.clone(), Node::evolve);
    events
}

fn is_kept(events: &[NodeEvent]) -> bool {
    matches!(events, [NodeEvent::BeatKept { .. }])
}

fn fault(events: &[NodeEvent]) -> Option<Fault> {
    match events {
        [NodeEvent::EvidenceRejected { fault, .. }] => Some(*fault),
        _ => None,
    }
}

#[test]
fn few_beats_are_kept_and_none_twice() {
    let mut node = ready();
    assert!(is_kept(&hear(&mut node, beat(1, 1_000))), "the first of a boot");
    assert_eq!(hear(&mut node, beat(1, 1_000)), []);
    assert_eq!(hear(&mut node, beat(1, 31_000)), []);
    assert!(is_kept(&hear(&mut node, beat(1, 1_000 + KEEP_MILLIS))), "an hour is over");
    assert_eq!(hear(&mut node, beat(1, 31_000 + KEEP_MILLIS)), []);
    assert!(is_kept(&hear(&mut node, beat(2, 500))), "another boot");
    node = node.evolve(NodeEvent::LinkChanged { link: Link::Offline, at: at(2) });
    assert!(is_kept(&hear(&mut node, beat(2, 90_000))), "it was silent");
    node.lifecycle = NodeLifecycle::Quarantined;
    assert_eq!(hear(&mut node, beat(3, 1_000)), [], "nobody is asked");
}

#[test]
fn what_cannot_be_true_is_rejected_once_and_ends_with_what_can() {
    let mut node = ready();
    hear(&mut node, beat(1, 60_000));
    let other = Beat { clock_at: at(59), ..beat(1, 60_000) };
    assert_eq!(fault(&hear(&mut node, other.clone())), Some(Fault::Contradicts));
    assert_eq!(hear(&mut node, other), [], "one of a run is enough");
    assert_eq!(fault(&hear(&mut node, beat(1, 59_000))), Some(Fault::GoesBackward));
    assert_eq!(hear(&mut node, beat(1, 58_000)), []);
    assert!(is_kept(&hear(&mut node, beat(1, 61_000))));
    assert_eq!(fault(&hear(&mut node, beat(1, 60_000))), Some(Fault::GoesBackward), "a new run");

    let ahead = |micros| NodeCommand::ObserveBeat {
        beat: Beat { clock_at: Timestamp::from_micros(micros), ..beat(2, 1) },
        at: at(0),
    };
    assert!(is_kept(&node.decide(ahead(5_000_000)).unwrap()));
    assert_eq!(fault(&node.decide(ahead(5_000_001)).unwrap()), Some(Fault::InTheFuture));
}

/// One of what may reach us, in any order.
fn heard() -> impl Strategy<Value = Beat> {
    (0..3_u8, 0..40_u64, 0..3_i64).prop_map(|(boot, minutes, skew)| {
        let told = beat(boot, minutes * 600_000);
        Beat { clock_at: told.clock_at.plus_secs(skew), ..told }
    })
}

proptest! {
    /// Whatever comes twice, late or in another order: what is proven of a time is the same, and what is kept only grows within a boot.
    #[test]
    fn duplicates_and_reorder_change_no_total(
        beats in prop::collection::vec(heard(), 1..40),
        swaps in prop::collection::vec((0..40_usize, 0..40_usize), 0..40),
    ) {
        let outage = |mut node: Node| {
            for (link, secs) in [(Link::Suspect, 100), (Link::Offline, 190), (Link::Online, 400)] {
                node = node.evolve(NodeEvent::LinkChanged { link, at: at(secs) });
            }
            node
        };
        let tell = |beats: &[Beat]| {
            let mut node = ready();
            let mut kept: Option<Beat> = None;
            for beat in beats {
                for event in hear(&mut node, beat.clone()) {
                    if let NodeEvent::BeatKept { beat, .. } = event {
                        let before = kept.filter(|kept| kept.boot_id == beat.boot_id);
                        assert!(before.is_none_or(|kept| kept.sequence < beat.sequence));
                        kept = Some(beat);
                    }
                }
                assert_eq!(hear(&mut node, beat.clone()), [], "a repeat is nothing");
            }
            node
        };
        let mut shuffled = beats.clone();
        shuffled.extend_from_slice(&beats);
        let len = shuffled.len();
        swaps.iter().for_each(|(one, other)| shuffled.swap(one % len, other % len));
        let straight = outage(tell(&beats)).proven(at(0), at(1_000));
        prop_assert_eq!(straight, outage(tell(&shuffled)).proven(at(0), at(1_000)));
        prop_assert_eq!(straight.unproven_seconds, 300);
    }
}

//! What a node says of its boot: kept where it says something new, rejected where it cannot be true, and never twice.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::{Decider, Timestamp};
use cairn_fleet::evidence::KEEP_MILLIS;
use cairn_fleet::{Beat, Fault, LateUsage, Link, Node, NodeCommand, NodeEvent, NodeLifecycle};
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
    matches!(events, [NodeEvent::BeatKept { .. }, ..])
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

/// Silent from 100 s on, and heard again; what is said of the silence.
fn proven_by(node: &mut Node, heard: Beat, secs: i64) -> Option<(i64, i64, i64)> {
    let events = node.decide(NodeCommand::ObserveBeat { beat: heard, at: at(secs) }).unwrap();
    *node = events.iter().cloned().fold(node.clone(), Node::evolve);
    let proven = |event| match event {
        NodeEvent::OutageProven { since, until, paused_seconds, .. } => {
            Some((since.secs_since(at(0)), until.secs_since(at(0)), paused_seconds))
        }
        _ => None,
    };
    events.into_iter().find_map(proven)
}

fn silent(kept: Beat) -> Node {
    let mut node = ready();
    hear(&mut node, kept);
    for (link, secs) in [(Link::Suspect, 100), (Link::Offline, 190)] {
        node = node.evolve(NodeEvent::LinkChanged { link, at: at(secs) });
    }
    node
}

#[test]
fn the_boot_of_before_an_outage_proves_it_and_another_one_does_not() {
    let mut node = silent(beat(1, 10_000));
    assert_eq!(proven_by(&mut node, beat(1, 400_000), 400), Some((100, 400, 0)));
    assert_eq!(proven_by(&mut node, beat(1, 430_000), 430), None, "once");
    let mut other = silent(beat(1, 10_000));
    assert_eq!(proven_by(&mut other, beat(2, 50_000), 400), None, "it was booted meanwhile");
    assert_eq!(proven_by(&mut other, beat(2, 80_000), 430), None, "which is known from here on");
    let mut unknown = silent(beat(1, 10_000));
    (unknown.beat, unknown.beat_at) = (None, None);
    assert_eq!(proven_by(&mut unknown, beat(1, 400_000), 400), None, "nothing was kept");
}

#[test]
fn what_a_boot_did_not_count_it_stood_still() {
    for (sequence, paused) in [(395_000, 0), (394_900, 6), (350_000, 50), (11_000, 300)] {
        let mut node = silent(beat(1, 10_000));
        let told = proven_by(&mut node, Beat { clock_at: at(400), ..beat(1, sequence) }, 400);
        assert_eq!(told, Some((100, 400, paused)), "{sequence}");
    }
}

#[test]
fn a_node_that_is_doubted_proves_nothing_late() {
    // The kept beat says less than what comes between: the outage is one of answers that were rejected.
    let mut node = ready();
    hear(&mut node, beat(1, 90_000));
    assert_eq!(fault(&hear(&mut node, beat(1, 60_000))), Some(Fault::GoesBackward));
    for (link, secs) in [(Link::Suspect, 100), (Link::Offline, 190)] {
        node = node.evolve(NodeEvent::LinkChanged { link, at: at(secs) });
    }
    assert_eq!(proven_by(&mut node, beat(1, 400_000), 400), None);
    assert_eq!(proven_by(&mut node, beat(1, 430_000), 430), None, "nor by the next one");
    let mut shut_out = silent(beat(1, 10_000));
    let reason = "another host key".to_owned();
    shut_out = shut_out.evolve(NodeEvent::Quarantined { reason, at: at(200) });
    shut_out.lifecycle = NodeLifecycle::Ready;
    assert_eq!(proven_by(&mut shut_out, beat(1, 400_000), 400), None);
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
        let straight = outage(tell(&beats)).proven(at(0), at(1_000), LateUsage::Forgive);
        prop_assert_eq!(straight, outage(tell(&shuffled)).proven(at(0), at(1_000), LateUsage::Forgive));
        prop_assert_eq!(straight.unproven_seconds, 300);
    }
}

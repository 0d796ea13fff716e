//! Who rents on a node that is silent pays up to its last proof of life, and again from the next one.
use cairn_core::{Decider, Timestamp};
use cairn_fleet::{LateUsage, Link, Node, NodeEvent, Proven};
use proptest::prelude::*;

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn link(link: Link, now: i64) -> NodeEvent {
    NodeEvent::LinkChanged { link, at: at(now) }
}

fn outage(from: i64, to: i64) -> [NodeEvent; 3] {
    [link(Link::Suspect, from), link(Link::Offline, from + 90), link(Link::Online, to)]
}

fn node(events: impl IntoIterator<Item = NodeEvent>) -> Node {
    let passed = std::iter::once(NodeEvent::ProbePassed { at: at(0) });
    Node::fold(passed.chain(events).collect::<Vec<_>>())
}

fn proven(node: &Node, since: i64, until: i64) -> (i64, i64) {
    let Proven { through, unproven_seconds, .. } =
        node.proven(at(since), at(until), LateUsage::Forgive);
    (through.secs_since(at(0)), unproven_seconds)
}

#[test]
fn nothing_is_proven_after_the_last_proof_while_a_node_is_silent() {
    assert_eq!(proven(&node([]), 10, 500), (500, 0));
    let suspect = node([link(Link::Suspect, 100)]);
    assert_eq!(proven(&suspect, 10, 99), (99, 0));
    assert_eq!(proven(&suspect, 10, 150), (100, 0));
    assert_eq!(proven(&suspect, 130, 150), (130, 0), "what is metered is metered");
    let offline = node([link(Link::Suspect, 100), link(Link::Offline, 190)]);
    assert_eq!(proven(&offline, 10, 500), (100, 0));
}

#[test]
fn a_silence_is_forgiven_when_it_was_an_outage_and_charged_when_it_was_not() {
    let blip = node([link(Link::Suspect, 100), link(Link::Online, 130)]);
    assert_eq!(proven(&blip, 10, 500), (500, 0));
    let back = node(outage(100, 400));
    assert_eq!(proven(&back, 10, 500), (500, 300));
    assert_eq!(proven(&back, 10, 300), (100, 0), "not in the middle of it");
    assert_eq!(proven(&back, 200, 500), (500, 200));
    assert_eq!(proven(&back, 450, 500), (500, 0));
}

#[test]
fn a_node_that_is_not_trusted_proves_nothing_until_it_is_verified_anew() {
    let reason = "another host key".to_owned();
    let quarantined = NodeEvent::Quarantined { reason, at: at(100) };
    let shut_out = node([quarantined.clone(), link(Link::Suspect, 80)]);
    assert_eq!(proven(&shut_out, 10, 500), (80, 0));
    let verified = node([quarantined, NodeEvent::ProbePassed { at: at(600) }]);
    assert_eq!(proven(&verified, 10, 700), (700, 500));
}

#[test]
fn the_end_of_a_rental_cuts_an_outage_off_and_charges_a_short_silence() {
    let offline = node([link(Link::Suspect, 100), link(Link::Offline, 190)]);
    assert_eq!(offline.proven_by_end(at(10), at(250), LateUsage::Forgive).unproven_seconds, 150);
    assert_eq!(offline.proven_by_end(at(10), at(90), LateUsage::Forgive).unproven_seconds, 0);
    let suspect = node([link(Link::Suspect, 100)]);
    assert_eq!(suspect.proven_by_end(at(10), at(250), LateUsage::Forgive).unproven_seconds, 0);
}

const CHARGE: LateUsage = LateUsage::Charge { cutoff_seconds: 300 };

/// An outage that one boot spans, in which the machine stood still for so long.
fn proven_late(from: i64, to: i64, paused_seconds: i64) -> [NodeEvent; 4] {
    let [suspect, offline, online] = outage(from, to);
    let proven =
        NodeEvent::OutageProven { since: at(from), until: at(to), paused_seconds, at: at(to) };
    [suspect, offline, proven, online]
}

#[test]
fn an_outage_that_is_proven_late_is_charged_where_it_is_wished_but_for_its_pause() {
    let back = node(proven_late(100, 400, 40));
    let read = |since, until, usage| back.proven(at(since), at(until), usage);
    let whole = |unproven_seconds, late_seconds| Proven {
        through: at(500),
        unproven_seconds,
        late_seconds,
    };
    assert_eq!(read(10, 500, LateUsage::Forgive), whole(300, 0));
    assert_eq!(read(10, 500, CHARGE), whole(40, 260));
    assert_eq!(read(10, 500, LateUsage::Charge { cutoff_seconds: 299 }), whole(300, 0), "too late");
    assert_eq!(read(10, 300, CHARGE).through, at(100), "still not in the middle of it");
    assert_eq!(back.proven_by_end(at(10), at(250), CHARGE).unproven_seconds, 40, "wherever in it");
    assert_eq!(
        back.proven_by_end(at(10), at(120), CHARGE).unproven_seconds,
        20,
        "no more than there is"
    );
}

#[test]
fn what_follows_a_proof_until_the_link_is_there_is_not_proven_by_it() {
    let [suspect, offline, proven, online] = proven_late(100, 395, 0);
    let late = NodeEvent::LinkChanged { link: Link::Online, at: at(400) };
    let back = node([suspect, offline, proven, late]);
    assert_eq!(back.proven(at(10), at(500), CHARGE).unproven_seconds, 5);
    assert_eq!(node([online]).proven(at(10), at(500), CHARGE).unproven_seconds, 0);
}

proptest! {
    #[test]
    fn however_often_the_meter_is_read_it_comes_to_the_same(
        gaps in prop::collection::vec((1..2_000_i64, 91_000_000..4_000_000_000_i64, prop::option::of(0..500_i64)), 0..6),
        charges in any::<bool>(),
        mut reads in prop::collection::vec(0..12_000_i64, 0..12),
        end in 1..12_000_i64,
    ) {
        let mut now = Timestamp::from_secs(0);
        let usage = match charges {
            true => LateUsage::Charge { cutoff_seconds: 2_000 },
            false => LateUsage::Forgive,
        };
        let mut events = vec![];
        for (after, micros, proven_late) in gaps {
            let from = now.plus_secs(after);
            now = Timestamp::from_micros(from.as_micros() + micros);
            events.extend([
                NodeEvent::LinkChanged { link: Link::Suspect, at: from },
                NodeEvent::LinkChanged { link: Link::Offline, at: from.plus_secs(90) },
            ]);
            events.extend(proven_late.map(|paused_seconds| {
                NodeEvent::OutageProven { since: from, until: now, paused_seconds, at: now }
            }));
            events.push(NodeEvent::LinkChanged { link: Link::Online, at: now });
        }
        let node = node(events);
        let billed = |reads: &[i64]| {
            let (mut metered_at, mut unproven) = (at(0), 0);
            for read in reads.iter().filter(|read| **read <= end) {
                let Proven { through, unproven_seconds, .. } = node.proven(metered_at, at(*read), usage);
                if through > metered_at {
                    unproven += unproven_seconds;
                    metered_at = through;
                }
            }
            unproven += node.proven_by_end(metered_at, at(end), usage).unproven_seconds;
            end - unproven
        };
        reads.sort_unstable();
        prop_assert_eq!(billed(&reads), billed(&[]));
    }
}

//! Who rents on a node that is silent pays up to its last proof of life, and again from the next one.
use cairn_core::{Decider, Timestamp};
use cairn_fleet::{Link, Node, NodeEvent, Proven};
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
    let Proven { through, unproven_seconds } = node.proven(at(since), at(until));
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
    assert_eq!(offline.unproven_seconds(at(10), at(250)), 150);
    assert_eq!(offline.unproven_seconds(at(10), at(90)), 0);
    let suspect = node([link(Link::Suspect, 100)]);
    assert_eq!(suspect.unproven_seconds(at(10), at(250)), 0);
}

proptest! {
    #[test]
    fn however_often_the_meter_is_read_it_comes_to_the_same(
        gaps in prop::collection::vec((1..2_000_i64, 91_000_000..4_000_000_000_i64), 0..6),
        mut reads in prop::collection::vec(0..12_000_i64, 0..12),
        end in 1..12_000_i64,
    ) {
        let mut now = Timestamp::from_secs(0);
        let mut events = vec![];
        for (after, micros) in gaps {
            let from = now.plus_secs(after);
            now = Timestamp::from_micros(from.as_micros() + micros);
            events.extend([
                NodeEvent::LinkChanged { link: Link::Suspect, at: from },
                NodeEvent::LinkChanged { link: Link::Offline, at: from.plus_secs(90) },
                NodeEvent::LinkChanged { link: Link::Online, at: now },
            ]);
        }
        let node = node(events);
        let billed = |reads: &[i64]| {
            let (mut metered_at, mut unproven) = (at(0), 0);
            for read in reads.iter().filter(|read| **read <= end) {
                let Proven { through, unproven_seconds } = node.proven(metered_at, at(*read));
                if through > metered_at {
                    unproven += unproven_seconds;
                    metered_at = through;
                }
            }
            unproven += node.unproven_seconds(metered_at, at(end));
            end - unproven
        };
        reads.sort_unstable();
        prop_assert_eq!(billed(&reads), billed(&[]));
    }
}

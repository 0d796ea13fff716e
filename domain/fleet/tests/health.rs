//! The rules of a node's health.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{AllocationId, Decider, NodeId, Resources, Timestamp};
use cairn_fleet::{Health, Link, Node, NodeCommand, NodeEvent, NodeFacts, Usage};

const AT: Timestamp = Timestamp::from_secs(1_000);
const ALL: Resources = Resources { cpu_millis: 10, memory_bytes: 10, disk_bytes: 10, pids_max: 10 };

const fn memory(memory_permille: u16, secs: i64) -> NodeCommand {
    let usage = Usage { cpu_permille: 10, memory_permille, disk_permille: 20 };
    NodeCommand::ObserveUsage { usage, at: AT.plus_secs(secs) }
}

fn ready() -> Vec<NodeCommand> {
    let token_sha256 = "aa".to_owned();
    vec![
        NodeCommand::Invite {
            node_id: NodeId::from_bits(1),
            name: "n1".to_owned(),
            token_sha256: token_sha256.clone(),
            expires_at: AT.plus_secs(1),
            at: AT,
        },
        NodeCommand::Enrol {
            token_sha256,
            address: "10.0.0.2".to_owned(),
            port: 22,
            host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
            facts: NodeFacts {
                hostname: "n1".to_owned(),
                os: "Debian".to_owned(),
                helper_version: "0.1.0".to_owned(),
                cgroup: "v2".to_owned(),
                total: ALL,
                last_uid: 0,
            },
            reserve: Resources::default(),
            host_certificate_serial: 1,
            at: AT,
        },
        NodeCommand::RecordProbe { failure: None, at: AT },
    ]
}

fn fold(commands: &[NodeCommand]) -> Node {
    [&ready(), commands].concat().into_iter().fold(Node::default(), |node, command| {
        let events = node.decide(command).unwrap();
        events.into_iter().fold(node, Node::evolve)
    })
}

fn check(history: &[NodeCommand], command: NodeCommand) -> When<Node> {
    decide_both_ways(fold(history), command)
}

fn changed(health: Health, permille: u16, secs: i64) -> NodeEvent {
    let reason = format!("in use: cpu 10 ‰, memory {permille} ‰, disk 20 ‰");
    NodeEvent::HealthChanged { health, reason, at: AT.plus_secs(secs) }
}

fn doubted(doubted: bool, permille: u16, secs: i64) -> NodeEvent {
    let reason = format!("in use: cpu 10 ‰, memory {permille} ‰, disk 20 ‰");
    NodeEvent::HealthDoubted { doubted, reason, at: AT.plus_secs(secs) }
}

const DEGRADED: [NodeCommand; 2] = [memory(900, 30), memory(950, 60)];

#[test]
fn two_high_observations_in_a_row_degrade_a_node_and_one_does_not() {
    check(&[], memory(899, 30)).then([]);
    check(&[], memory(900, 30)).then([doubted(true, 900, 30)]);
    check(&DEGRADED[..1], memory(950, 60)).then([changed(Health::Degraded, 950, 60)]);
    check(&DEGRADED[..1], memory(899, 60)).then([doubted(false, 899, 60)]);
    check(&[memory(900, 30), memory(10, 60)], memory(900, 90)).then([doubted(true, 900, 90)]);
}

#[test]
fn each_of_cpu_memory_and_disk_can_degrade_a_node() {
    for (cpu_permille, memory_permille, disk_permille) in
        [(4_000, 0, 0), (0, 900, 0), (0, 0, 1_000)]
    {
        let usage = Usage { cpu_permille, memory_permille, disk_permille };
        let observe = NodeCommand::ObserveUsage { usage, at: AT };
        assert_eq!(fold(&[observe.clone(), observe]).health, Health::Degraded, "{usage:?}");
    }
}

#[test]
fn a_degraded_node_takes_nothing_new_and_keeps_what_it_has() {
    let reserve = |n| NodeCommand::Reserve {
        allocation_id: AllocationId::from_bits(n),
        resources: Resources { cpu_millis: 1, ..Resources::default() },
        at: AT,
    };
    let busy = [vec![reserve(1)], DEGRADED.to_vec()].concat();
    assert!(!fold(&busy).is_schedulable());
    assert_eq!(fold(&busy).reservations.len(), 1);
    check(&busy, reserve(2)).then_refused("node_not_schedulable");
}

#[test]
fn a_degraded_node_is_healthy_again_after_five_low_minutes_and_not_before() {
    let low = |more: &[NodeCommand]| [&DEGRADED, more].concat();
    check(&low(&[]), memory(851, 90)).then([]);
    check(&low(&[]), memory(850, 90)).then([doubted(true, 850, 90)]);
    check(&low(&[memory(850, 90)]), memory(10, 389)).then([]);
    check(&low(&[memory(850, 90)]), memory(10, 390)).then([changed(Health::Ok, 10, 390)]);
    let again = low(&[memory(850, 90), memory(860, 120), memory(10, 150)]);
    check(&again, memory(10, 449)).then([]);
    check(&again, memory(10, 450)).then([changed(Health::Ok, 10, 450)]);
    assert!(fold(&low(&[memory(850, 90), memory(10, 390)])).is_schedulable());
}

#[test]
fn silence_proves_nothing() {
    let link = |link| NodeCommand::ObserveLink { link, at: AT };
    let silent = [link(Link::Suspect), link(Link::Online)];
    let high = [&DEGRADED[..1], &silent].concat();
    check(&high, memory(950, 90)).then([doubted(true, 950, 90)]);
    let low = [&DEGRADED[..], &[memory(10, 90)], &silent].concat();
    check(&low, memory(10, 900)).then([doubted(true, 10, 900)]);
    check(&[link(Link::Offline)], memory(950, 90)).then([]);
}

#[test]
fn only_a_node_in_use_is_judged_and_one_that_comes_back_is_judged_anew() {
    let node = ready()[..2].iter().cloned().fold(Node::default(), |node, command| {
        let events = node.decide(command).unwrap();
        events.into_iter().fold(node, Node::evolve)
    });
    decide_both_ways(node, memory(950, 30)).then([]);
    let again = fold(&DEGRADED).evolve(NodeEvent::ProbePassed { at: AT });
    assert_eq!((again.health, again.doubted_since), (Health::Ok, None));
}

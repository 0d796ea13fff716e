//! The rules of a node.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{AllocationId, Decider, NodeId, Resources, Timestamp};
use cairn_fleet::{Link, Node, NodeCommand, NodeEvent, NodeFacts, NodeLifecycle, Policy};

const AT: Timestamp = Timestamp::from_secs(1_000);
const TOKEN: &str = "aa";

const fn resources(n: u32) -> Resources {
    let bytes = (n as u64) << 24;
    Resources { cpu_millis: n, memory_bytes: bytes, disk_bytes: bytes, pids_max: n }
}

const fn allocation(n: u128) -> AllocationId {
    AllocationId::from_bits(n)
}

fn invite(name: &str, token_sha256: &str) -> NodeCommand {
    NodeCommand::Invite {
        node_id: NodeId::from_bits(1),
        name: name.to_owned(),
        token_sha256: token_sha256.to_owned(),
        expires_at: AT.plus_secs(1_800),
        at: AT,
    }
}

fn enrol_as(token: &str, host_keys: &[&str], reserve: Resources, at: Timestamp) -> NodeCommand {
    NodeCommand::Enrol {
        token_sha256: token.to_owned(),
        address: "10.0.0.2".to_owned(),
        port: 22,
        host_keys: host_keys.iter().map(|key| (*key).to_owned()).collect(),
        facts: NodeFacts {
            hostname: "n1".to_owned(),
            os: "Debian".to_owned(),
            helper_version: "0.1.0".to_owned(),
            cgroup: "v2".to_owned(),
            total: resources(11),
            last_uid: 0,
        },
        reserve,
        host_certificate_serial: 1,
        at,
    }
}

fn enrol() -> NodeCommand {
    enrol_as(TOKEN, &["ssh-ed25519 AAAA"], resources(1), AT)
}

fn probe(failure: Option<&str>) -> NodeCommand {
    NodeCommand::RecordProbe { failure: failure.map(str::to_owned), at: AT }
}

fn quarantine() -> NodeCommand {
    NodeCommand::Quarantine { reason: "host key changed".to_owned(), at: AT }
}

fn policy(policy: Policy) -> NodeCommand {
    NodeCommand::SetPolicy { policy, reason: "because".to_owned(), at: AT }
}

const fn link(link: Link) -> NodeCommand {
    NodeCommand::ObserveLink { link, at: AT }
}

const fn reserve(n: u128, much: u32) -> NodeCommand {
    NodeCommand::Reserve { allocation_id: allocation(n), resources: resources(much), at: AT }
}

const fn release(n: u128) -> NodeCommand {
    NodeCommand::Release { allocation_id: allocation(n), at: AT }
}

fn stuck(n: u128) -> NodeCommand {
    let reason = "teardown unproven".to_owned();
    NodeCommand::QuarantineCapacity { allocation_id: allocation(n), reason, at: AT }
}

fn ready() -> Vec<NodeCommand> {
    vec![invite("n1", TOKEN), enrol(), probe(None)]
}

fn ready_and(more: &[NodeCommand]) -> Vec<NodeCommand> {
    [&ready(), more].concat()
}

fn fold(commands: &[NodeCommand]) -> Node {
    commands.iter().cloned().fold(Node::default(), |node, command| {
        let events = node.decide(command).unwrap();
        events.into_iter().fold(node, Node::evolve)
    })
}

fn check(history: &[NodeCommand], command: NodeCommand) -> When<Node> {
    decide_both_ways(fold(history), command)
}

/// The state after a command that is accepted, and then repeated without effect.
fn twice(history: &[NodeCommand], command: NodeCommand) -> Node {
    assert_ne!(check(history, command.clone()).events(), [], "it must do something at first");
    let history = [history, std::slice::from_ref(&command)].concat();
    check(&history, command).then([]);
    fold(&history)
}

#[test]
fn a_node_is_invited_enrolled_and_proven() {
    assert_eq!(twice(&[], invite("n1", TOKEN)).lifecycle, NodeLifecycle::Invited);
    let enrolled = fold(&ready()[..2]);
    assert_eq!((enrolled.lifecycle, enrolled.capacity), (NodeLifecycle::Verifying, resources(10)));
    assert!(!enrolled.is_schedulable());
    assert!(twice(&ready()[..2], probe(None)).is_schedulable());
}

#[test]
fn a_token_works_once_and_only_in_its_time() {
    let invited = &ready()[..1];
    check(&ready()[..2], enrol()).then_refused("enrolment_token_refused");
    let keys = &["ssh-ed25519 AAAA"][..];
    check(invited, enrol_as("bb", keys, resources(1), AT)).then_refused("enrolment_token_refused");
    let late = AT.plus_secs(1_800);
    check(invited, enrol_as(TOKEN, keys, resources(1), late))
        .then_refused("enrolment_token_refused");
    check(invited, enrol_as(TOKEN, keys, resources(1), late.plus_secs(-1))).events();
}

#[test]
fn a_lost_answer_may_be_heard_again_by_the_same_machine_and_for_a_short_time() {
    let keys = ["ssh-ed25519 AAAA".to_owned()];
    let here = ("10.0.0.2", 22);
    let late = AT.plus_secs(1_800);
    let hears = |node: &Node, at| node.may_hear_again(here, &keys, at);
    for history in [&ready()[..2], &ready()[..]] {
        let node = fold(history);
        assert!(hears(&node, late.plus_secs(-1)));
        assert!(!hears(&node, late), "the invitation would be over");
        assert!(!node.may_hear_again(("10.0.0.3", 22), &keys, AT));
        assert!(!node.may_hear_again(("10.0.0.2", 23), &keys, AT));
        assert!(!node.may_hear_again(here, &["ssh-ed25519 BBBB".to_owned()], AT));
    }
    assert!(!hears(&fold(&ready()[..1]), AT), "it has not enrolled");
    assert!(!hears(&fold(&ready_and(&[quarantine()])), AT));
    assert!(!hears(&fold(&ready_and(&[policy(Policy::Retired)])), AT));
}

#[test]
fn only_a_node_that_enrolled_and_is_trusted_is_reached() {
    assert!(!fold(&ready()[..1]).may_be_reached());
    assert!(fold(&ready()[..2]).may_be_reached() && fold(&ready()).may_be_reached());
    assert!(!fold(&ready_and(&[quarantine()])).may_be_reached());
    let again = [quarantine(), invite("n1", "bb")];
    assert!(!fold(&ready_and(&again)).may_be_reached());
}

#[test]
fn a_machine_that_had_tenants_before_goes_on_after_their_uids() {
    let mut known = enrol();
    if let NodeCommand::Enrol { facts, .. } = &mut known {
        facts.last_uid = 20_041;
    }
    let node = fold(&[invite("n1", TOKEN), known, probe(None), reserve(1, 1)]);
    assert_eq!(node.reservations[&allocation(1).to_string()].uid, 20_042);
    // An enrolment anew never goes back.
    let anew = [quarantine(), invite("n1", TOKEN), enrol(), probe(None), reserve(2, 1)];
    let node = anew.into_iter().fold(node, |node, command| {
        let events = node.decide(command).unwrap();
        events.into_iter().fold(node, Node::evolve)
    });
    assert_eq!(node.reservations[&allocation(2).to_string()].uid, 20_043);
}

#[test]
fn a_node_without_host_keys_or_room_is_not_enrolled() {
    let invited = &ready()[..1];
    check(invited, enrol_as(TOKEN, &[], resources(1), AT)).then_refused("host_key_missing");
    check(invited, enrol_as(TOKEN, &["k"], resources(12), AT)).then_refused("no_capacity");
}

#[test]
fn a_node_name_is_a_host_name() {
    for bad in ["", "-a", "N1", "a.b", "a b", &"a".repeat(64)] {
        check(&[], invite(bad, TOKEN)).then_refused("node_name_invalid");
    }
    check(&[], invite(&"a".repeat(63), TOKEN)).events();
}

#[test]
fn an_invitation_can_be_renewed_until_the_node_enrols() {
    check(&ready()[..1], invite("n1", "bb")).events();
    check(&ready()[..2], invite("n1", "bb")).then_refused("node_in_wrong_state");
    check(&ready(), invite("n1", "bb")).then_refused("node_in_wrong_state");
    check(&ready_and(&[quarantine()]), invite("n1", "bb")).events();
}

#[test]
fn nothing_happens_to_a_node_that_nobody_invited() {
    for command in [
        enrol(),
        probe(None),
        quarantine(),
        policy(Policy::Cordoned),
        link(Link::Online),
        reserve(1, 1),
        release(1),
        stuck(1),
    ] {
        check(&[], command).then_refused("unknown_node");
    }
}

#[test]
fn the_third_failed_probe_quarantines_a_new_node() {
    let mut history = ready()[..2].to_vec();
    for _ in 0..2 {
        assert_eq!(check(&history, probe(Some("refused"))).events().len(), 1);
        history.push(probe(Some("refused")));
    }
    let events = check(&history, probe(Some("refused"))).events();
    assert!(matches!(events[..], [NodeEvent::ProbeFailed { .. }, NodeEvent::Quarantined { .. }]));
}

#[test]
fn only_a_node_under_verification_is_probed() {
    check(&ready()[..1], probe(None)).then_refused("node_in_wrong_state");
    check(&ready_and(&[quarantine()]), probe(None)).then_refused("node_in_wrong_state");
    check(&ready(), probe(Some("late"))).then([]);
}

#[test]
fn a_quarantined_node_takes_nothing_new() {
    assert_eq!(twice(&ready(), quarantine()).lifecycle, NodeLifecycle::Quarantined);
    check(&ready_and(&[quarantine()]), reserve(1, 1)).then_refused("node_not_schedulable");
}

#[test]
fn a_cordoned_draining_or_offline_node_takes_nothing_new() {
    for change in [
        policy(Policy::Cordoned),
        policy(Policy::Draining),
        link(Link::Suspect),
        link(Link::Offline),
    ] {
        twice(&ready(), change.clone());
        check(&ready_and(&[change]), reserve(1, 1)).then_refused("node_not_schedulable");
    }
    let back = [policy(Policy::Cordoned), policy(Policy::Schedulable)];
    check(&ready_and(&back), reserve(1, 1)).events();
}

#[test]
fn a_node_retires_for_good_and_only_when_empty() {
    check(&ready_and(&[reserve(1, 1)]), policy(Policy::Retired)).then_refused("node_in_use");
    assert_eq!(twice(&ready(), policy(Policy::Retired)).policy, Policy::Retired);
    let retired = ready_and(&[policy(Policy::Retired)]);
    check(&retired, policy(Policy::Schedulable)).then_refused("node_retired");
    check(&retired, invite("n1", "bb")).then_refused("node_retired");
}

#[test]
fn capacity_is_reserved_once_per_allocation_and_never_oversold() {
    let node = twice(&ready(), reserve(1, 6));
    assert_eq!(node.free(), resources(4));
    let held = ready_and(&[reserve(1, 6)]);
    check(&held, reserve(2, 5)).then_refused("no_capacity");
    check(&held, reserve(1, 5)).then_refused("id_reused");
    check(&held, reserve(2, 4)).events();
}

#[test]
fn capacity_comes_back_once() {
    let node = twice(&ready_and(&[reserve(1, 6)]), release(1));
    assert_eq!(node.free(), resources(10));
    check(&ready(), release(9)).then([]);
}

#[test]
fn a_uid_is_given_out_once() {
    let history = ready_and(&[reserve(1, 1), release(1), reserve(2, 1)]);
    assert_eq!(fold(&history).reservations[&allocation(2).to_string()].uid, 20_001);
}

#[test]
fn capacity_that_is_not_proved_free_is_not_resold() {
    let node = twice(&ready_and(&[reserve(1, 6)]), stuck(1));
    assert_eq!(node.free(), resources(4));
    check(&ready(), stuck(1)).then_refused("unknown_reservation");
    assert_eq!(fold(&ready_and(&[reserve(1, 6), stuck(1), release(1)])).free(), resources(10));
}

#[test]
fn reservations_outlive_a_quarantine_of_the_node() {
    let again = [reserve(1, 6), quarantine(), invite("n1", "bb")];
    let enrol = enrol_as("bb", &["ssh-ed25519 BBBB"], resources(1), AT);
    let node = fold(&[ready_and(&again), vec![enrol, probe(None)]].concat());
    assert_eq!(node.free(), resources(4));
    assert_eq!(node.host_keys, ["ssh-ed25519 BBBB"]);
}

#[test]
fn an_invitation_that_nobody_took_expires_and_may_be_followed_by_another() {
    let over = AT.plus_secs(1_800);
    let expire = |at| NodeCommand::ExpireInvitation { at };
    let invited = &ready()[..1];
    check(invited, expire(over.plus_secs(-1))).then([]);
    check(invited, expire(over)).then([NodeEvent::InvitationExpired { at: over }]);
    let expired = [invited, &[expire(over)]].concat();
    assert_eq!(twice(invited, expire(over)).lifecycle, NodeLifecycle::Expired);
    check(&expired, enrol()).then_refused("enrolment_token_refused");
    check(&expired, reserve(1, 1)).then_refused("node_not_schedulable");
    check(&expired, invite("n1", "bb")).events();
    for enrolled in [ready()[..2].to_vec(), ready(), ready_and(&[quarantine()])] {
        check(&enrolled, expire(over)).then([]);
    }
    check(&[], expire(over)).then_refused("unknown_node");
}

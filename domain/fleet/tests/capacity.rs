//! Random histories of a node: nothing is oversold, no uid is given out twice, and what is stuck stays reserved.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::{AllocationId, Decider, NodeId, Resources, Timestamp};
use cairn_fleet::{Link, Node, NodeCommand, NodeEvent, NodeFacts, Policy};
use proptest::prelude::*;

const AT: Timestamp = Timestamp::from_secs(1_000);

const fn resources(n: u32) -> Resources {
    let bytes = (n as u64) << 24;
    Resources { cpu_millis: n, memory_bytes: bytes, disk_bytes: bytes, pids_max: n }
}

fn ready() -> Node {
    let token_sha256 = "aa".to_owned();
    let commands = [
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
                total: resources(20),
                last_uid: 0,
            },
            reserve: resources(0),
            host_certificate_serial: 1,
            at: AT,
        },
        NodeCommand::RecordProbe { failure: None, at: AT },
    ];
    commands.into_iter().fold(Node::default(), |node, command| {
        let events = node.decide(command).unwrap();
        events.into_iter().fold(node, Node::evolve)
    })
}

fn command() -> impl Strategy<Value = NodeCommand> {
    let allocation = || (0..8_u128).prop_map(AllocationId::from_bits);
    let policy = prop::sample::select(vec![
        Policy::Schedulable,
        Policy::Cordoned,
        Policy::Draining,
        Policy::Retired,
    ]);
    let reason = || "because".to_owned();
    prop_oneof![
        6 => (allocation(), 1..12_u32).prop_map(|(allocation_id, n)| NodeCommand::Reserve {
            allocation_id,
            resources: resources(n),
            at: AT,
        }),
        3 => (allocation(), 1..12_u32).prop_map(|(allocation_id, n)| NodeCommand::Resize {
            allocation_id,
            resources: resources(n),
            at: AT,
        }),
        4 => allocation().prop_map(|allocation_id| NodeCommand::Release { allocation_id, at: AT }),
        1 => allocation().prop_map(move |allocation_id| NodeCommand::QuarantineCapacity {
            allocation_id,
            reason: reason(),
            at: AT,
        }),
        1 => policy.prop_map(move |policy| NodeCommand::SetPolicy {
            policy,
            reason: reason(),
            at: AT,
        }),
        1 => prop::sample::select(vec![Link::Online, Link::Suspect, Link::Offline])
            .prop_map(|link| NodeCommand::ObserveLink { link, at: AT }),
    ]
}

proptest! {
    #[test]
    fn capacity_is_conserved(commands in prop::collection::vec(command(), 0..60)) {
        let (mut node, mut held, mut uids) = (ready(), BTreeMap::new(), BTreeSet::new());
        for command in commands {
            let could = node.is_schedulable();
            let before = node.clone();
            let Ok(events) = node.decide(command) else {
                prop_assert_eq!(&node, &before);
                continue;
            };
            for event in events {
                match &event {
                    NodeEvent::CapacityReserved { allocation_id, resources, uid, .. } => {
                        prop_assert!(could, "only a schedulable node takes an allocation");
                        prop_assert!(uids.insert(*uid), "uid {} was given out twice", uid);
                        prop_assert!(held.insert(*allocation_id, *resources).is_none());
                    }
                    NodeEvent::CapacityResized { allocation_id, resources, .. } => {
                        let before = held.insert(*allocation_id, *resources).unwrap();
                        let grows = before.minus(*resources).is_none();
                        prop_assert!(could || !grows, "only a schedulable node takes more");
                    }
                    NodeEvent::CapacityReleased { allocation_id, .. } => {
                        prop_assert!(held.remove(allocation_id).is_some());
                    }
                    NodeEvent::PolicyChanged { policy: Policy::Retired, .. } => {
                        prop_assert!(held.is_empty(), "a node in use does not retire");
                    }
                    _ => {}
                }
                node = node.evolve(event);
            }
            let reserved = held.values().copied().fold(Resources::default(), Resources::plus);
            prop_assert_eq!(resources(20).minus(reserved), Some(node.free()), "nothing is oversold");
        }
    }
}

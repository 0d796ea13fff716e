//! The claim on a uid: it is the first thing that is there and the last that goes, and it is remembered for a while.
use cairn_node::{Answer, Facts, Kind, Operation, Step};
use cairn_testbed::NamespaceNode;

use super::support::{
    ALLOCATION, OTHER, ask, done, ensure, node, nothing_is_left, observe, refused, request,
    torn_down, undo,
};

const CLAIM: &str = "/var/lib/cairn-node/uids/20000";

fn build(node: &NamespaceNode) {
    for step in Step::ALL {
        done(node, &ensure(step, step.name()));
    }
}

fn facts(node: &NamespaceNode) -> Facts {
    let said = node.helper(&["facts"], b"").unwrap();
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn the_claim_cannot_be_given_back_while_anything_else_is_there() {
    let Some(node) = node("claim") else { return };
    build(&node);
    for step in [Step::Access, Step::Limits, Step::User, Step::Home] {
        let early = refused(&node, &undo(Step::Uid, "early"));
        assert_eq!(early, (Kind::Permanent, "steps_remain".to_owned()), "before {step:?}");
        assert!(observe(&node).uid.is_some());
        done(&node, &undo(step, &format!("undo-{}", step.name())));
    }
    done(&node, &undo(Step::Uid, "last"));
    nothing_is_left(&node);
}

#[test]
fn a_teardown_without_a_claim_finds_what_bears_the_allocations_id() {
    let Some(node) = node("lost") else { return };
    build(&node);
    node.run(&["rm", CLAIM]).unwrap();
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    nothing_is_left(&node);
}

#[test]
fn a_teardown_whose_uid_is_anothers_by_now_is_not_clean() {
    let Some(node) = node("stolen") else { return };
    build(&node);
    node.run(&["sh", "-c", &format!("printf %s {OTHER} > {CLAIM}")]).unwrap();
    let left = torn_down(&node, "down", 2);
    for part in [format!("/{ALLOCATION}.img"), format!("/{ALLOCATION}"), "t20000".to_owned()] {
        assert!(left.iter().any(|item| item.ends_with(&part)), "{part} of {left:?}");
    }
    assert_eq!(node.run(&["id", "-u", "t20000"]).unwrap(), "20000\n", "a stranger's, by the claim");
    node.run(&["sh", "-c", &format!("printf %s {ALLOCATION} > {CLAIM}")]).unwrap();
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    nothing_is_left(&node);
}

#[test]
fn a_uid_rests_before_another_allocation_gets_it() {
    let Some(node) = node("rest") else { return };
    assert_eq!(facts(&node).last_uid, 0);
    done(&node, &ensure(Step::Uid, "k1"));
    assert_eq!(facts(&node).last_uid, 20_000);
    assert_eq!(torn_down(&node, "k2", 2), Vec::<String>::new());
    let mut other = ensure(Step::Uid, "k3");
    other.allocation_id = OTHER.to_owned();
    assert_eq!(refused(&node, &other), (Kind::Permanent, "uid_resting".to_owned()));
    assert_eq!(facts(&node).last_uid, 20_000, "the next control plane is told");
    let mut same = ensure(Step::Uid, "k4");
    same.generation = 3;
    done(&node, &same);
    let mut down = request(Operation::Teardown, "k5", 4);
    down.args.tenant = None;
    assert!(matches!(ask(&node, &down), Answer::TornDown { left, .. } if left.is_empty()));
    let age = ["touch", "-d", "31 days ago", "/var/lib/cairn-node/released-uids/20000"];
    node.run(&age).unwrap();
    assert_eq!(facts(&node).last_uid, 0);
    done(&node, &other);
}

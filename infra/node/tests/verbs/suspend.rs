//! Suspending keeps what the tenant has, ends what runs, and lets nobody in until the login is brought about again.
use cairn_node::{Kind, Operation, Step};
use cairn_testbed::NamespaceNode;

use super::support::{done, ensure, node, nothing_is_left, observe, refused, request, torn_down};

fn build(node: &NamespaceNode) {
    for step in Step::ALL {
        done(node, &ensure(step, step.name()));
    }
}

fn running(node: &NamespaceNode) -> String {
    node.run(&["sh", "-c", "pgrep -u 20000 -c; true"]).unwrap().trim().to_owned()
}

#[test]
fn what_is_suspended_keeps_its_files_and_nothing_runs() {
    let Some(node) = node("suspend") else { return };
    build(&node);
    let script = "setsid runuser -u t20000 -- sh -c 'echo kept > /home/t20000/file; exec sleep 1000' \
        >/dev/null 2>&1 & sleep 0.5; cat /home/t20000/file";
    assert_eq!(node.run(&["sh", "-c", script]).unwrap(), "kept\n");
    assert_ne!(running(&node), "0", "something runs to be ended");
    let suspend = request(Operation::Suspend, "s1", 2);
    let observed = done(&node, &suspend);
    assert!(observed.contains("none"), "{observed}");
    assert_eq!(running(&node), "0");
    assert_eq!(done(&node, &suspend), observed, "the same key answers the same");
    let there = observe(&node);
    assert_eq!((there.access, there.processes), (None, vec![]));
    assert!(there.home.is_some() && there.user.is_some() && there.limits.is_some());
    assert_eq!(node.run(&["cat", "/home/t20000/file"]).unwrap(), "kept\n");

    let join = node.helper(&["pam-join", "--login", "t20000"], b"").unwrap();
    assert!(!join.success && join.stderr.contains("suspended"), "{join:?}");
    assert_eq!(refused(&node, &ensure(Step::Access, "late")).1, "stale_generation");

    let mut access = ensure(Step::Access, "r1");
    access.generation = 3;
    done(&node, &access);
    assert!(observe(&node).access.is_some());
    let join = node.helper(&["pam-join", "--login", "t20000"], b"").unwrap();
    assert!(join.success, "{join:?}");
    assert_eq!(node.run(&["cat", "/home/t20000/file"]).unwrap(), "kept\n");
    let late = refused(&node, &request(Operation::Suspend, "late", 2));
    assert_eq!(late, (Kind::Permanent, "stale_generation".to_owned()));
    assert_eq!(torn_down(&node, "down", 4), Vec::<String>::new());
    nothing_is_left(&node);
}

#[test]
fn what_is_not_there_cannot_be_suspended() {
    let Some(node) = node("suspendnone") else { return };
    let none = refused(&node, &request(Operation::Suspend, "s1", 2));
    assert_eq!(none, (Kind::Permanent, "uid_not_taken".to_owned()));
}

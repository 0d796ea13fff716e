//! A node to try things on, and what to ask of it.
use std::path::PathBuf;

use cairn_node::{
    Answer, Arguments, Kind, Observed, Operation, Request, Resources, Step, TENANT_GROUP,
    TenantArguments,
};
use cairn_testbed::{NamespaceNode, NodeConfig};

pub const ALLOCATION: &str = "alloc_01J0000000000000000000000A";
pub const OTHER: &str = "alloc_01J0000000000000000000000B";

/// A node with the group that enrolment makes; `None`, with the reason on stderr, where there can be none.
pub fn node(name: &str) -> Option<NamespaceNode> {
    if !cairn_testbed::available_or_skip() {
        return None;
    }
    let helper = PathBuf::from(env!("CARGO_BIN_EXE_cairn-node"));
    let node = NamespaceNode::start_with(NodeConfig { name: name.to_owned(), helper }).unwrap();
    node.run(&["groupadd", "--system", TENANT_GROUP]).unwrap();
    Some(node)
}

pub fn tenant(uid: u32) -> TenantArguments {
    TenantArguments {
        login: format!("t{uid}"),
        uid,
        resources: Resources {
            cpu_millis: 500,
            memory_bytes: 64 << 20,
            disk_bytes: 32 << 20,
            pids_max: 32,
        },
        ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1dCB0aGlzIGlzIG5vdCBhIHJlYWwga2V5"
            .to_owned(),
    }
}

pub fn request(op: Operation, key: &str, generation: u64) -> Request {
    let args = Arguments { tenant: Some(tenant(20_000)), ..Arguments::default() };
    Request { op, allocation_id: ALLOCATION.to_owned(), generation, key: key.to_owned(), args }
}

pub fn ensure(step: Step, key: &str) -> Request {
    let mut request = request(Operation::Ensure, key, 1);
    request.args.step = Some(step);
    request
}

pub fn undo(step: Step, key: &str) -> Request {
    let mut request = request(Operation::Undo, key, 1);
    request.args.step = Some(step);
    request
}

pub fn ask(node: &NamespaceNode, request: &Request) -> Answer {
    let said = node.helper(&["serve"], &serde_json::to_vec(request).unwrap()).unwrap();
    assert!(said.success, "{said:?}");
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

#[track_caller]
pub fn done(node: &NamespaceNode, request: &Request) -> String {
    match ask(node, request) {
        Answer::Done { observed, .. } => observed,
        other => panic!("{:?} {:?}: {other:?}", request.op, request.args.step),
    }
}

#[track_caller]
pub fn refused(node: &NamespaceNode, request: &Request) -> (Kind, String) {
    match ask(node, request) {
        Answer::Refused { kind, code, .. } => (kind, code),
        other => panic!("{:?} {:?} was not refused: {other:?}", request.op, request.args.step),
    }
}

#[track_caller]
pub fn torn_down(node: &NamespaceNode, key: &str, generation: u64) -> Vec<String> {
    match ask(node, &request(Operation::Teardown, key, generation)) {
        Answer::TornDown { left, .. } => left,
        other => panic!("{other:?}"),
    }
}

pub fn observe(node: &NamespaceNode) -> Observed {
    match ask(node, &request(Operation::Inspect, "", 0)) {
        Answer::Inspected(observed) => observed,
        other => panic!("{other:?}"),
    }
}

/// Looks with other eyes than the helper's.
#[track_caller]
pub fn nothing_is_left(node: &NamespaceNode) {
    let script = "mkdir -p /var/lib/cairn-node/homes /var/lib/cairn-node/uids
        getent passwd t20000; getent group t20000; grep /home/ /proc/self/mountinfo
        find /home /tmp /var/tmp /dev/shm /etc/ssh/cairn /var/lib/cairn-node/homes -name '*t20000*' -o -uid 20000
        ls /var/lib/cairn-node/homes /var/lib/cairn-node/uids; pgrep -u 20000; true";
    let left = node.run(&["sh", "-c", script]).unwrap();
    assert_eq!(left, "/var/lib/cairn-node/homes:\n\n/var/lib/cairn-node/uids:\n");
    assert_eq!(node.cgroups(), Vec::<PathBuf>::new());
    assert_eq!(observe(node), Observed::default());
}

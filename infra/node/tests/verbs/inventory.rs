//! What a node says it has.
use cairn_node::{Answer, Inventory, Operation, Request, Step};
use cairn_testbed::NamespaceNode;

use super::support::{ALLOCATION, OTHER, ask, done, ensure, node, torn_down};

fn inventory(node: &NamespaceNode) -> Inventory {
    let asked: Request = serde_json::from_str(r#"{"op": "inventory"}"#).unwrap();
    assert_eq!(asked.op, Operation::Inventory);
    match ask(node, &asked) {
        Answer::Inventory(inventory) => inventory,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_inventory_names_what_is_whole_what_is_not_and_what_is_nobodys() {
    let Some(node) = node("inventory") else { return };
    assert_eq!(inventory(&node), Inventory::default());
    for step in Step::ALL {
        done(&node, &ensure(step, step.name()));
    }
    let whole = inventory(&node);
    let [held] = &whole.allocations[..] else { panic!("{whole:?}") };
    assert_eq!((held.allocation_id.as_str(), held.generation), (ALLOCATION, 1));
    assert!(held.observed.access.is_some() && held.observed.limits.is_some(), "{held:?}");
    assert_eq!((&held.partial[..], &whole.strays[..]), (&[][..], &[][..]));

    // One of two files of the access is gone; somebody made an account; a claim is of an allocation the journal never heard of.
    node.run(&["rm", "/etc/ssh/cairn/keys/t20000"]).unwrap();
    node.run(&["useradd", "--uid", "20007", "--no-create-home", "t20007"]).unwrap();
    let claim = format!("printf %s {OTHER} > /var/lib/cairn-node/uids/20005");
    node.run(&["sh", "-c", &claim]).unwrap();
    let drifted = inventory(&node);
    let [held, unknown] = &drifted.allocations[..] else { panic!("{drifted:?}") };
    assert_eq!((&held.observed.access, &held.partial[..]), (&None, &[Step::Access][..]));
    assert_eq!((unknown.allocation_id.as_str(), unknown.generation), (OTHER, 0));
    assert_eq!((&unknown.tenant, &unknown.partial[..]), (&None, &[Step::Uid][..]));
    assert_eq!(drifted.strays, ["account t20007 with uid 20007"]);
}

#[test]
fn what_was_torn_down_is_in_the_inventory_only_when_something_of_it_is_back() {
    let Some(node) = node("inventory-gone") else { return };
    done(&node, &ensure(Step::Uid, "k1"));
    assert_eq!(torn_down(&node, "down", 2), Vec::<String>::new());
    assert_eq!(inventory(&node), Inventory::default());
    let claim = format!("printf %s {ALLOCATION} > /var/lib/cairn-node/uids/20000");
    node.run(&["sh", "-c", &claim]).unwrap();
    let back = inventory(&node);
    assert_eq!(back.allocations.len(), 1, "{back:?}");
    assert_eq!(back.allocations[0].generation, 2);
    assert_eq!(torn_down(&node, "again", 2), Vec::<String>::new());
    assert_eq!(inventory(&node), Inventory::default());
}

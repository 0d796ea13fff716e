//! A node's inventory held against the log, in virtual time: when it comes back, and every so often.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::effects;
use cairn_commands::processes::Settings;
use cairn_compute::Step;
use cairn_core::AllocationId;
use cairn_fleet::{Comparison, FindingKind, Link, LogSays, Node};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory};
use support::stories::{release, rent, top_up};

type Options = PgConnectOptions;

/// Between two comparisons, here.
const COMPARE: i64 = 600;

async fn start(db: Options, memory: &Arc<Memory>) -> Harness {
    let numbers = Settings { watch_seconds: 30, compare_seconds: COMPARE, ..Settings::default() };
    Harness::start_with(db, Arc::clone(memory) as _, numbers).await
}

async fn recorded(harness: &Harness, event_type: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM events WHERE event_type = $1")
        .bind(event_type)
        .fetch_one(harness.commands.executor.log().pool())
        .await
        .unwrap()
}

async fn link(harness: &Harness) -> Link {
    harness.load::<Node>(&harness.node_id.to_string()).await.link
}

async fn drift(harness: &Harness, memory: &Memory) -> Comparison {
    let (executor, port) = (&harness.commands.executor, memory.nodes.as_ref());
    effects::drift(executor, port, harness.node_id).await.unwrap().unwrap()
}

/// One that is rented, and one that was.
async fn two(harness: &mut Harness) -> (AllocationId, AllocationId) {
    let organisation = harness.organisation();
    top_up(harness, organisation, 50).await;
    let gone = rent(harness, organisation).await;
    release(harness, gone).await;
    (rent(harness, organisation).await, gone)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_that_comes_back_is_compared_before_it_takes_anything_new(
    _: PgPoolOptions,
    db: Options,
) {
    let memory = Memory::new();
    let mut harness = start(db, &memory).await;
    let (live, gone) = two(&mut harness).await;
    assert!(drift(&harness, &memory).await.is_clean());
    memory.nodes.set_silent("memory", true);
    harness.run_for(150).await;
    assert_eq!(link(&harness).await, Link::Offline, "the fault bit");
    let compared = recorded(&harness, "node.inventory_compared").await;

    memory.nodes.tamper(&gone.to_string(), Step::Uid, true);
    memory.nodes.tamper(&live.to_string(), Step::Access, false);
    harness.faults.arm("compare_inventory", Mode::Forever);
    memory.nodes.set_silent("memory", false);
    // It is looked at every 30 s while it is offline.
    harness.run_for(45).await;
    assert!(harness.faults.hits("compare_inventory") > 0, "the fault bit");
    let node: Node = harness.load(&harness.node_id.to_string()).await;
    assert_eq!((node.link, node.is_schedulable()), (Link::Resyncing, false));

    harness.faults.mend();
    harness.run_for(400).await;
    assert_eq!(link(&harness).await, Link::Online);
    assert!(recorded(&harness, "node.inventory_compared").await > compared);
    assert_eq!(recorded(&harness, "node.orphan_removed").await, 1);
    assert_eq!(memory.nodes.left(&gone.to_string()), Vec::<String>::new());
    // What an active one lacks is for somebody to look at.
    let left = drift(&harness, &memory).await;
    let [finding] = &left.findings[..] else { panic!("{left:?}") };
    assert_eq!((finding.kind, finding.log_says), (FindingKind::MissingOnNode, LogSays::Active));
    assert_eq!((finding.allocation_id, finding.what.as_str()), (Some(live), "access"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_node_in_use_is_compared_again_after_a_while(_: PgPoolOptions, db: Options) {
    let memory = Memory::new();
    let mut harness = start(db, &memory).await;
    let (_, gone) = two(&mut harness).await;
    let before = recorded(&harness, "node.inventory_compared").await;
    memory.nodes.tamper(&gone.to_string(), Step::Home, true);
    harness.run_for(2 * COMPARE + 120).await;
    let after = recorded(&harness, "node.inventory_compared").await;
    assert!((1..=3).contains(&(after - before)), "{before} and {after}");
    assert_eq!(memory.nodes.left(&gone.to_string()), Vec::<String>::new());
}

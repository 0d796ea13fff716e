//! A real node's inventory held against the log: what came back, what went, and what nobody knows.
use cairn_commands::effects;
use cairn_commands::processes::Settings;
use cairn_compute::Allocation;
use cairn_core::AllocationId;
use cairn_fleet::{FindingKind, Link, LogSays, Node};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::faults::Mode;
use crate::support::harness::{Harness, World};
use crate::support::stories::{release, rent, top_up};
use crate::world::RealNode;

type Row = (FindingKind, LogSays, Option<AllocationId>, String);

async fn drift(harness: &Harness, world: &RealNode) -> Vec<Row> {
    let (executor, port) = (&harness.commands.executor, world.nodes());
    let found = effects::drift(executor, port.as_ref(), harness.node_id).await.unwrap().unwrap();
    let rows = found.findings.into_iter();
    rows.map(|f| (f.kind, f.log_says, f.allocation_id, f.what)).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_real_node_that_comes_back_loses_what_is_over_and_shows_the_rest(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let Some(world) = RealNode::start("inventory").await else { return };
    let settings = Settings { watch_seconds: 30, ..Settings::default() };
    let mut harness = Harness::start_with(db, world.clone(), settings).await;
    let organisation = harness.organisation();
    top_up(&mut harness, organisation, 50).await;
    let gone = rent(&mut harness, organisation).await;
    release(&mut harness, gone).await;
    let live = rent(&mut harness, organisation).await;
    assert_eq!(drift(&harness, &world).await, []);

    harness.faults.arm("watch_node", Mode::Forever);
    harness.run_for(150).await;
    let node: Node = harness.load(&harness.node_id.to_string()).await;
    assert_eq!(node.link, Link::Offline, "the fault bit");
    // As after a restored backup; by somebody's hand; by somebody's mistake.
    let uid_of = |allocation: Allocation| allocation.placement.unwrap().uid;
    let old = uid_of(harness.load(&gone.to_string()).await);
    let new = uid_of(harness.load(&live.to_string()).await);
    let plant = format!(
        "printf %s {gone} > /var/lib/cairn-node/uids/{old}
         useradd --uid {old} --no-create-home t{old}
         useradd --uid 20777 --no-create-home t20777
         rm /etc/ssh/cairn/keys/t{new} /etc/ssh/cairn/principals/t{new}"
    );
    world.run(plant).await;
    let lacking = (FindingKind::MissingOnNode, LogSays::Active, Some(live), "access".to_owned());
    let stray = "account t20777 with uid 20777".to_owned();
    let unknown = (FindingKind::LeftOnNode, LogSays::Unknown, None, stray);
    let found = drift(&harness, &world).await;
    let [first, second, orphan] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first, second), (&lacking, &unknown));
    assert_eq!((orphan.1, orphan.2), (LogSays::Over, Some(gone)), "{orphan:?}");

    harness.faults.mend();
    harness.run_for(60).await;
    let node: Node = harness.load(&harness.node_id.to_string()).await;
    assert_eq!(node.link, Link::Online);
    let removed = "SELECT count(*) FROM events WHERE event_type = 'node.orphan_removed'";
    let pool = harness.commands.executor.log().pool();
    assert_eq!(sqlx::query_scalar::<_, i64>(removed).fetch_one(pool).await.unwrap(), 1);
    assert_eq!(drift(&harness, &world).await, [lacking, unknown]);
    assert_eq!(world.run(format!("getent passwd t{old} | wc -l")).await.trim(), "0");
    world.stop().await;
}

//! Who a node is, over time: the watcher and the adapter together.
use cairn_fleet::{Node, NodeLifecycle};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::harness::Harness;
use crate::world::RealNode;

#[sqlx::test(migrations = "../migrations")]
async fn a_real_node_whose_host_key_changes_is_quarantined_by_the_watcher_and_left_alone(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let Some(world) = RealNode::start("watched").await else { return };
    let mut harness = Harness::start(db, world.clone()).await;
    let key = harness.node_id.to_string();
    let day = harness.config.settings.watch_seconds;
    harness.run_for(day + 20).await;
    let before: Node = harness.load(&key).await;
    assert!(before.is_schedulable(), "{before:?}");
    let logins = world.control_logins().await;
    assert!(logins > 0, "the watcher has not looked");

    world.change_host_keys().await;
    harness.run_for(day + 20).await;
    let after: Node = harness.load(&key).await;
    assert_eq!(after.lifecycle, NodeLifecycle::Quarantined);
    assert_eq!(after.host_keys, before.host_keys, "the pin is not moved by what is seen");
    assert_eq!(world.control_logins().await, logins, "a login to whoever that is");

    // The owner says that it is the same machine: invited and enrolled anew, it is in use again.
    harness.enrol_anew().await;
    let anew: Node = harness.load(&key).await;
    assert!(anew.is_schedulable(), "{anew:?}");
    assert_ne!(anew.host_keys, before.host_keys);
    world.stop().await;
}

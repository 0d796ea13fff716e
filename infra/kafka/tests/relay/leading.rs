//! One leads; what a dead or stale leader left behind harms nobody.
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::relay::RelayConfig;

use super::world::{Between, Gate, World, brokers, topic, until};

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn killed_between_acknowledgement_and_checkpoint_repeats_and_loses_nothing(
    pool: sqlx::PgPool,
) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let inner = topic(&brokers.bootstrap_servers());
    world.happen(5, 30).await;
    for owner in ["a", "b", "c"] {
        let gate = Arc::new(Gate::default());
        let gated = Between::new(inner.clone(), Some(Arc::clone(&gate)));
        let config = RelayConfig { lease: Duration::from_millis(300), ..World::config(owner) };
        let relay = world.relay(gated, config);
        gate.arrived.notified().await;
        relay.kill().await;
        assert_eq!(world.status().await.position, 0, "it never came to the checkpoint");
    }
    let relay = world.relay(inner.clone(), World::config("d"));
    let report = world.all_arrived(&inner).await;
    assert_eq!((report.public, report.repeated), (30, 90));
    relay.stop().await;
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_stale_leaders_checkpoint_is_refused(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let inner = topic(&brokers.bootstrap_servers());
    let gate = Arc::new(Gate::default());
    let gated = Between::new(inner.clone(), Some(Arc::clone(&gate)));
    // It does not notice by itself: its lease would be renewed only after twenty seconds.
    let config = RelayConfig { lease: Duration::from_secs(60), ..World::config("stale") };
    world.happen(5, 10).await;
    let stale = world.relay(gated.clone(), config);
    gate.arrived.notified().await;
    // As if its machine had slept.
    sqlx::query("UPDATE relay_checkpoints SET lease_until = now() - interval '1 second'")
        .execute(&world.pool)
        .await
        .unwrap();
    let fresh = world.relay(inner.clone(), World::config("fresh"));
    world.happen(5, 10).await;
    world.caught_up().await;
    let reached = world.status().await;
    assert_eq!(reached.leader.as_deref(), Some("fresh"));
    let before = gated.producers.load(std::sync::atomic::Ordering::Relaxed);
    gate.open.notify_one();
    // It gives up its producer, and stands by.
    until(async || Arc::strong_count(&gate) <= 2).await;
    assert_eq!(gated.producers.load(std::sync::atomic::Ordering::Relaxed), before);
    let after = world.status().await;
    assert_eq!((after.position, after.sent), (reached.position, reached.sent));
    assert_eq!(after.leader.as_deref(), Some("fresh"));
    world.happen(5, 10).await;
    let report = world.all_arrived(&inner).await;
    assert_eq!((report.public, report.repeated), (30, 10), "both sent the first ten");
    // When the leader leaves, whoever stands by goes on.
    fresh.stop().await;
    until(async || world.status().await.leader.as_deref() == Some("stale")).await;
    stale.stop().await;
    world.close().await;
}

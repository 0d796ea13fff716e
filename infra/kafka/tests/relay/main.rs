//! The relay against brokers that are well, away, slow, wrong and silent: nothing lost, order per key kept.
#![allow(clippy::unwrap_used, reason = "a test")]
mod alone;
mod faults;
mod leading;
mod stuck;
mod tcp;
mod world;

use cairn_projections::{Projector, Rebuild};

use self::world::{World, assert_valid, brokers, messages, topic};

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_is_public_arrives_once_in_order_per_key_and_looks_as_its_schema_has_it(
    pool: sqlx::PgPool,
) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    world.happen(7, 50).await;
    let relay = world.relay(topic.clone(), World::config("a"));
    world.caught_up().await;
    world.happen(7, 50).await;
    let report = world.all_arrived(&topic).await;
    assert_eq!((report.public, report.private, report.repeated), (100, 20, 0));
    let all = messages(&topic).await;
    assert_eq!(all.len(), 100);
    assert_valid(&all);
    let partitions: std::collections::HashSet<_> = all.iter().map(|sent| sent.partition).collect();
    assert!(partitions.len() > 1, "keys are spread");
    let status = world.status().await;
    assert_eq!((status.lag_events, status.sent, status.last_error), (0, 100, None));
    assert_eq!(status.leader.as_deref(), Some("a"));
    relay.stop().await;
    assert_eq!(world.status().await.leader, None, "the lease is given back");
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_rebuild_of_every_view_sends_nothing(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    let relay = world.relay(topic.clone(), World::config("a"));
    world.happen(3, 10).await;
    world.caught_up().await;
    let projector = Projector::new(world.log.clone(), cairn_projections::all());
    for name in projector.names() {
        let rebuilt = projector.rebuild(name, &Rebuild::default()).await.unwrap();
        assert_eq!(rebuilt.position, world.head().await, "it was folded anew");
    }
    // What comes after the rebuild is the next thing that the topic hears.
    world.happen(3, 1).await;
    let report = world.all_arrived(&topic).await;
    assert_eq!((messages(&topic).await.len(), report.repeated), (11, 0));
    relay.stop().await;
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_comparison_finds_what_is_missing_changed_and_foreign(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    let relay = world.relay(topic.clone(), World::config("a"));
    world.happen(3, 4).await;
    world.all_arrived(&topic).await;
    relay.stop().await;
    // The checkpoint says that these were sent; they never were.
    let lost = world.happen(3, 2).await;
    sqlx::query("UPDATE relay_checkpoints SET position = $1")
        .bind(lost)
        .execute(&world.pool)
        .await
        .unwrap();
    let report = world.compare(&topic).await;
    assert_eq!(report.missing.count, 2, "{report:?}");
    // By another name of this Cairn, every message is another.
    let range = (Some(1), Some(1));
    let other = cairn_commands::relay::verify(&world.log, &*topic, "/other", range).await.unwrap();
    assert_eq!(other.differing.positions, [1]);
    assert!(!report.agrees() && !other.agrees());
    let beyond =
        cairn_commands::relay::verify(&world.log, &*topic, "/cairn", (None, Some(99))).await;
    assert!(beyond.unwrap_err().to_string().contains("has come to position"));
    world.close().await;
}

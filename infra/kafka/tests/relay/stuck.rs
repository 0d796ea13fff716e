//! An event that will never go is never passed over.
use serde_json::json;

use super::world::{World, brokers, messages, topic, until};

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_event_that_is_too_large_stops_the_relay_right_before_it(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    let before = world.happen(3, 5).await;
    let large = world.price(&"x".repeat(1_100_000), 0).await;
    world.happen(3, 5).await;
    let relay = world.relay(topic.clone(), World::config("a"));
    let named = format!("position {large}:");
    until(async || {
        let status = world.status().await;
        status.position == before && status.last_error.is_some_and(|why| why.contains(&named))
    })
    .await;
    relay.stop().await;
    let positions = messages(&topic).await.into_iter().filter_map(|sent| sent.position);
    assert_eq!(positions.max(), Some(before), "what comes after it waits");
    assert!(world.compare(&topic).await.agrees());
    world.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_event_of_newer_code_stops_the_relay_right_before_it(pool: sqlx::PgPool) {
    let (world, brokers) = (World::new(pool).await, brokers());
    let topic = topic(&brokers.bootstrap_servers());
    let before = world.happen(3, 5).await;
    let newer = json!({ "type": "sku.retired", "version": "99", "sku_id": "sku-9" });
    world.append("sku", "sku-9", 0, newer).await;
    let relay = world.relay(topic.clone(), World::config("a"));
    until(async || {
        let status = world.status().await;
        let says = |why: String| why.contains("newer version of Cairn");
        status.position == before && status.last_error.is_some_and(says)
    })
    .await;
    relay.stop().await;
    assert!(world.compare(&topic).await.agrees());
    world.close().await;
}

//! Runners: they share the work, stop without loss, and are fenced off when they are late.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::payments;
use cairn_fleet::Node;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory, Snapshot, usd};
use support::stories::{ask, rent, top_up};

type Options = PgConnectOptions;

#[sqlx::test(migrations = "../migrations")]
async fn two_runners_share_the_work_and_do_nothing_twice(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    harness.start_runner();
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 100).await;
    let mut rentals = vec![];
    for _ in 0..8 {
        rentals.push(ask(&harness, organisation_id, None).await.to_string());
    }
    let active =
        |s: &Snapshot| rentals.iter().all(|key| s.status("rent_node", key) == Some("done"));
    harness.until("all are active", active).await;
    let node: Node = harness.load(&harness.node_id.to_string()).await;
    assert_eq!(node.reservations.len(), 8);
    let mut uids: Vec<u32> = node.reservations.values().map(|held| held.uid).collect();
    uids.sort_unstable();
    uids.dedup();
    assert_eq!(uids.len(), 8, "each has its own uid");
    let twice: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT aggregate_id, payload->>'step' FROM events
         WHERE event_type = 'allocation.step_completed' GROUP BY 1, 2 HAVING count(*) > 1) AS t",
    )
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(twice, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn every_event_of_a_rental_says_what_caused_it(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let allocation_id = rent(&mut harness, organisation_id).await.to_string();
    let strangers: i64 = sqlx::query_scalar(
        "WITH asked AS (SELECT metadata->>'correlation_id' AS id FROM events
                        WHERE aggregate_id = $1 AND event_type = 'allocation.requested')
         SELECT count(*) FROM events, asked
         WHERE aggregate_id = $1 AND metadata->>'correlation_id' <> asked.id
            OR (aggregate_id = $1 AND event_type <> 'allocation.requested'
                AND NOT EXISTS (SELECT FROM events c WHERE c.command_id = events.metadata->>'causation_id'))",
    )
    .bind(&allocation_id)
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(strangers, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_runner_that_is_stopped_ends_what_it_began_and_leaves_no_lease(
    _: PgPoolOptions,
    db: Options,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let allocation_id = ask(&harness, organisation_id, None).await.to_string();
    harness.stop_runner().await;
    let leases: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM process_intents WHERE status = 'leased')
              + (SELECT count(*) FROM process_checkpoints WHERE lease_owner IS NOT NULL)",
    )
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(leases, 0);
    harness.start_runner();
    let active = |s: &Snapshot| s.status("rent_node", &allocation_id) == Some("done");
    harness.until("another goes on", active).await;
}

/// A worker that was thought dead wakes up while another has its intent.
#[sqlx::test(migrations = "../migrations")]
async fn a_late_worker_is_fenced_off(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    harness.stop_runner().await;
    harness.config.workers = 1;
    harness.start_runner();
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("ensure_user", Mode::Stall);
    let allocation_id = ask(&harness, organisation_id, None).await.to_string();
    let mut stalled = harness.faults.stalled.subscribe();
    stalled.wait_for(|stalled| *stalled).await.unwrap();
    let stolen: String = sqlx::query_scalar(
        "UPDATE process_intents SET lease_owner = 'another', lease_token = lease_token + 1,
                lease_until = clock_timestamp() + interval '1 hour'
         WHERE key = $1 AND name = 'ensure_user' AND status = 'leased' RETURNING id",
    )
    .bind(&allocation_id)
    .fetch_one(harness.pool())
    .await
    .unwrap();
    // The only hand must have noted its attempt before it does anything else.
    let request = payments::RequestTopUp {
        organisation_id: harness.organisation(),
        amount: usd(1),
        payment_method: None,
    };
    let context = harness.context();
    payments::request_top_up(&harness.commands, &context, request).await.unwrap();
    harness.faults.stalled.send_replace(false);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while harness.world.cards().0.len() < 2 {
        assert!(std::time::Instant::now() < patience, "the worker does not go on");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (status, owner): (String, String) =
        sqlx::query_as("SELECT status, lease_owner FROM process_intents WHERE id = $1")
            .bind(&stolen)
            .fetch_one(harness.pool())
            .await
            .unwrap();
    assert_eq!((status.as_str(), owner.as_str()), ("leased", "another"), "its note came too late");
    sqlx::query("UPDATE process_intents SET lease_until = clock_timestamp() WHERE id = $1")
        .bind(&stolen)
        .execute(harness.pool())
        .await
        .unwrap();
    let active = |s: &Snapshot| s.status("rent_node", &allocation_id) == Some("done");
    harness.until("it is taken over", active).await;
    let steps: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM events WHERE aggregate_id = $1 AND event_type = 'allocation.step_completed'",
    )
    .bind(&allocation_id)
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(steps, 6, "and counted once");
}

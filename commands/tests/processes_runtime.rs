//! Runners: they share the work, stop without loss, and are fenced off when they are late.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::payments;
use cairn_core::{Decider, NodeId};
use cairn_event_log::{AppendRequest, EventLog, Metadata, NewEvent, Outcome};
use cairn_fleet::Node;
use serde_json::Value;
use sqlx::Connection;
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

/// Appends an event that no code of today can read, or one that it can.
async fn append(log: &EventLog, node_id: &str, sequence: i64, kind: &str, payload: &str) {
    let request = AppendRequest {
        command_id: format!("{node_id}:{sequence}"),
        command_hash: [0; 32],
        aggregate_type: Node::TYPE,
        aggregate_id: node_id.to_owned(),
        expected_sequence: sequence,
        events: vec![NewEvent {
            event_type: kind.to_owned(),
            event_version: "1".to_owned(),
            payload: payload.to_owned(),
            book: None,
        }],
        outcome: Outcome::Accepted { result: Value::Null },
        metadata: Metadata::default(),
    };
    log.append(request).await.unwrap();
}

const UNREADABLE: &str = r#"{"type":"node.policy_changed","policy":"of tomorrow","reason":"r","at":"2026-09-21T14:14:51.000000Z"}"#;
const DRAINING: &str = r#"{"type":"node.policy_changed","policy":"draining","reason":"r","at":"2026-09-21T14:14:51.000000Z"}"#;
const SUSPECT: &str =
    r#"{"type":"node.link_changed","link":"suspect","at":"2026-09-21T14:14:52.000000Z"}"#;

#[sqlx::test(migrations = "../migrations")]
async fn an_event_that_cannot_be_read_stops_nobody_and_is_taken_in_in_its_turn_when_it_can(
    _: PgPoolOptions,
    db: Options,
) {
    let database = db.clone();
    let mut harness = Harness::start(db, Memory::new()).await;
    let node_id = NodeId::from_bits(77).to_string();
    let log = harness.commands.executor.log();
    append(log, &node_id, 0, "node.policy_changed", UNREADABLE).await;
    append(log, &node_id, 1, "node.link_changed", SUSPECT).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let rented = rent(&mut harness, organisation_id).await.to_string();
    let snapshot = harness.snapshot().await;
    assert_eq!(snapshot.status("rent_node", &rented), Some("done"), "the others go on");
    assert_eq!(snapshot.status("drain_node", &node_id), None);
    let overdue = |s: &Snapshot| s.stuck.len() == 5;
    let stuck = harness.until("operators are called", overdue).await.stuck;
    let mut called: Vec<&str> = stuck.iter().map(|stuck| stuck.process.as_str()).collect();
    called.sort_unstable();
    // The last one for the event that waits its turn.
    let readers = ["drain_node", "release_node", "rent_node", "verify_node", "verify_node"];
    assert_eq!(called, readers, "whoever may have missed something calls");
    // As if the code had learnt to read it.
    let mut owner = sqlx::PgConnection::connect_with(&database).await.unwrap();
    sqlx::query("ALTER TABLE events DISABLE TRIGGER ALL").execute(&mut owner).await.unwrap();
    sqlx::query("UPDATE events SET payload = $1::json WHERE aggregate_id = $2 AND sequence = 1")
        .bind(DRAINING)
        .bind(&node_id)
        .execute(&mut owner)
        .await
        .unwrap();
    harness.run_for(300).await;
    let snapshot = harness.snapshot().await;
    assert!(snapshot.stuck.is_empty(), "{:?}", snapshot.stuck);
    let link: String = sqlx::query_scalar(
        "SELECT state->>'link' FROM process_states WHERE process = 'verify_node' AND key = $1",
    )
    .bind(&node_id)
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(link, "suspect");
    assert_eq!(snapshot.status("drain_node", &node_id), Some("done"), "it drains an empty node");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_whose_metadata_cannot_be_read_stops_nobody(_: PgPoolOptions, db: Options) {
    let node_id = NodeId::from_bits(77).to_string();
    let log = EventLog::connect(db.clone(), 2).await.unwrap();
    append(&log, &node_id, 0, "node.policy_changed", DRAINING).await;
    log.close().await;
    let mut owner = sqlx::PgConnection::connect_with(&db).await.unwrap();
    sqlx::query("ALTER TABLE events DISABLE TRIGGER ALL").execute(&mut owner).await.unwrap();
    let broken = sqlx::query("UPDATE events SET metadata = '[]' WHERE position = 1");
    assert_eq!(broken.execute(&mut owner).await.unwrap().rows_affected(), 1);
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let rented = rent(&mut harness, organisation_id).await.to_string();
    let snapshot = harness.snapshot().await;
    assert_eq!(snapshot.status("rent_node", &rented), Some("done"), "the others go on");
    assert_eq!(snapshot.status("drain_node", &node_id), None, "it was not read");
    let called = |s: &Snapshot| s.stuck.iter().any(|stuck| stuck.process == "drain_node");
    harness.until("operators are called", called).await;
}

/// The first lease of an intent is lost, and the same runner gets it again: two of its hands hold it, and the first to end must not take the
/// second's lease with it.
#[sqlx::test(migrations = "../migrations")]
async fn an_intent_that_a_runner_holds_twice_keeps_its_second_lease(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("ensure_user", Mode::Stall);
    harness.faults.arm("ensure_user", Mode::StallAgain);
    let allocation_id = ask(&harness, organisation_id, None).await.to_string();
    let mut stalled = harness.faults.stalled.subscribe();
    stalled.wait_for(|stalled| *stalled).await.unwrap();
    sqlx::query(
        "UPDATE process_intents SET status = 'ready', lease_owner = NULL, lease_until = NULL
         WHERE key = $1 AND name = 'ensure_user' AND status = 'leased'",
    )
    .bind(&allocation_id)
    .execute(harness.pool())
    .await
    .unwrap();
    let mut again = harness.faults.stalled_again.subscribe();
    again.wait_for(|stalled| *stalled).await.unwrap();
    let lease = "SELECT lease_token, lease_until FROM process_intents WHERE key = $1 AND name = 'ensure_user'";
    let held: (i64, time::OffsetDateTime) =
        sqlx::query_as(lease).bind(&allocation_id).fetch_one(harness.pool()).await.unwrap();
    harness.faults.stalled.send_replace(false);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let now: (i64, Option<time::OffsetDateTime>) =
            sqlx::query_as(lease).bind(&allocation_id).fetch_one(harness.pool()).await.unwrap();
        assert_eq!(now.0, held.0, "the second lease was lost");
        let longer = harness.config.lease * 3;
        if now.1.is_some_and(|until| until > held.1 + longer) {
            break;
        }
        assert!(std::time::Instant::now() < patience, "the lease is not kept");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    harness.faults.stalled_again.send_replace(false);
    let active = |s: &Snapshot| s.status("rent_node", &allocation_id) == Some("done");
    harness.until("it goes on", active).await;
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

//! Operators: what they see, what they may decide, and that it is audited.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::ExecuteError;
use cairn_commands::processes::operator::{self, Decision, Filter};
use cairn_compute::Allocation;
use cairn_core::AllocationId;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory};
use support::stories::{ask, release, rent, top_up};

type Options = PgConnectOptions;

/// A rental whose activation waits for an operator.
async fn stuck_rental(harness: &mut Harness) -> (AllocationId, String) {
    let organisation_id = harness.organisation();
    top_up(harness, organisation_id, 20).await;
    harness.faults.arm("activate", Mode::Permanent);
    let allocation_id = rent(harness, organisation_id).await;
    harness.until("it is stuck", |s| !s.stuck.is_empty()).await;
    harness.faults.mend();
    let stuck = harness.snapshot().await.stuck[0].clone();
    assert_eq!((stuck.name.as_str(), stuck.process.as_str()), ("activate", "rent_node"));
    (allocation_id, stuck.id)
}

#[sqlx::test(migrations = "../migrations")]
async fn operators_see_decide_with_a_reason_and_are_audited(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let (allocation_id, intent_id) = stuck_rental(&mut harness).await;
    let key = allocation_id.to_string();
    let filter =
        Filter { status: Some("needs_operator".to_owned()), limit: 10, ..Filter::default() };
    let listed = operator::list(harness.pool(), &filter).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].key.as_str(), listed[0].process.as_str()), (key.as_str(), "rent_node"));
    let shown = operator::show(harness.pool(), "rent_node", &key).await.unwrap().unwrap();
    let intent = shown.intents.iter().find(|i| i.id == intent_id).unwrap();
    assert_eq!(
        (shown.status.as_str(), intent.status.as_str()),
        ("needs_operator", "needs_operator")
    );
    assert!(intent.last_error.as_ref().unwrap().contains("injected_failure"));
    let decide =
        |reason: &str| Decision { intent_id: intent_id.clone(), reason: reason.to_owned() };
    let code = |answer: Result<_, ExecuteError>| match answer {
        Err(ExecuteError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    let context = harness.context();
    let silent = operator::retry(&harness.commands, &context, decide("")).await;
    assert_eq!(code(silent), "reason_needed");
    let unknown = Decision { intent_id: "rent_node:0:0".to_owned(), reason: "x".to_owned() };
    let unknown = operator::skip(&harness.commands, &harness.context(), unknown).await;
    assert_eq!(code(unknown), "unknown_intent");
    let context = harness.context();
    operator::retry(&harness.commands, &context, decide("mended")).await.unwrap();
    operator::retry(&harness.commands, &context, decide("mended")).await.unwrap();
    harness.until("it is active", |s| s.status("rent_node", &key) == Some("done")).await;
    let late = operator::retry(&harness.commands, &harness.context(), decide("again")).await;
    assert_eq!(code(late), "intent_not_waiting");
    let reasons: Vec<String> = sqlx::query_scalar(
        "SELECT payload->>'reason' FROM events WHERE event_type = 'process.intervened' AND aggregate_id = $1",
    )
    .bind(&intent_id)
    .fetch_all(harness.pool())
    .await
    .unwrap();
    assert_eq!(reasons, ["mended"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_abandoned_process_wants_nothing_any_more(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let (allocation_id, intent_id) = stuck_rental(&mut harness).await;
    let key = allocation_id.to_string();
    let decision = Decision { intent_id, reason: "by hand".to_owned() };
    let context = harness.context();
    operator::abandon(&harness.commands, &context, decision).await.unwrap();
    harness.until("it ended", |s| s.status("rent_node", &key) == Some("abandoned")).await;
    harness.run_for(10_000).await;
    let shown = operator::show(harness.pool(), "rent_node", &key).await.unwrap().unwrap();
    assert_eq!(shown.status, "abandoned");
    let open = |i: &operator::IntentView| !["done", "abandoned"].contains(&i.status.as_str());
    assert!(!shown.intents.iter().any(open), "{:?}", shown.intents);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_skipped_teardown_counts_as_clean(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let allocation_id = rent(&mut harness, organisation_id).await;
    harness.faults.arm("tear_down", Mode::Forever);
    release(&mut harness, allocation_id).await;
    let intent_id = harness.snapshot().await.stuck[0].id.clone();
    let decision = Decision { intent_id: intent_id.clone(), reason: "disk destroyed".to_owned() };
    operator::skip(&harness.commands, &harness.context(), decision).await.unwrap();
    let key = allocation_id.to_string();
    harness.until("it is released", |s| s.ended("release_node", &key)).await;
    let shown = operator::show(harness.pool(), "release_node", &key).await.unwrap().unwrap();
    assert!(shown.intents.iter().any(|i| i.id == intent_id && i.status == "skipped"));
    let evidence: String = sqlx::query_scalar(
        "SELECT payload->>'evidence' FROM events WHERE event_type = 'allocation.teardown_verified'",
    )
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(evidence, "an operator vouches: disk destroyed");
}

/// Whatever an operator says, nobody pays before a login is proven.
#[sqlx::test(migrations = "../migrations")]
async fn the_proof_of_a_login_cannot_be_skipped(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    harness.stop_runner().await;
    harness.config.settings.provision_seconds = 100_000;
    harness.config.settings.reserve_seconds = 100_000;
    harness.start_runner();
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("ensure_prove", Mode::Forever);
    let allocation_id = ask(&harness, organisation_id, None).await;
    harness.run_for(1_000).await;
    let key = allocation_id.to_string();
    let shown = operator::show(harness.pool(), "rent_node", &key).await.unwrap().unwrap();
    let prove = shown.intents.iter().find(|intent| intent.name == "ensure_prove").unwrap();
    let decision = Decision { intent_id: prove.id.clone(), reason: "it works".to_owned() };
    let answer = operator::skip(&harness.commands, &harness.context(), decision).await;
    assert!(
        matches!(&answer, Err(ExecuteError::Refused { code, .. }) if code == "intent_not_skippable"),
        "{answer:?}"
    );
    let allocation: Allocation = harness.load(&key).await;
    assert_eq!(allocation.activated_at, None);
}

/// An undo does not give up, however it fails; it calls when it is overdue and goes on by itself.
#[sqlx::test(migrations = "../migrations")]
async fn an_undo_that_fails_is_tried_until_it_is_done(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("ensure_limits", Mode::Permanent);
    harness.faults.arm("release_hold", Mode::Permanent);
    let allocation_id = ask(&harness, organisation_id, None).await;
    let key = allocation_id.to_string();
    harness.run_for(200).await;
    assert!(harness.faults.hits("release_hold") > 3, "the fault bit, again and again");
    assert!(harness.snapshot().await.stuck.is_empty(), "nobody is called for the first failure");
    harness.until("it is overdue", |s| !s.stuck.is_empty()).await;
    harness.faults.mend();
    harness.run_for(120).await;
    let snapshot = harness.snapshot().await;
    assert_eq!(snapshot.status("rent_node", &key), Some("unwound"), "nobody had to ask");
    assert!(snapshot.stuck.is_empty(), "{:?}", snapshot.stuck);
}

//! The runtime and its operators: what happens beside the straight path, on a real database, in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::processes::operator::{self, Decision, Filter};
use cairn_commands::{ExecuteError, compute, fleet, payments};
use cairn_compute::{Allocation, AllocationStatus, ReleaseReason, Step};
use cairn_core::{AllocationId, Currency, NodeId, OrganisationId};
use cairn_fleet::{Link, Node, NodeLifecycle, Policy, ReservationStatus};
use cairn_ledger::{Wallet, wallet_id};
use cairn_payments::{Payment, PaymentStatus};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory, SKU, usd};
use support::provider::DECLINED;

type Options = PgConnectOptions;

async fn top_up(harness: &mut Harness, organisation_id: OrganisationId, units: i64) -> String {
    let request = payments::RequestTopUp {
        organisation_id,
        amount: usd(units),
        payment_method: Some("pm_card_visa".to_owned()),
    };
    let asked = payments::request_top_up(&harness.commands, &harness.context(), request).await;
    let key = asked.unwrap().aggregate_id;
    harness.until("the top-up is settled", |s| s.ended("top_up", &key)).await;
    key
}

async fn ask(
    harness: &Harness,
    organisation_id: OrganisationId,
    node_id: Option<NodeId>,
) -> AllocationId {
    let request = compute::RequestAllocation {
        organisation_id,
        sku_id: SKU.to_owned(),
        currency: Currency::USD,
        ssh_public_key: harness.world.public_key(),
        node_id,
    };
    let asked = compute::request_allocation(&harness.commands, &harness.context(), request).await;
    asked.unwrap().aggregate_id.parse().unwrap()
}

async fn rent(harness: &mut Harness, organisation_id: OrganisationId) -> AllocationId {
    let allocation_id = ask(harness, organisation_id, None).await;
    let key = allocation_id.to_string();
    harness
        .until("the rental has ended or is stuck", |s| {
            s.ended("rent_node", &key) || !s.stuck.is_empty()
        })
        .await;
    allocation_id
}

async fn release(harness: &mut Harness, allocation_id: AllocationId) {
    let request = compute::RequestRelease {
        organisation_id: None,
        allocation_id,
        reason: ReleaseReason::Operator,
    };
    compute::request_release(&harness.commands, &harness.context(), request).await.unwrap();
    let key = allocation_id.to_string();
    harness
        .until("the release has ended or is stuck", |s| {
            s.ended("release_node", &key) || !s.stuck.is_empty()
        })
        .await;
}

async fn wallet(harness: &Harness, organisation_id: OrganisationId) -> Wallet {
    harness.load(&wallet_id(organisation_id, Currency::USD)).await
}

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_host_key_quarantines_the_node_and_gives_the_money_back(
    _: PgPoolOptions,
    db: Options,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("ensure_user", Mode::Untrusted);
    harness.faults.arm("tear_down", Mode::Untrusted);
    let allocation_id = rent(&mut harness, organisation_id).await;
    harness.until("an operator is called", |s| !s.stuck.is_empty()).await;
    let node: Node = harness.load(&harness.node_id.to_string()).await;
    assert_eq!(node.lifecycle, NodeLifecycle::Quarantined);
    let held = &node.reservations[&allocation_id.to_string()];
    assert_eq!(held.status, ReservationStatus::Quarantined, "never resold until it is proven");
    let allocation: Allocation = harness.load(&allocation_id.to_string()).await;
    assert_eq!(allocation.failed_step, Some(Step::User));
    assert!(allocation.needs_operator);
    let wallet = wallet(&harness, organisation_id).await;
    assert_eq!((wallet.held_nanos, wallet.posted_nanos), (0, usd(20).nanos));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_teardown_that_is_stuck_does_not_hold_the_money_back(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let allocation_id = rent(&mut harness, organisation_id).await;
    harness.run_for(100).await;
    harness.faults.arm("tear_down", Mode::Forever);
    release(&mut harness, allocation_id).await;
    let allocation: Allocation = harness.load(&allocation_id.to_string()).await;
    assert_eq!(allocation.status, AllocationStatus::Releasing);
    assert!(allocation.needs_operator);
    let settled = wallet(&harness, organisation_id).await;
    assert_eq!(settled.held_nanos, 0);
    assert_eq!(settled.posted_nanos, usd(20).nanos - 100 * 1_000_000);
    assert_eq!(operator::waiting(harness.pool()).await.unwrap(), 1);
    harness.faults.mend();
    let stuck = harness.snapshot().await.stuck[0].id.clone();
    harness.retry(&stuck).await.unwrap();
    let key = allocation_id.to_string();
    harness.until("it is released", |s| s.ended("release_node", &key)).await;
    let allocation: Allocation = harness.load(&key).await;
    assert_eq!(allocation.status, AllocationStatus::Released);
    assert_eq!(wallet(&harness, organisation_id).await, settled, "charged once");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_is_released_while_its_hold_still_covers_it(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 5).await;
    let allocation_id = rent(&mut harness, organisation_id).await;
    let key = allocation_id.to_string();
    harness.until("it is released", |s| s.ended("release_node", &key)).await;
    let allocation: Allocation = harness.load(&key).await;
    let used = allocation.released_at.unwrap().secs_since(allocation.activated_at.unwrap());
    // 5.00 at 0.001 a second is 5,000 s; it winds down within the last 150 s and a tick.
    assert!((4_800..5_000).contains(&used), "used for {used} s");
    let wallet = wallet(&harness, organisation_id).await;
    assert_eq!(wallet.held_nanos, 0);
    assert_eq!(wallet.posted_nanos, usd(5).nanos - used * 1_000_000);
    assert!(wallet.holds.values().all(|hold| hold.overrun_nanos == 0), "nothing is owed");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wanted_node_that_is_unknown_rejects_with_its_code(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    let nobody = NodeId::from_bits(77);
    let allocation_id = ask(&harness, organisation_id, Some(nobody)).await;
    let key = allocation_id.to_string();
    harness.until("it is rejected", |s| s.status("rent_node", &key) == Some("unwound")).await;
    let code: String = sqlx::query_scalar(
        "SELECT payload->>'code' FROM events WHERE event_type = 'allocation.rejected' AND aggregate_id = $1",
    )
    .bind(&key)
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(code, "unknown_node");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_declined_card_fails_the_top_up_and_credits_nothing(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    let request = payments::RequestTopUp {
        organisation_id,
        amount: usd(20),
        payment_method: Some(DECLINED.to_owned()),
    };
    let asked = payments::request_top_up(&harness.commands, &harness.context(), request).await;
    let key = asked.unwrap().aggregate_id;
    harness.until("it failed", |s| s.status("top_up", &key) == Some("unwound")).await;
    let payment: Payment = harness.load(&key).await;
    assert_eq!(payment.status, PaymentStatus::Failed);
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_that_fails_after_its_success_comes_back(_: PgPoolOptions, db: Options) {
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    let organisation_id = harness.organisation();
    let payment = top_up(&mut harness, organisation_id, 20).await;
    let request = payments::RequestRefund {
        organisation_id,
        payment_id: payment.parse().unwrap(),
        amount: Some(usd(7)),
        reason: "too much".to_owned(),
    };
    let asked = payments::request_refund(&harness.commands, &harness.context(), request).await;
    let result = asked.unwrap().result;
    let key = result["refund_id"].as_str().unwrap();
    harness.until("it succeeded", |s| s.status("refund_payment", key) == Some("done")).await;
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, usd(13).nanos);
    memory.provider.fail_refund(key);
    harness.until("it came back", |s| s.status("refund_payment", key) == Some("unwound")).await;
    assert_eq!(wallet(&harness, organisation_id).await.posted_nanos, usd(20).nanos);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_beyond_the_payment_is_refused_at_once_and_for_ever(
    _: PgPoolOptions,
    db: Options,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    let payment = top_up(&mut harness, organisation_id, 20).await;
    let request = |units| payments::RequestRefund {
        organisation_id,
        payment_id: payment.parse().unwrap(),
        amount: Some(usd(units)),
        reason: "too much".to_owned(),
    };
    let context = harness.context();
    for replay in [false, true] {
        let asked = payments::request_refund(&harness.commands, &context, request(21)).await;
        assert!(
            matches!(&asked, Err(ExecuteError::Refused { code, replayed, .. })
                if code == "exceeds_refundable" && *replayed == replay),
            "{asked:?}"
        );
    }
    let mut other = request(1);
    other.organisation_id = harness.organisation();
    let asked = payments::request_refund(&harness.commands, &harness.context(), other).await;
    assert!(matches!(&asked, Err(ExecuteError::Refused { code, .. }) if code == "unknown_payment"));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_silent_node_becomes_suspect_then_offline_and_comes_back(_: PgPoolOptions, db: Options) {
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    let node = harness.node_id.to_string();
    memory.nodes.set_silent("memory", true);
    harness.run_for(86_400 + 20).await;
    assert_eq!(harness.load::<Node>(&node).await.link, Link::Suspect);
    harness.run_for(86_400 + 120).await;
    assert_eq!(harness.load::<Node>(&node).await.link, Link::Offline);
    let organisation_id = harness.organisation();
    let allocation_id = ask(&harness, organisation_id, None).await.to_string();
    harness.until("nobody takes it", |s| s.ended("rent_node", &allocation_id)).await;
    memory.nodes.set_silent("memory", false);
    harness.run_for(2 * 86_400).await;
    assert_eq!(harness.load::<Node>(&node).await.link, Link::Online);
}

#[sqlx::test(migrations = "../migrations")]
async fn three_failed_probes_quarantine_a_new_node(_: PgPoolOptions, db: Options) {
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    memory.nodes.set_silent("memory", true);
    let node_id = harness.enrol("node-2").await;
    let key = node_id.to_string();
    harness.until("it gave up", |s| s.status("verify_node", &key) == Some("unwound")).await;
    let node: Node = harness.load(&key).await;
    assert_eq!((node.lifecycle, node.probe_failures), (NodeLifecycle::Quarantined, 3));
}

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
    let active = |s: &support::harness::Snapshot| {
        rentals.iter().all(|key| s.status("rent_node", key) == Some("done"))
    };
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
async fn a_drained_node_empties_itself_and_can_retire(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let rentals =
        [rent(&mut harness, organisation_id).await, rent(&mut harness, organisation_id).await];
    let node_id = harness.node_id;
    let set = |policy| fleet::SetPolicy { node_id, policy, reason: "old".to_owned() };
    let context = harness.context();
    fleet::set_policy(&harness.commands, &context, set(Policy::Draining)).await.unwrap();
    harness.run_for(3_500).await;
    let allocation: Allocation = harness.load(&rentals[0].to_string()).await;
    assert_eq!(allocation.status, AllocationStatus::Active, "there is time to leave");
    harness.run_for(200).await;
    for allocation_id in rentals {
        let allocation: Allocation = harness.load(&allocation_id.to_string()).await;
        assert_eq!(allocation.status, AllocationStatus::Released);
    }
    let context = harness.context();
    fleet::set_policy(&harness.commands, &context, set(Policy::Retired)).await.unwrap();
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
    let active =
        |s: &support::harness::Snapshot| s.status("rent_node", &allocation_id) == Some("done");
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
    let active =
        |s: &support::harness::Snapshot| s.status("rent_node", &allocation_id) == Some("done");
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

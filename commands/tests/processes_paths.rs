//! What happens beside the straight path, on a real database, in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::processes::operator;
use cairn_commands::{ExecuteError, Expected, fleet, payments};
use cairn_compute::{Allocation, AllocationStatus, Step};
use cairn_core::NodeId;
use cairn_fleet::{Health, Link, Node, NodeLifecycle, Policy, ReservationStatus, Usage};
use cairn_payments::{Payment, PaymentStatus};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory, resources, usd};
use support::provider::DECLINED;
use support::stories::{ask, release, rent, top_up, wallet};

type Options = PgConnectOptions;

#[sqlx::test(migrations = "../migrations")]
async fn a_changed_host_key_quarantines_the_node_and_gives_the_money_back(
    _: PgPoolOptions,
    db: Options,
) {
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    harness.faults.arm("ensure_user", Mode::Untrusted);
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
    // Nobody has spoken to it since, whatever is to be taken off it. Enrolled anew, it is cleaned and its capacity is free.
    let key = allocation_id.to_string();
    assert_eq!(memory.nodes.left(&key), ["uid", "home"]);
    assert_eq!(harness.faults.hits("tear_down"), 0, "a login to a quarantined node");
    harness.faults.mend();
    harness.enrol_anew().await;
    let stuck = harness.snapshot().await.stuck[0].id.clone();
    harness.retry(&stuck).await.unwrap();
    harness.until("it is clean", |s| s.ended("rent_node", &key)).await;
    assert_eq!(memory.nodes.left(&key), Vec::<String>::new());
    let node: Node = harness.load(&harness.node_id.to_string()).await;
    assert!(node.is_schedulable() && node.reservations.is_empty());
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
async fn a_rental_is_suspended_while_its_hold_still_covers_it(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 5).await;
    let allocation_id = rent(&mut harness, organisation_id).await;
    let key = allocation_id.to_string();
    harness.until("it is suspended", |s| s.status("suspend_tenant", &key).is_some()).await;
    harness.run_for(1).await;
    let allocation: Allocation = harness.load(&key).await;
    assert_eq!(allocation.status, AllocationStatus::Suspended);
    let used = allocation.stopped_at.unwrap().secs_since(allocation.activated_at.unwrap());
    // 5.00 at 0.001 a second is 5,000 s; it winds down within the last 150 s and a tick.
    assert!((4_800..5_000).contains(&used), "used for {used} s");
    let wallet = wallet(&harness, organisation_id).await;
    assert_eq!(wallet.posted_nanos, usd(5).nanos - used * 1_000_000);
    assert_eq!(wallet.held_nanos, wallet.posted_nanos, "what is left stays set aside for it");
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
async fn a_rental_that_fits_nowhere_is_told_what_would(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 100).await;
    let node: Node = harness.load(&harness.node_id.to_string()).await;
    let rentals = node.capacity.cpu_millis / resources().cpu_millis;
    for _ in 0..rentals {
        rent(&mut harness, organisation_id).await;
    }
    let allocation_id = rent(&mut harness, organisation_id).await.to_string();
    let (code, message): (String, String) = sqlx::query_as(
        "SELECT payload->>'code', payload->>'message' FROM events
         WHERE event_type = 'allocation.rejected' AND aggregate_id = $1",
    )
    .bind(&allocation_id)
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(code, "no_capacity");
    assert!(message.contains("no node has 500 m of CPU"), "{message}");
    assert!(message.contains("up to 0 m of CPU, 14336 MiB of memory"), "{message}");
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
async fn a_node_that_is_nearly_used_up_takes_nothing_new_until_it_has_air(
    _: PgPoolOptions,
    db: Options,
) {
    let memory = Memory::new();
    let mut harness = Harness::start(db, Arc::clone(&memory) as _).await;
    let node = harness.node_id.to_string();
    let full = Usage { disk_permille: 930, ..Usage::default() };
    memory.nodes.use_up(full);
    harness.run_for(86_400 + 20).await;
    assert_eq!(harness.load::<Node>(&node).await.health, Health::Ok, "once is not enough");
    harness.run_for(86_400).await;
    assert_eq!(harness.load::<Node>(&node).await.health, Health::Degraded);
    let organisation_id = harness.organisation();
    let allocation_id = ask(&harness, organisation_id, None).await.to_string();
    harness.until("nobody takes it", |s| s.ended("rent_node", &allocation_id)).await;
    assert_eq!(harness.load::<Node>(&node).await.reservations.len(), 0);
    memory.nodes.use_up(Usage::default());
    harness.run_for(86_400).await;
    assert_eq!(harness.load::<Node>(&node).await.health, Health::Degraded, "not at once");
    harness.run_for(86_400).await;
    assert!(harness.load::<Node>(&node).await.is_schedulable());
}

#[sqlx::test(migrations = "../migrations")]
async fn an_invitation_that_nobody_took_expires(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let invite = fleet::InviteNode { node_id: None, name: "node-2".to_owned() };
    let invited = fleet::invite_node(&harness.commands, &harness.context(), invite).await.unwrap();
    let key = invited.executed.aggregate_id;
    harness.run_for(1_790).await;
    assert_eq!(harness.load::<Node>(&key).await.lifecycle, NodeLifecycle::Invited);
    harness.run_for(20).await;
    let node: Node = harness.load(&key).await;
    assert_eq!((node.lifecycle, node.token_sha256), (NodeLifecycle::Expired, None));
    let again = fleet::InviteNode { node_id: node.node_id, name: "node-2".to_owned() };
    fleet::invite_node(&harness.commands, &harness.context(), again).await.unwrap();
    harness.run_for(10).await;
    assert_eq!(harness.load::<Node>(&key).await.lifecycle, NodeLifecycle::Invited);
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

#[sqlx::test(migrations = "../migrations")]
async fn a_drained_node_empties_itself_and_can_retire(_: PgPoolOptions, db: Options) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;
    let rentals =
        [rent(&mut harness, organisation_id).await, rent(&mut harness, organisation_id).await];
    let node_id = harness.node_id;
    let set = |policy| {
        let (reason, expected) = ("old".to_owned(), Expected::Anything);
        fleet::SetPolicy { node_id, policy, reason, expected }
    };
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

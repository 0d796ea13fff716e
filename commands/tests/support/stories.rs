//! The usual steps of a story, each driven to its end.
use cairn_commands::{ExecuteError, Executed, Expected, compute, payments};
use cairn_compute::ReleaseReason;
use cairn_core::{AllocationId, Currency, NodeId, OrganisationId};
use cairn_ledger::{Wallet, wallet_id};

use super::harness::{Harness, SKU, usd};

pub async fn top_up(harness: &mut Harness, organisation_id: OrganisationId, units: i64) -> String {
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

pub async fn ask(
    harness: &Harness,
    organisation_id: OrganisationId,
    node_id: Option<NodeId>,
) -> AllocationId {
    let request = compute::RequestAllocation {
        organisation_id,
        sku_id: SKU.to_owned(),
        additional_disk_gib: 0,
        currency: Currency::USD,
        ssh_public_key: harness.world.public_key(),
        project_id: None,
        node_id,
    };
    let asked = compute::request_allocation(&harness.commands, &harness.context(), request).await;
    asked.unwrap().aggregate_id.parse().unwrap()
}

pub async fn rent(harness: &mut Harness, organisation_id: OrganisationId) -> AllocationId {
    let allocation_id = ask(harness, organisation_id, None).await;
    let key = allocation_id.to_string();
    harness
        .until("the rental has ended or is stuck", |s| {
            s.ended("rent_node", &key) || !s.stuck.is_empty()
        })
        .await;
    allocation_id
}

pub async fn ask_for_release(harness: &Harness, allocation_id: AllocationId) {
    let request = compute::RequestRelease {
        organisation_id: None,
        allocation_id,
        reason: ReleaseReason::Operator,
        expected: Expected::Anything,
    };
    compute::request_release(&harness.commands, &harness.context(), request).await.unwrap();
}

pub async fn release(harness: &mut Harness, allocation_id: AllocationId) {
    ask_for_release(harness, allocation_id).await;
    let key = allocation_id.to_string();
    harness
        .until("the release has ended or is stuck", |s| {
            s.ended("release_node", &key) || !s.stuck.is_empty()
        })
        .await;
}

pub async fn correct(
    harness: &Harness,
    allocation_id: AllocationId,
    seconds: i64,
) -> Result<Executed, ExecuteError> {
    let reason = "its clock was ahead".to_owned();
    let expected = Expected::Anything;
    let wish = compute::CorrectUsage { allocation_id, seconds, reason, expected };
    compute::correct_usage(&harness.commands, &harness.context(), wish).await
}

pub async fn wallet(harness: &Harness, organisation_id: OrganisationId) -> Wallet {
    harness.load(&wallet_id(organisation_id, Currency::USD)).await
}

/// Cases of late usage: which, its rental and by how much.
pub async fn in_review(harness: &Harness) -> Vec<(String, String, i64)> {
    let rental = "split_part(payload->'item'->>'reference', ':', 1)";
    let nanos = "(payload->'item'->>'difference_nanos')::bigint";
    let query = format!(
        "SELECT aggregate_id, {rental}, {nanos} FROM events
         WHERE event_type = 'break.found' AND payload->'item'->>'break_type' = 'usage_late'"
    );
    sqlx::query_as(&query).fetch_all(harness.pool()).await.unwrap()
}

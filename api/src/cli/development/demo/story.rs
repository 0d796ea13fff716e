//! The story, step by step, told over HTTP by an operator and a customer.
use std::time::Duration;

use cairn_core::Tariff;
use cairn_core::money::{format_nanos, parse_nanos};
use serde_json::{Value, json};

use super::client::{Client, text};
use super::machine;
use super::report::{AllocationPart, CompensationPart, NodePart, RefundPart, Report, TopUpPart};
use super::stage::Stage;
use crate::cli::exit::CliError;

const CURRENCY: &str = "USD";
const TOP_UP: &str = "20.00";
const PER_HOUR: &str = "3.60";
const MIB: u64 = 1 << 20;

/// Tells it from the first node to the refund.
pub(super) async fn tell(stage: &Stage, seconds: u64, report: &mut Report) -> Result<(), CliError> {
    report.currency = CURRENCY.to_owned();
    let key = machine::make_key(stage.directory())?;
    sell(stage).await?;
    report.node = Some(enrol(stage).await?);
    let top_up = top_up(stage).await?;
    let top_up_id = top_up.top_up_id.clone();
    report.top_up = Some(top_up);
    report.allocation = Some(rent(stage, &key, seconds, report).await?);
    report.compensation = Some(fail(stage, &key).await?);
    report.refund = Some(refund(stage, &top_up_id).await?);
    let balance = stage.customer.get("/v1/balance").await?;
    let left = text(&balance, "/items/0/posted");
    stage.say(&format!("left in the wallet: {left} {CURRENCY}"));
    report.balance = Some(left);
    Ok(())
}

async fn sell(stage: &Stage) -> Result<(), CliError> {
    let resources = json!({
        "cpu_millis": 250, "memory_bytes": 64 * MIB, "disk_bytes": 32 * MIB, "pids_max": 64
    });
    let sku = json!({ "sku_id": "small", "resources": resources });
    stage.operator.post("/v1/skus", &sku).await?;
    let price = json!({ "amount": PER_HOUR, "currency": CURRENCY });
    stage.operator.post_upon("*", "/v1/skus/small/prices", &price).await?;
    stage.say(&format!("the operator sells 'small' at {PER_HOUR} {CURRENCY} per 3,600 s"));
    Ok(())
}

async fn enrol(stage: &Stage) -> Result<NodePart, CliError> {
    let invitation = stage.operator.post("/v1/nodes", &json!({ "name": "demo-node" })).await?;
    let node_id = text(&invitation, "/node_id");
    stage.machine.enrol(stage.address, &invitation, &stage.operator).await?;
    let ready =
        |node: &Value| text(node, "/lifecycle") == "ready" && text(node, "/link") == "online";
    stage.operator.until(&format!("/v1/nodes/{node_id}"), ready).await?;
    let statement = stage.machine.statement();
    stage.say(&format!("the node is enrolled, verified and ready: {statement}"));
    Ok(NodePart { kind: stage.machine.kind().to_owned(), statement, node_id })
}

async fn top_up(stage: &Stage) -> Result<TopUpPart, CliError> {
    let wish = json!({ "amount": TOP_UP, "currency": CURRENCY, "payment_method": "pm_card_visa" });
    let asked = stage.customer.post("/v1/top-ups", &wish).await?;
    let top_up_id = text(&asked, "/top_up_id");
    let path = format!("/v1/top-ups/{top_up_id}");
    let paid = stage.customer.until(&path, |t| ended(t) && t.get("fee").is_some()).await?;
    let (status, amount) = (text(&paid, "/status"), text(&paid, "/amount"));
    let credited = |b: &Value| text(b, "/items/0/posted") == TOP_UP;
    stage.customer.until("/v1/balance", credited).await?;
    stage.say(&format!("the customer's top-up of {amount} {CURRENCY}: {status}"));
    Ok(TopUpPart { top_up_id, status, amount })
}

fn ended(thing: &Value) -> bool {
    matches!(text(thing, "/status").as_str(), "succeeded" | "failed")
}

async fn request(stage: &Stage, key: &str) -> Result<String, CliError> {
    let wish = json!({ "sku_id": "small", "currency": CURRENCY, "ssh_public_key": key });
    let asked = stage.customer.post("/v1/allocations", &wish).await?;
    Ok(text(&asked, "/allocation_id"))
}

async fn rent(
    stage: &Stage,
    key: &str,
    seconds: u64,
    report: &mut Report,
) -> Result<AllocationPart, CliError> {
    let allocation_id = request(stage, key).await?;
    let path = format!("/v1/allocations/{allocation_id}");
    let settled = |a: &Value| matches!(&*text(a, "/status"), "active" | "failed" | "rejected");
    let active = stage.customer.until(&path, settled).await?;
    if text(&active, "/status") != "active" {
        return Err(CliError::failure(format!("the rental did not become active: {active}")));
    }
    stage.say(&format!("rented and proven ready: {allocation_id}"));
    let ssh_login = log_in(stage, &path, &active).await?;
    let who = match stage.machine.kind() {
        "namespace" => "the customer's own ssh login says",
        _ => "nobody can log in to a scripted node; it answered Cairn's own proof with",
    };
    stage.say(&format!("{who}: {ssh_login}"));
    if stage.machine.left()?.is_empty() {
        return Err(CliError::failure(
            "the look for what is left sees nothing of a running rental",
        ));
    }
    let long =
        |a: &Value| a["active_seconds"].as_i64().is_some_and(|s| s.unsigned_abs() >= seconds);
    stage.customer.until(&path, long).await?;
    stage.customer.post(&format!("{path}/release"), &json!({})).await?;
    let released = stage.customer.until(&path, |a| text(a, "/status") == "released").await?;
    let active_seconds = released["active_seconds"].as_i64().unwrap_or_default();
    let charged = text(&released, "/charged");
    stage.say(&format!("released after {active_seconds} s and charged {charged} {CURRENCY}"));
    report.charged = Some(charged);
    report.expected_charge = Some(price_of(active_seconds)?);
    let (status, per_hour) = (text(&released, "/status"), text(&released, "/per_hour"));
    Ok(AllocationPart { allocation_id, status, ssh_login, active_seconds, per_hour })
}

/// What so many seconds cost, computed apart from the meter.
fn price_of(seconds: i64) -> Result<String, CliError> {
    let wrong = |error: cairn_core::MoneyError| CliError::failure(error.to_string());
    let tariff = Tariff::flat(parse_nanos(PER_HOUR).map_err(wrong)?);
    Ok(format_nanos(tariff.total(seconds).map_err(wrong)?))
}

async fn log_in(stage: &Stage, path: &str, active: &Value) -> Result<String, CliError> {
    if stage.machine.kind() == "namespace" {
        return tokio::task::block_in_place(|| machine::log_in(stage.directory(), &active["ssh"]));
    }
    // No Linux, no login: what the scripted node answered to Cairn's own.
    let timeline = stage.customer.get(&format!("{path}/timeline")).await?;
    let items = timeline["items"].as_array().cloned().unwrap_or_default();
    let proof = items.iter().find(|item| text(item, "/entry") == "activated");
    Ok(proof.map(|item| text(item, "/detail")).unwrap_or_default())
}

async fn available(customer: &Client) -> Result<String, CliError> {
    Ok(text(&customer.get("/v1/balance").await?, "/items/0/available"))
}

/// The second rental, whose provisioning is made to fail.
async fn fail(stage: &Stage, key: &str) -> Result<CompensationPart, CliError> {
    let before = available(&stage.customer).await?;
    stage.machine.obstruct()?;
    let allocation_id = request(stage, key).await?;
    let path = format!("/v1/allocations/{allocation_id}");
    let over = |a: &Value| matches!(&*text(a, "/status"), "active" | "failed" | "rejected");
    let ended = stage.customer.until(&path, over).await?;
    stage.machine.mend()?;
    let restored = stage.customer.until("/v1/balance", |b| text(b, "/items/0/available") == before);
    let restored = tokio::time::timeout(Duration::from_secs(30), restored).await;
    let funds_restored = matches!(restored, Ok(Ok(_)));
    let left_on_node = stage.machine.left()?;
    let (status, failed_step) = (text(&ended, "/status"), text(&ended, "/failure/step"));
    let left = left_on_node.len();
    stage.say(&format!(
        "the second rental: {status} at step '{failed_step}', funds restored: {funds_restored}, left on the node: {left}"
    ));
    Ok(CompensationPart { allocation_id, status, failed_step, funds_restored, left_on_node })
}

async fn refund(stage: &Stage, top_up_id: &str) -> Result<RefundPart, CliError> {
    let wish = json!({ "top_up_id": top_up_id, "reason": "the demo is over" });
    let asked = stage.customer.post("/v1/refunds", &wish).await?;
    let refund_id = text(&asked, "/refund_id");
    let done = stage.customer.until(&format!("/v1/refunds/{refund_id}"), ended).await?;
    let (status, amount) = (text(&done, "/status"), text(&done, "/amount"));
    stage.say(&format!("the rest went back to the card: {amount} {CURRENCY}, {status}"));
    Ok(RefundPart { refund_id, status, amount })
}

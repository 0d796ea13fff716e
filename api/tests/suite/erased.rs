//! What is under way for an erased subject comes to an end: nothing hangs, nothing is put on a node or collected with what nobody knows.
use cairn_commands::effects;
use cairn_commands::ports::PortError;
use cairn_compute::Step;
use cairn_core::NodeId;
use cairn_identity::Role;
use cairn_ssh::{Call, When};
use cairn_stripe_simulator::{Chance, Faults};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::privacy::ssh_key;
use crate::support::{Caller, MASTER_KEY, PATIENCE, Stage};

const ERASED: &str = "subject_erased";

async fn rented(owner: &Caller) -> String {
    let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": ssh_key() });
    let asked = owner.post("/v1/allocations", &wish).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    asked.header("location").to_owned()
}

/// Erases an organisation by the command line.
pub async fn erase(stage: &Stage, options: &PgConnectOptions, owner: &Caller) {
    let key = stage.path(MASTER_KEY);
    let shell = Shell::new(options).with("CAIRN_PRIVACY_KEY", key.to_string_lossy());
    let erased =
        shell.json(&format!("privacy erase {} --reason asked --yes", owner.organisation_id)).await;
    assert_eq!(erased["key_destroyed"], true, "{erased}");
}

async fn until(wanted: impl Fn() -> bool, what: &str) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !wanted() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

fn balance(of: &Value) -> (&Value, &Value) {
    (&of["items"][0]["posted"], &of["items"][0]["held"])
}

#[sqlx::test(migrations = "../migrations")]
async fn what_waits_for_a_node_or_the_provider_fails_and_gives_back_what_it_held(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let owner = stage.caller(Role::Owner).await;
    owner.top_up("20.00").await;
    let untouched = owner.get("/v1/balance").await.body;
    let simulator = &stage.provider.simulator;
    simulator.set_faults(Faults { server_error: Chance::probability(1.0), ..Faults::default() });
    stage.nodes.fail(
        Call::Ensure(Step::Access),
        When::Before,
        PortError::transient("node_unreachable", "the cable is out"),
        None,
    );
    let rental = rented(&owner).await;
    let wish = json!({ "amount": "5.00", "currency": "USD", "payment_method": "pm_card_visa" });
    let top_up = owner.post("/v1/top-ups", &wish).await.header("location").to_owned();
    until(|| stage.nodes.bites() > 0, "the node was never asked").await;
    until(|| simulator.counts().server_error > 0, "the provider was never asked").await;

    erase(&stage, &options, &owner).await;
    let calls = stage.nodes.calls().len();
    // The node need not be there for it; the provider has to say that it has nothing.
    let failed = owner.until(&rental, |a| a["status"] == "failed").await;
    assert_eq!(failed["failure"]["code"], ERASED, "{failed}");
    let refused = simulator.counts().server_error;
    until(|| simulator.counts().server_error > refused, "the provider is not asked again").await;
    assert_eq!(owner.get(&top_up).await.body["status"], "requested");
    simulator.set_faults(Faults::default());
    let unpaid = owner.until(&top_up, |t| t["status"] == "failed").await;
    assert_eq!(unpaid["failure_code"], ERASED, "{unpaid}");
    assert!(simulator.book().payment_intents().len() == 1, "it was collected");
    let back = owner.until("/v1/balance", |b| balance(b) == balance(&untouched)).await;
    assert_eq!(balance(&back), balance(&untouched));
    until(|| stage.nodes.left().is_empty(), "something is left on the node").await;
    let after = &stage.nodes.calls()[calls..];
    let ensured = |(_, call): &_| matches!(call, Call::Ensure(_));
    assert!(!after.iter().any(ensured), "{after:?}");
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_runs_is_not_taken_for_drift_and_can_be_released(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options.clone()).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let owner = stage.caller(Role::Owner).await;
    owner.top_up("20.00").await;
    let rental = rented(&owner).await;
    let active = owner.until(&rental, |a| a["status"] == "active").await;
    let node: NodeId = active["node_id"].as_str().unwrap().parse().unwrap();
    erase(&stage, &options, &owner).await;

    let there = stage.nodes.left();
    let executor = &stage.commands.executor;
    let compared = effects::drift(executor, stage.nodes.as_ref(), node).await.unwrap().unwrap();
    assert!(compared.findings.is_empty(), "{compared:?}");
    assert_eq!(stage.nodes.left(), there, "looking changed something");
    // The comparison bites still: another difference of the same tenant is seen.
    let id = there[0].0;
    stage.nodes.tamper((node, id), Step::Limits, false);
    let compared = effects::drift(executor, stage.nodes.as_ref(), node).await.unwrap().unwrap();
    assert!(!compared.findings.is_empty(), "{compared:?}");
    stage.nodes.tamper((node, id), Step::Limits, true);

    let released = owner.post(&format!("{rental}/release"), &json!({})).await;
    assert!(released.status < 300, "{}", released.body);
    owner.until(&rental, |a| a["status"] == "released").await;
    until(|| stage.nodes.left().is_empty(), "something is left on the node").await;
    stage.strike().await;
}

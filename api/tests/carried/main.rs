//! A server whose log is carried by EventStoreDB's protocol, spoken by the simulator.
//!
//! A program of its own: the vendor's client must be the first to name the process's cryptography, and it ends when somebody did before.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    reason = "a test, with parts of the suite"
)]
#[path = "../suite/contract.rs"]
mod contract;
#[path = "../suite/house.rs"]
mod house;
#[path = "../suite/load.rs"]
mod load;
#[path = "../suite/openapi.rs"]
mod openapi;
#[path = "../suite/settled.rs"]
mod settled;
#[path = "../suite/support.rs"]
mod support;

use std::sync::Arc;

use cairn_api::http::limits::Limits;
use cairn_event_log::{EventLog, LogContract as _, Recorded};
use cairn_eventstore::EventStoreLog;
use cairn_eventstore_simulator::Simulator;
use cairn_identity::Role;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::house::House;
use crate::load::{Load, Tally};
use crate::support::{SSH_KEY, Stage};

async fn simulator() -> Simulator {
    Simulator::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Each event of the cluster is in the copy once, and in its order.
fn assert_same(there: &[Recorded], here: &[Recorded]) {
    let name = |event: &Recorded| {
        let stream = (event.aggregate_type.clone(), event.aggregate_id.clone());
        (stream, event.sequence, event.payload.clone(), event.metadata.clone())
    };
    assert_eq!(here.len(), there.len());
    for (here, there) in here.iter().zip(there) {
        assert_eq!(name(here), name(there));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_customer_pays_rents_and_is_charged_while_the_cluster_hangs_up(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let cluster = simulator().await;
    let log = EventLog::connect(options, 16).await.unwrap();
    let carrier = EventStoreLog::connect(&cluster.url()).await.unwrap();
    log.carried_by(Arc::new(carrier.clone())).await.unwrap();
    let stage = Stage::over(log.clone(), Limits::default()).await;
    cluster.faults.hang_up_now_and_then(9);
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    customer.top_up("20.00").await;

    let rental = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let asked = customer.post_as("rent", "/v1/allocations", &rental).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    let again = customer.post_as("rent", "/v1/allocations", &rental).await;
    assert_eq!((again.status, &again.body), (201, &asked.body));
    let path = asked.header("location").to_owned();
    customer.until(&path, |a| a["active_seconds"].as_i64() >= Some(2)).await;
    cluster.hang_up();
    let released = customer.post(&format!("{path}/release"), &json!({})).await;
    assert_eq!(released.status, 202, "{}", released.body);
    let released = customer.until(&path, |a| a["status"] == "released").await;
    let seconds = released["active_seconds"].as_i64().unwrap();
    let charged = format!("0.{seconds:03}").trim_end_matches('0').to_owned();
    assert_eq!(released["charged"], charged, "3.60 an hour is 0.001 a second");
    customer.until("/v1/balance", |b| b["items"][0]["held"] == "0.00").await;
    assert!(cluster.faults.bitten() > 5, "{}", cluster.faults.bitten());

    let (there, here) = (carrier.read(0, 10_000).await, log.read(0, 10_000).await);
    assert_same(&there.unwrap(), &here.unwrap());
    assert!(log.carrier_status().await.unwrap().unwrap().parked.is_empty());
    stage.strike().await;
    cluster.stop().await;
}

/// Answered wishes before each kill.
const ROUNDS: [usize; 1] = [47];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_the_cluster_hangs_up_loses_and_doubles_nothing() {
    let cluster = simulator().await;
    let mut house = House::build().await;
    house.variables.push(("CAIRN_LOG_URL", cluster.url()));
    house.open().await;
    load::open_shop(&house.caller("platform_operator").await).await;
    let customer = house.caller("owner").await;
    let (mut wishes, mut tally) = (vec![], Tally::default());
    for (round, enough) in ROUNDS.into_iter().enumerate() {
        cluster.faults.hang_up_now_and_then(41);
        let load = Load::start(&house.moved(&customer), round);
        load.until_answered(enough).await;
        tally.under_way += load.under_way();
        house.kill().await;
        let mut wished = load.end().await;
        // An answer that was in doubt on its way is not told apart from the first one.
        cluster.faults.hang_up_now_and_then(0);
        house.open().await;
        load::ask_again(&house.moved(&customer), &mut wished, &mut tally).await;
        wishes.extend(wished);
    }
    assert!(tally.in_doubt > 0, "the kill hit nothing: {tally:?}");
    assert!(cluster.faults.bitten() > 0, "{}", cluster.faults.bitten());
    let findings = house.run("doctor").await;
    let carrier = findings.as_array().unwrap().iter().find(|f| f["check"] == "carrier").unwrap();
    assert_eq!(carrier["ok"], true, "{carrier}");
    house.run("audit seal").await;
    house.run("audit verify").await;
    settled::settle(house, &customer, &wishes, &tally).await;
    cluster.stop().await;
}

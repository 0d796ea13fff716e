//! One trace from the request to the last event that it sets in motion.
use std::collections::BTreeSet;

use cairn_event_log::Recorded;
use cairn_identity::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Caller, SSH_KEY, Stage, answer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Posts with trace context, and says under which request id that was.
async fn post(caller: &Caller, path: &str, body: &Value, traceparent: Option<&str>) -> Answer {
    let key = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap().sha256();
    let request = caller.request(Method::POST, path).header("idempotency-key", key).json(body);
    let request = match traceparent {
        Some(traceparent) => request.header("traceparent", traceparent),
        None => request,
    };
    let answered = answer(request).await;
    assert!((200..300).contains(&answered.status), "{}", answered.body);
    answered
}

/// Everything that this request set in motion.
async fn set_in_motion(stage: &Stage, request: &Answer) -> Vec<Recorded> {
    let events = stage.commands.executor.log().read(0, 10_000).await.unwrap();
    let id = request.header("x-request-id");
    events.into_iter().filter(|event| event.metadata.correlation_id == id).collect()
}

/// The trace ids of these events; none when one of them has no trace.
fn traces(events: &[Recorded]) -> Option<BTreeSet<&str>> {
    events.iter().map(|event| event.metadata.traceparent.as_deref()?.get(3..35)).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_trace_goes_from_the_request_into_every_event_it_leads_to(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    customer.top_up("10.00").await;
    let rental = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let asked = post(&customer, "/v1/allocations", &rental, Some(&traceparent)).await;
    customer.until(asked.header("location"), |a| a["status"] == "active").await;

    let events = set_in_motion(&stage, &asked).await;
    assert_eq!(events[0].event_type, "allocation.requested");
    assert_eq!(events[0].metadata.traceparent.as_ref(), Some(&traceparent));
    let made: BTreeSet<_> = events
        .iter()
        .filter(|event| event.metadata.actor.starts_with("process:"))
        .map(|event| event.event_type.as_str())
        .collect();
    for event_type in ["wallet.hold_placed", "node.capacity_reserved", "allocation.activated"] {
        assert!(made.contains(event_type), "no process made {event_type}: {made:?}");
    }
    assert_eq!(traces(&events), Some(BTreeSet::from([TRACE])));
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_request_without_a_trace_begins_one_and_so_does_whoever_enrols(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let operator = stage.caller(Role::PlatformOperator).await;
    let mut begun = BTreeSet::new();
    for (address, traceparent) in [("192.0.2.7", None), ("192.0.2.8", Some("00-not-a-trace-01"))] {
        let invited = post(&operator, "/v1/nodes", &json!({ "name": "n1" }), traceparent).await;
        let events = set_in_motion(&stage, &invited).await;
        let of_request = traces(&events).unwrap();
        assert_eq!(of_request.len(), 1, "{events:?}");
        begun.extend(of_request.into_iter().map(str::to_owned));
        let mut enrolment = stage.enrolment(&invited.body);
        enrolment["address"] = json!(address);
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-00");
        let nobody = stage.nobody();
        let enrolled = post(&nobody, "/v1/nodes/enrol", &enrolment, Some(&traceparent)).await;
        let path = format!("/v1/nodes/{}", invited.text("/node_id"));
        operator.until(&path, |node| node["lifecycle"] == "ready").await;
        let events = set_in_motion(&stage, &enrolled).await;
        assert!(events.len() > 1, "the verification is part of it: {events:?}");
        assert_eq!(traces(&events), Some(BTreeSet::from([TRACE])));
    }
    assert_eq!(begun.len(), 2, "each request begins its own");
    stage.strike().await;
}

//! The control: faults, counts and the book, for tests and demos. Not part of Stripe.
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use crate::book::{ChallengeEnd, DisputeStep, PayoutStep, render_any};
use crate::config::Faults;
use crate::state::{Desk, Shared};

pub(crate) const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Faults, how often each struck, and how the webhooks fare.
pub(crate) async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let webhooks = shared.webhook_counts();
    let desk = shared.desk();
    Json(json!({
        "faults": desk.mischief.faults, "counts": desk.mischief.counts, "webhooks": webhooks,
    }))
}

/// The whole book.
pub(crate) async fn book(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let desk = shared.desk();
    Json(json!({"balances": desk.book.balances(), "book": desk.book}))
}

/// Replaces all faults.
pub(crate) async fn set_faults(
    State(shared): State<Arc<Shared>>,
    Json(faults): Json<Faults>,
) -> Json<Value> {
    shared.desk().mischief.faults = faults.clone();
    Json(json!({"faults": faults}))
}

/// Where webhooks go from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    url: Option<String>,
    secret: String,
}

/// Replaces the address and the secret of the webhooks.
pub(crate) async fn set_webhook(
    State(shared): State<Arc<Shared>>,
    Json(target): Json<Target>,
) -> Json<Value> {
    let url = target.url.clone();
    shared.set_webhook(target.url, target.secret);
    Json(json!({"url": url}))
}

/// A charge that its bank questions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questioned {
    charge: String,
    reason: Option<String>,
}

/// Opens a dispute; answers it.
pub(crate) async fn open_dispute(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<Questioned>,
) -> (StatusCode, Json<Value>) {
    let reason = asked.reason.as_deref().unwrap_or("fraudulent");
    changed(&shared, |desk| desk.change().open_dispute(&asked.charge, reason))
}

/// The next step of a dispute.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    step: DisputeStep,
}

/// Takes a dispute one step further; answers it.
pub(crate) async fn step_dispute(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(Step { step }): Json<Step>,
) -> (StatusCode, Json<Value>) {
    changed(&shared, |desk| desk.change().step_dispute(&id, step).map(|()| id.clone()))
}

/// How a challenge ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Challenge {
    challenge: ChallengeEnd,
}

/// Meets the challenge of a bank for a method that is to be kept, or fails it; answers the intent.
pub(crate) async fn end_setup_challenge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(Challenge { challenge }): Json<Challenge>,
) -> (StatusCode, Json<Value>) {
    changed(&shared, |desk| desk.change().end_setup_challenge(&id, challenge).map(|()| id.clone()))
}

/// Meets the challenge of a bank for a payment or has the bank be done that took its time, or fails it; answers the intent.
pub(crate) async fn end_waiting(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(Challenge { challenge }): Json<Challenge>,
) -> (StatusCode, Json<Value>) {
    changed(&shared, |desk| desk.change().end_waiting(&id, challenge).map(|()| id.clone()))
}

/// What is to be paid out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Currency {
    currency: String,
}

/// Makes an automatic payout of all that is left; answers it.
pub(crate) async fn pay_out(
    State(shared): State<Arc<Shared>>,
    Json(Currency { currency }): Json<Currency>,
) -> (StatusCode, Json<Value>) {
    changed(&shared, |desk| desk.change().pay_out_all(&currency))
}

/// The next step of a payout.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfPayout {
    step: PayoutStep,
}

/// Takes a payout one step further; answers it.
pub(crate) async fn step_payout(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Json(OfPayout { step }): Json<OfPayout>,
) -> (StatusCode, Json<Value>) {
    changed(&shared, |desk| desk.change().step_payout(&id, step).map(|()| id.clone()))
}

fn changed(
    shared: &Arc<Shared>,
    change: impl FnOnce(&mut Desk) -> Result<String, ApiError>,
) -> (StatusCode, Json<Value>) {
    let mut desk = shared.desk();
    let answer = match change(&mut desk) {
        Ok(id) => (StatusCode::OK, render_any(&desk.book, &id).unwrap_or_default()),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, error.body())
        }
    };
    shared.follow_up(&mut desk);
    (answer.0, Json(answer.1))
}

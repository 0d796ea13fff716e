//! The control: faults, counts and the book, for tests and demos. Not part of Stripe.
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Faults;
use crate::state::Shared;

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

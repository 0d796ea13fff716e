//! Stripe's HTTP API, as far as Cairn and its tests use it, and the control of the faults.
mod control;
mod door;
mod error;
mod idempotency;
mod methods;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};

use crate::state::Shared;

pub(crate) use error::ApiError;
pub(crate) use idempotency::{Answered, Answers};

/// All routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(door::enter))
        .route("/_control/state", get(control::state))
        .route("/_control/book", get(control::book))
        .route("/_control/faults", post(control::set_faults))
        .route("/_control/webhook", post(control::set_webhook))
        .route("/_control/disputes", post(control::open_dispute))
        .route("/_control/disputes/{id}", post(control::step_dispute))
        .route("/_control/payment_intents/{id}", post(control::end_waiting))
        .route("/_control/setup_intents/{id}", post(control::end_setup_challenge))
        .route("/_control/payouts", post(control::pay_out))
        .route("/_control/payouts/{id}", post(control::step_payout))
        .with_state(shared)
}

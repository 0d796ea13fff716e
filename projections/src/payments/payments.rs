//! Top-ups: asked by customers (did my money arrive), by finance, and by whoever looks up what a webhook is about.
//!
//! One row is one payment as it stands.
use async_trait::async_trait;
use cairn_core::Nanos;
use cairn_event_log::Recorded;
use cairn_payments::PaymentEvent;

pub use super::payments_query::{Payment, by_provider_id, get, list};
use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::At;

/// Name of this projection.
pub const NAME: &str = "payments/payments";

/// The projection.
pub struct Payments;

#[async_trait]
impl Projection for Payments {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["payments_payments"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[PaymentEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        match event.decode()? {
            requested @ PaymentEvent::Requested { .. } => {
                request(changes, requested, event.position)
            }
            other => changes.change((event.aggregate_id.clone(),), |row| apply(row, other)),
        }
        Ok(())
    }
}

row! {
    /// A payment as it stands.
    pub(crate) struct PaymentRow in "payments_payments" by (payment_id: String) {
        payment_id: String,
        position: i64,
        organisation_id: String,
        currency: String,
        amount_nanos: Nanos,
        fee_nanos: Option<Nanos>,
        status: String,
        provider_id: Option<String>,
        charge_id: Option<String>,
        failure_code: Option<String>,
        failure_message: Option<String>,
        requested_at: At,
        ended_at: Option<At>,
    }
}

fn request(changes: &mut Changes, event: PaymentEvent, position: i64) {
    let PaymentEvent::Requested { payment_id, organisation_id, currency, amount_nanos, at, .. } =
        event
    else {
        return;
    };
    changes.insert(PaymentRow {
        payment_id: payment_id.to_string(),
        position,
        organisation_id: organisation_id.to_string(),
        currency: currency.code().into(),
        amount_nanos,
        status: "requested".into(),
        requested_at: At(at),
        ..PaymentRow::default()
    });
}

#[allow(clippy::unnecessary_wraps, reason = "the shape of a change")]
fn apply(row: &mut PaymentRow, event: PaymentEvent) -> Result<(), ProjectError> {
    use PaymentEvent as E;
    match event {
        E::Requested { .. } | E::MethodNamed { .. } => {}
        E::Submitted { provider_id, .. } => {
            (row.status, row.provider_id) = ("pending".into(), Some(provider_id));
        }
        E::ActionRequired { .. } => row.status = "requires_action".into(),
        E::ProcessingBegun { .. } => row.status = "processing".into(),
        // A success clears an earlier failed attempt.
        E::Succeeded { provider_id, charge_id, at, .. } => {
            (row.status, row.ended_at) = ("succeeded".into(), Some(At(at)));
            (row.provider_id, row.charge_id) = (Some(provider_id), Some(charge_id));
            (row.failure_code, row.failure_message) = (None, None);
        }
        E::Failed { code, message, at } => {
            (row.status, row.ended_at) = ("failed".into(), Some(At(at)));
            (row.failure_code, row.failure_message) = (Some(code), Some(message));
        }
        E::FeeRecorded { fee_nanos, .. } => row.fee_nanos = Some(fee_nanos),
    }
    Ok(())
}

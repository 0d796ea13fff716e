//! Objects as Stripe shows them, and what `expand` adds.
use serde_json::{Value, json};

use super::methods;
use super::{Book, Charge, Dispute, Event, PaymentIntent, Payout, Refund, Transaction};
use crate::clock;

/// The object behind an id, whatever its kind.
pub(crate) fn render_any(book: &Book, id: &str) -> Option<Value> {
    Some(match id.split_once('_')?.0 {
        "cus" => methods::customer(book.customers.get(id)?),
        "pm" => methods::payment_method(book.payment_methods.get(id)?),
        "seti" => methods::setup_intent(book.setup_intents.get(id)?),
        "pi" => intent(book.payment_intents.get(id)?),
        "ch" => {
            let disputed = book.disputes.all().iter().any(|dispute| dispute.charge == id);
            charge(book.charges.get(id)?, disputed)
        }
        "re" => refund(book.refunds.get(id)?),
        "du" => dispute(book, book.disputes.get(id)?),
        "po" => payout(book.payouts.get(id)?),
        "txn" => transaction(book.transactions.get(id)?),
        "evt" => event(book.events.get(id)?),
        _ => return None,
    })
}

/// Replaces the id at `path` by its object; in a list, in each of its items.
///
/// # Errors
/// The part of the path that cannot be expanded.
pub(crate) fn expand(book: &Book, value: &mut Value, path: &str) -> Result<(), String> {
    if let Some(items) = value.as_array_mut() {
        return items.iter_mut().try_for_each(|item| expand(book, item, path));
    }
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let child = value.get_mut(key).ok_or_else(|| key.to_owned())?;
    if let Some(object) = child.as_str().and_then(|id| render_any(book, id)) {
        *child = object;
    } else if !child.is_null() && !child.is_object() && !child.is_array() {
        return Err(key.to_owned());
    }
    match rest {
        Some(rest) if !child.is_null() => expand(book, child, rest),
        _ => Ok(()),
    }
}

fn intent(intent: &PaymentIntent) -> Value {
    let received = if intent.status == "succeeded" { intent.amount } else { 0 };
    let failure = intent.failure.as_ref().map(|(code, message)| {
        json!({
            "charge": intent.latest_charge, "code": code, "message": message, "type": "card_error",
        })
    });
    let next_action = (intent.status == "requires_action").then(
        || json!({"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}),
    );
    json!({
        "id": intent.id, "object": "payment_intent", "livemode": false, "created": intent.created,
        "amount": intent.amount, "amount_capturable": 0, "amount_details": {"tip": {}},
        "amount_received": received, "currency": intent.currency, "status": intent.status,
        "application": null, "application_fee_amount": null,
        "automatic_payment_methods": {"allow_redirects": "never", "enabled": true},
        "canceled_at": null, "cancellation_reason": null,
        "capture_method": intent.capture_method, "client_secret": intent.client_secret,
        "confirmation_method": "automatic", "customer": intent.customer,
        "description": intent.description,
        "last_payment_error": failure, "latest_charge": intent.latest_charge,
        "metadata": intent.metadata, "next_action": next_action, "on_behalf_of": null,
        "payment_method": intent.payment_method, "payment_method_options": {},
        "payment_method_types": ["card"], "processing": null, "receipt_email": null,
        "review": null, "setup_future_usage": null, "shipping": null, "source": null,
        "statement_descriptor": null, "statement_descriptor_suffix": null,
        "transfer_data": null, "transfer_group": null,
    })
}

fn charge(charge: &Charge, disputed: bool) -> Value {
    let paid = charge.failure.is_none();
    let (code, message) = charge.failure.clone().unzip();
    let address = json!({
        "city": null, "country": null, "line1": null, "line2": null, "postal_code": null,
        "state": null,
    });
    json!({
        "id": charge.id, "object": "charge", "livemode": false, "created": charge.created,
        "amount": charge.amount, "amount_captured": if paid { charge.amount } else { 0 },
        "amount_refunded": charge.amount_refunded, "currency": charge.currency,
        "status": if paid { "succeeded" } else { "failed" }, "paid": paid, "captured": paid,
        "refunded": paid && charge.amount_refunded == charge.amount, "disputed": disputed,
        "application": null, "application_fee": null, "application_fee_amount": null,
        "balance_transaction": charge.balance_transaction,
        "billing_details": {"address": address, "email": null, "name": null, "phone": null},
        "customer": null, "description": null, "failure_balance_transaction": null,
        "failure_code": code, "failure_message": message, "metadata": charge.metadata,
        "on_behalf_of": null, "payment_intent": charge.payment_intent,
        "payment_method": charge.payment_method, "receipt_email": null, "receipt_number": null,
        "receipt_url": null, "review": null, "shipping": null, "source": null,
        "source_transfer": null, "statement_descriptor": null,
        "statement_descriptor_suffix": null, "transfer_data": null, "transfer_group": null,
    })
}

fn refund(refund: &Refund) -> Value {
    let mut value = json!({
        "id": refund.id, "object": "refund", "created": refund.created, "amount": refund.amount,
        "currency": refund.currency, "charge": refund.charge,
        "payment_intent": refund.payment_intent, "status": refund.status,
        "reason": refund.reason, "metadata": refund.metadata,
        "balance_transaction": refund.balance_transaction, "receipt_number": null,
        "source_transfer_reversal": null, "transfer_reversal": null,
    });
    if let Some(line) = &refund.failure_balance_transaction {
        value["failure_balance_transaction"] = json!(line);
        value["failure_reason"] = json!(refund.failure_reason);
    }
    value
}

fn dispute(book: &Book, dispute: &Dispute) -> Value {
    let lines: Vec<Value> = [&dispute.withdrawal, &dispute.reinstatement]
        .into_iter()
        .flatten()
        .filter_map(|id| book.transactions.get(id).map(transaction))
        .collect();
    json!({
        "id": dispute.id, "object": "dispute", "livemode": false, "created": dispute.created,
        "amount": dispute.amount, "currency": dispute.currency, "charge": dispute.charge,
        "payment_intent": dispute.payment_intent, "reason": dispute.reason,
        "status": dispute.status, "balance_transactions": lines, "metadata": {},
        "is_charge_refundable": false, "network_reason_code": null,
        "enhanced_eligibility_types": [], "evidence": {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": null, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false,
            "submission_count": 0,
        },
    })
}

fn payout(payout: &Payout) -> Value {
    let failed = payout.failure_code.as_ref();
    json!({
        "id": payout.id, "object": "payout", "livemode": false, "created": payout.created,
        "amount": payout.amount, "currency": payout.currency, "status": payout.status,
        "arrival_date": payout.arrival_date, "automatic": payout.automatic,
        "application_fee": null, "application_fee_amount": null,
        "balance_transaction": payout.balance_transaction, "description": null,
        "destination": null,
        "failure_balance_transaction": payout.failure_balance_transaction,
        "failure_code": failed,
        "failure_message": failed.map(|_| "The bank account has been closed."),
        "metadata": {}, "method": "standard", "original_payout": null, "payout_method": null,
        "reconciliation_status": if payout.automatic { "completed" } else { "not_applicable" },
        "reversed_by": null, "source_type": "card",
        "statement_descriptor": payout.statement_descriptor,
        "trace_id": {
            "status": if payout.trace.is_some() { "supported" } else { "pending" },
            "value": payout.trace,
        },
        "type": "bank_account",
    })
}

/// Several types are one category. Source: <https://docs.stripe.com/reports/reporting-categories>.
fn reporting_category(category: &str) -> &str {
    match category {
        "payout_failure" | "payout_cancel" => "payout_reversal",
        other => other,
    }
}

fn transaction(line: &Transaction) -> Value {
    let fee_details = if line.fee == 0 {
        json!([])
    } else {
        json!([{
            "amount": line.fee, "application": null, "currency": line.currency,
            "description": "Stripe processing fees", "type": "stripe_fee",
        }])
    };
    let available = line.available_on <= clock::now_secs();
    json!({
        "id": line.id, "object": "balance_transaction", "created": line.created,
        "available_on": line.available_on, "amount": line.amount, "fee": line.fee,
        "fee_details": fee_details, "net": line.net, "currency": line.currency,
        "balance_type": "payments", "description": null, "exchange_rate": null,
        "reporting_category": reporting_category(&line.category), "type": line.category, "source": line.source,
        "status": if available { "available" } else { "pending" },
    })
}

fn event(event: &Event) -> Value {
    json!({
        "id": event.id, "object": "event", "api_version": "2026-09-30.endive",
        "created": event.created, "data": {"object": event.object}, "livemode": false,
        "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null},
        "type": event.kind,
    })
}

//! The calls about customers, and about what is kept for them to pay with.
use serde_json::{Value, json};

use super::ApiError;
use super::routes::{Call, list, object, required, unknown};
use crate::book::{SetupTerms, kept_for};
use crate::state::Desk;

/// Carries a call out.
pub(super) fn dispatch(desk: &mut Desk, call: &Call, segments: &[&str]) -> Result<Value, ApiError> {
    match (call.post, segments) {
        (true, ["customers"]) => {
            let id = desk.change().create_customer(call.metadata());
            object(&desk.book, "customer", &id)
        }
        (false, ["customers", id]) if call.delete => {
            desk.change().delete_customer(id)?;
            Ok(json!({"id": id, "object": "customer", "deleted": true}))
        }
        (false, ["customers", id]) => object(&desk.book, "customer", id),
        (false, ["customers", customer, "payment_methods"]) => {
            let theirs =
                |method: &crate::PaymentMethod| method.customer.as_deref() == Some(*customer);
            list(&desk.book, &desk.book.payment_methods, call, theirs)
        }
        (false, ["customers", customer, "payment_methods", id]) => {
            match kept_for(&desk.book, customer, id) {
                true => object(&desk.book, "payment_method", id),
                false => Err(ApiError::missing("PaymentMethod", id)),
            }
        }
        (false, ["payment_methods", id]) => object(&desk.book, "payment_method", id),
        (true, ["payment_methods", id, "attach"]) => {
            let customer = required(call.text("customer"), "customer")?;
            let kept = desk.change().attach(id, &customer)?;
            object(&desk.book, "payment_method", &kept)
        }
        (true, ["payment_methods", id, "detach"]) => {
            desk.change().detach(id)?;
            object(&desk.book, "payment_method", id)
        }
        (true, ["setup_intents"]) => create_setup(desk, call),
        (false, ["setup_intents", id]) => object(&desk.book, "setup_intent", id),
        (true, ["setup_intents", id, "confirm"]) => {
            desk.change().confirm_setup(id, call.text("payment_method"))?;
            object(&desk.book, "setup_intent", id)
        }
        (true, ["setup_intents", id, "cancel"]) => {
            desk.change().cancel_setup(id)?;
            object(&desk.book, "setup_intent", id)
        }
        _ => Err(unknown(call)),
    }
}

fn create_setup(desk: &mut Desk, call: &Call) -> Result<Value, ApiError> {
    let terms = SetupTerms {
        customer: call.text("customer"),
        payment_method: call.text("payment_method"),
        metadata: call.metadata(),
    };
    let confirm = call.says("confirm");
    if confirm {
        required(terms.payment_method.as_ref(), "payment_method")?;
    }
    let mut change = desk.change();
    let id = change.create_setup(terms)?;
    if confirm {
        change.confirm_setup(&id, None)?;
    }
    object(&desk.book, "setup_intent", &id)
}

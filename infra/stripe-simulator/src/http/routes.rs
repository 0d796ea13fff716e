//! The calls: which there are, what they take, what they answer.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{ApiError, methods};
use crate::book::{
    Book, IntentTerms, Kept, Paging, PayoutStep, RefundTerms, Shelf, expand, render_any,
};
use crate::clock;
use crate::faults::Fault;
use crate::form;
use crate::state::Desk;

/// One call, read.
pub(crate) struct Call {
    pub post: bool,
    pub delete: bool,
    pub path: String,
    pub params: Value,
    pub key: Option<String>,
}

/// Carries a call out.
pub(crate) fn dispatch(desk: &mut Desk, call: &Call) -> Result<Value, ApiError> {
    let segments: Vec<&str> = call.path.split('/').collect();
    let mut body = match (call.post, segments.as_slice()) {
        (true, ["payment_intents"]) => create_intent(desk, call)?,
        (true, ["payment_intents", id, "confirm"]) => {
            let off_session = call.says("off_session");
            desk.change().confirm(id, (call.text("payment_method"), off_session))?;
            object(&desk.book, "payment_intent", id)?
        }
        (true, ["payment_intents", id, "cancel"]) => {
            desk.change().cancel(id)?;
            object(&desk.book, "payment_intent", id)?
        }
        (true, ["refunds"]) => create_refund(desk, call)?,
        (true, ["payouts"]) => create_payout(desk, call)?,
        (true, ["payouts", id, "cancel"]) => {
            desk.change().step_payout(id, PayoutStep::Cancel)?;
            object(&desk.book, "payout", id)?
        }
        (false, ["balance"]) => balance(&desk.book),
        (false, [_]) if !call.delete => listed(&desk.book, call)?,
        (false, ["payment_intents", id]) => object(&desk.book, "payment_intent", id)?,
        (false, ["charges", id]) => object(&desk.book, "charge", id)?,
        (false, ["disputes", id]) => object(&desk.book, "dispute", id)?,
        (false, ["refunds", id]) => object(&desk.book, "refund", id)?,
        (false, ["balance_transactions", id]) => object(&desk.book, "balance_transaction", id)?,
        (false, ["payouts", id]) => object(&desk.book, "payout", id)?,
        (false, ["events", id]) => object(&desk.book, "event", id)?,
        (_, segments) => methods::dispatch(desk, call, segments)?,
    };
    for path in form::list(&call.params["expand"]) {
        expand(&desk.book, &mut body, &path).map_err(|part| {
            ApiError::parameter(format!("This property cannot be expanded ({part})."), "expand")
        })?;
    }
    Ok(body)
}

/// A list of one kind, newest first.
fn listed(book: &Book, call: &Call) -> Result<Value, ApiError> {
    match call.path.as_str() {
        "payment_intents" => list(book, &book.payment_intents, call, |_| true),
        "setup_intents" => {
            let customer = call.text("customer");
            let fits = |intent: &crate::SetupIntent| {
                customer.as_ref().is_none_or(|id| intent.customer.as_ref() == Some(id))
            };
            list(book, &book.setup_intents, call, fits)
        }
        "charges" => {
            let intent = call.text("payment_intent");
            let fits = |charge: &crate::Charge| {
                intent.as_ref().is_none_or(|id| *id == charge.payment_intent)
            };
            list(book, &book.charges, call, fits)
        }
        "refunds" => {
            let (charge, intent) = (call.text("charge"), call.text("payment_intent"));
            if let Some(id) = charge.as_ref().filter(|id| book.charges.get(id).is_none()) {
                return Err(ApiError::missing("charge", id));
            }
            let fits = |refund: &crate::Refund| {
                charge.as_ref().is_none_or(|id| *id == refund.charge)
                    && intent.as_ref().is_none_or(|id| *id == refund.payment_intent)
            };
            list(book, &book.refunds, call, fits)
        }
        "balance_transactions" => {
            let (source, kind) = (call.text("source"), call.text("type"));
            let items = call.text("payout").map(|id| items(book, &id)).transpose()?;
            let fits = |line: &crate::Transaction| {
                source.as_ref().is_none_or(|id| *id == line.source)
                    && kind.as_ref().is_none_or(|kind| *kind == line.category)
                    && items.as_ref().is_none_or(|items| items.contains(&line.id))
            };
            list(book, &book.transactions, call, fits)
        }
        "payouts" => {
            let status = call.text("status");
            let fits = |payout: &crate::Payout| {
                status.as_ref().is_none_or(|status| *status == payout.status)
            };
            list(book, &book.payouts, call, fits)
        }
        "events" => {
            let kind = call.text("type");
            let fits = |event: &crate::Event| kind.as_ref().is_none_or(|kind| *kind == event.kind);
            list(book, &book.events, call, fits)
        }
        _ => Err(unknown(call)),
    }
}

pub(super) fn unknown(call: &Call) -> ApiError {
    let message = format!("Unrecognized request URL (/v1/{}).", call.path);
    ApiError::invalid(404, "url_unknown", message)
}

impl Call {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.params[name].as_str().map(str::to_owned)
    }

    pub(super) fn says(&self, name: &str) -> bool {
        self.params[name].as_str() == Some("true")
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.params[name].as_str() else { return Ok(None) };
        let wrong = |_| ApiError::parameter(format!("Invalid integer: {text}"), name);
        text.parse().map(Some).map_err(wrong)
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, String> {
        let Some(entries) = self.params["metadata"].as_object() else { return BTreeMap::new() };
        entries
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    fn amount(&self) -> Result<Option<i64>, ApiError> {
        match self.number("amount")? {
            Some(amount) if !(1..=99_999_999).contains(&amount) => {
                let code =
                    if amount < 1 { "parameter_invalid_integer" } else { "amount_too_large" };
                Err(ApiError::invalid(400, code, "Invalid amount").about("amount"))
            }
            amount => Ok(amount),
        }
    }
}

pub(super) fn required<T>(value: Option<T>, name: &str) -> Result<T, ApiError> {
    let message = format!("Missing required param: {name}.");
    value.ok_or_else(|| ApiError::invalid(400, "parameter_missing", message).about(name))
}

pub(super) fn object(book: &Book, kind: &str, id: &str) -> Result<Value, ApiError> {
    render_any(book, id)
        .filter(|object| object["object"] == kind)
        .ok_or_else(|| ApiError::missing(kind, id))
}

fn create_intent(desk: &mut Desk, call: &Call) -> Result<Value, ApiError> {
    let currency = required(call.text("currency"), "currency")?;
    if !["chf", "eur", "gbp", "usd"].contains(&currency.as_str()) {
        return Err(ApiError::parameter(format!("Invalid currency: {currency}."), "currency"));
    }
    let terms = IntentTerms {
        amount: required(call.amount()?, "amount")?,
        currency,
        metadata: call.metadata(),
        description: call.text("description"),
        payment_method: call.text("payment_method"),
        customer: call.text("customer"),
        capture_method: call.text("capture_method").unwrap_or_else(|| "automatic_async".to_owned()),
    };
    let (confirm, off_session) = (call.says("confirm"), call.says("off_session"));
    if confirm {
        required(terms.payment_method.as_ref(), "payment_method")?;
    }
    let mut change = desk.change();
    let id = change.create_intent(terms)?;
    if confirm {
        change.confirm(&id, (None, off_session))?;
    }
    object(&desk.book, "payment_intent", &id)
}

fn create_refund(desk: &mut Desk, call: &Call) -> Result<Value, ApiError> {
    let of_intent = call.text("payment_intent").map(|id| {
        let intent = desk.book.payment_intents.get(&id);
        let charge = intent.and_then(|intent| intent.latest_charge.clone());
        charge.ok_or_else(|| ApiError::missing("payment_intent with a charge", &id))
    });
    let terms = RefundTerms {
        charge: required(call.text("charge").map(Ok).or(of_intent), "charge")??,
        amount: call.amount()?,
        reason: call.text("reason"),
        metadata: call.metadata(),
    };
    let (id, later) = desk.change().create_refund(terms)?;
    let later = match later {
        None if desk.strikes(Fault::RefundFailsLater) => desk.change().fail_later(&id),
        later => later,
    };
    desk.settle_later.extend(later.map(|outcome| (id.clone(), outcome)));
    object(&desk.book, "refund", &id)
}

fn create_payout(desk: &mut Desk, call: &Call) -> Result<Value, ApiError> {
    let amount = required(call.amount()?, "amount")?;
    let currency = required(call.text("currency"), "currency")?;
    let descriptor = call.text("statement_descriptor");
    let id = desk.change().create_payout((amount, currency), descriptor)?;
    object(&desk.book, "payout", &id)
}

/// The lines that an automatic payout is made of, its own among them.
fn items(book: &Book, id: &str) -> Result<BTreeSet<String>, ApiError> {
    let payout = book.payouts.get(id).ok_or_else(|| ApiError::missing("payout", id))?;
    if !payout.automatic {
        let message = "Balance transaction history can only be filtered on automatic transfers, \
                       not manual.";
        return Err(ApiError::parameter(message, "payout"));
    }
    Ok(payout.items.iter().chain([&payout.balance_transaction]).cloned().collect())
}

pub(super) fn list<T: Kept>(
    book: &Book,
    shelf: &Shelf<T>,
    call: &Call,
    keep: impl Fn(&T) -> bool,
) -> Result<Value, ApiError> {
    let limit = call.number("limit")?.unwrap_or(10).clamp(1, 100);
    let created = &call.params["created"];
    let bound = |name: &str| created[name].as_str().and_then(|text| text.parse::<i64>().ok());
    let paging = Paging {
        limit: usize::try_from(limit).unwrap_or(10),
        starting_after: call.text("starting_after"),
        ending_before: call.text("ending_before"),
        created_from: bound("gte").or(bound("gt").map(|gt| gt + 1)).unwrap_or(i64::MIN),
        created_to: bound("lte").or(bound("lt").map(|lt| lt - 1)),
    };
    let page = shelf.page(&paging, keep).map_err(|id| ApiError::missing("object", &id))?;
    let data: Vec<Value> =
        page.items.iter().filter_map(|item| render_any(book, item.id())).collect();
    let url = format!("/v1/{}", call.path);
    Ok(json!({"object": "list", "url": url, "has_more": page.has_more, "data": data}))
}

fn balance(book: &Book) -> Value {
    let now = clock::now_secs();
    let mut totals: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for line in book.transactions() {
        let (available, pending) = totals.entry(&line.currency).or_default();
        *(if line.available_on <= now { available } else { pending }) += line.net;
    }
    let amounts = |pick: fn(&(i64, i64)) -> i64| -> Vec<Value> {
        let amount = |(currency, sums): (&&str, _)| {
            let amount = pick(sums);
            json!({"amount": amount, "currency": currency, "source_types": {"card": amount}})
        };
        totals.iter().map(amount).collect()
    };
    json!({
        "object": "balance", "livemode": false,
        "available": amounts(|sums| sums.0), "pending": amounts(|sums| sums.1),
    })
}

//! The calls: which there are, what they take, what they answer.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ApiError;
use crate::book::{Book, IntentTerms, Kept, Paging, RefundTerms, Shelf, expand, render_any};
use crate::clock;
use crate::faults::Fault;
use crate::form;
use crate::state::Desk;

/// One call, read.
pub(crate) struct Call {
    pub post: bool,
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
            desk.change().confirm(id, call.text("payment_method"))?;
            object(&desk.book, "payment_intent", id)?
        }
        (true, ["payment_intents", id, "cancel"]) => {
            desk.change().cancel(id)?;
            object(&desk.book, "payment_intent", id)?
        }
        (true, ["refunds"]) => create_refund(desk, call)?,
        (false, ["balance"]) => balance(&desk.book),
        (false, ["payment_intents"]) => {
            list(&desk.book, &desk.book.payment_intents, call, |_| true)?
        }
        (false, ["charges"]) => {
            let intent = call.text("payment_intent");
            let fits = |charge: &crate::Charge| {
                intent.as_ref().is_none_or(|id| *id == charge.payment_intent)
            };
            list(&desk.book, &desk.book.charges, call, fits)?
        }
        (false, ["refunds"]) => {
            let (charge, intent) = (call.text("charge"), call.text("payment_intent"));
            if let Some(id) = charge.as_ref().filter(|id| desk.book.charges.get(id).is_none()) {
                return Err(ApiError::missing("charge", id));
            }
            let fits = |refund: &crate::Refund| {
                charge.as_ref().is_none_or(|id| *id == refund.charge)
                    && intent.as_ref().is_none_or(|id| *id == refund.payment_intent)
            };
            list(&desk.book, &desk.book.refunds, call, fits)?
        }
        (false, ["balance_transactions"]) => {
            let (source, kind) = (call.text("source"), call.text("type"));
            let fits = |line: &crate::Transaction| {
                source.as_ref().is_none_or(|id| *id == line.source)
                    && kind.as_ref().is_none_or(|kind| *kind == line.category)
            };
            list(&desk.book, &desk.book.transactions, call, fits)?
        }
        (false, ["events"]) => {
            let kind = call.text("type");
            let fits = |event: &crate::Event| kind.as_ref().is_none_or(|kind| *kind == event.kind);
            list(&desk.book, &desk.book.events, call, fits)?
        }
        (false, ["payment_intents", id]) => object(&desk.book, "payment_intent", id)?,
        (false, ["charges", id]) => object(&desk.book, "charge", id)?,
        (false, ["disputes", id]) => object(&desk.book, "dispute", id)?,
        (false, ["refunds", id]) => object(&desk.book, "refund", id)?,
        (false, ["balance_transactions", id]) => object(&desk.book, "balance_transaction", id)?,
        (false, ["events", id]) => object(&desk.book, "event", id)?,
        _ => {
            let message = format!("Unrecognized request URL (/v1/{}).", call.path);
            return Err(ApiError::invalid(404, "url_unknown", message));
        }
    };
    for path in form::list(&call.params["expand"]) {
        expand(&desk.book, &mut body, &path).map_err(|part| {
            ApiError::parameter(format!("This property cannot be expanded ({part})."), "expand")
        })?;
    }
    Ok(body)
}

impl Call {
    fn text(&self, name: &str) -> Option<String> {
        self.params[name].as_str().map(str::to_owned)
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.params[name].as_str() else { return Ok(None) };
        let wrong = |_| ApiError::parameter(format!("Invalid integer: {text}"), name);
        text.parse().map(Some).map_err(wrong)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
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

fn required<T>(value: Option<T>, name: &str) -> Result<T, ApiError> {
    let message = format!("Missing required param: {name}.");
    value.ok_or_else(|| ApiError::invalid(400, "parameter_missing", message).about(name))
}

fn object(book: &Book, kind: &str, id: &str) -> Result<Value, ApiError> {
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
        capture_method: call.text("capture_method").unwrap_or_else(|| "automatic_async".to_owned()),
    };
    let confirm = call.text("confirm").as_deref() == Some("true");
    if confirm {
        required(terms.payment_method.as_ref(), "payment_method")?;
    }
    let mut change = desk.change();
    let id = change.create_intent(terms)?;
    if confirm {
        change.confirm(&id, None)?;
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

fn list<T: Kept>(
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

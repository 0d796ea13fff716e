//! Stripe's words in ours. Amounts: minor units there, nanos here.
use std::collections::{BTreeMap, HashMap};

use cairn_commands::ports::{
    PortError, ProviderBalance, ProviderDispute, ProviderDisputeLine, ProviderDisputeStanding,
    ProviderFee, ProviderItems, ProviderOutcome, ProviderPayment, ProviderPayout, ProviderRefund,
    ProviderSetup, ProviderTransaction, SetupOutcome,
};
use cairn_core::{Currency, Money, Nanos, Timestamp};
use cairn_payments::MethodDetails;

use crate::wire::{
    Amount, Balance, BalanceTransaction, Dispute, Expandable, Identified, PaymentError,
    PaymentIntent, PaymentMethod, Payout, Refund, SetupIntent,
};

pub(crate) const PAYMENT_KEY: &str = "cairn_payment_id";
pub(crate) const ORGANISATION_KEY: &str = "cairn_organisation_id";
pub(crate) const METHOD_KEY: &str = "cairn_payment_method_id";
pub(crate) const REFUND_KEY: &str = "cairn_refund_id";

pub(crate) fn currency(code: &str) -> Result<Currency, PortError> {
    code.to_uppercase().parse().map_err(|_| {
        PortError::permanent("unknown_currency", format!("Cairn keeps no books in '{code}'"))
    })
}

pub(crate) fn nanos(minor: i64, currency: Currency) -> Result<Nanos, PortError> {
    any_nanos(minor, currency.code())
}

/// Whole minor units of an amount of ours.
pub(crate) fn minor(amount: Money) -> Result<i64, PortError> {
    let unit = amount.currency.nanos_per_minor();
    if amount.nanos <= 0 || amount.nanos % unit != 0 {
        return Err(PortError::permanent(
            "not_whole_minor_units",
            format!("{amount} is not a positive number of whole cents"),
        ));
    }
    Ok(amount.nanos / unit)
}

fn own_id<T: std::str::FromStr>(
    metadata: Option<&HashMap<String, String>>,
    key: &str,
) -> Option<T> {
    metadata?.get(key)?.parse().ok()
}

pub(crate) fn payment(intent: PaymentIntent) -> Result<ProviderPayment, PortError> {
    let outcome = intent_outcome(&intent.status, intent.last_payment_error);
    let currency = currency(&intent.currency)?;
    let received = intent.amount_received.filter(|_| outcome == ProviderOutcome::Succeeded);
    let (charge_id, charged_at, transaction) = match intent.latest_charge {
        None => (None, None, None),
        Some(Expandable::Id(id)) => (Some(id), None, None),
        Some(Expandable::Object(charge)) => {
            let charged_at = charge.created.map(Timestamp::from_secs);
            (Some(charge.id), charged_at, charge.balance_transaction)
        }
    };
    let fee = match transaction {
        Some(Expandable::Object(transaction)) => fee(&transaction, currency)?,
        Some(Expandable::Id(_)) | None => None,
    };
    Ok(ProviderPayment {
        payment_id: own_id(intent.metadata.as_ref(), PAYMENT_KEY),
        provider_id: intent.id,
        amount: Money::new(nanos(received.unwrap_or(intent.amount), currency)?, currency),
        outcome,
        charge_id,
        charged_at,
        fee,
    })
}

/// Why a bank says no to a card for good. Which of them it is, is not for whoever pays.
const UNUSABLE: [&str; 7] = [
    "fraudulent",
    "invalid_account",
    "lost_card",
    "pickup_card",
    "restricted_card",
    "revocation_of_authorization",
    "stolen_card",
];

/// The provider's code; `card_unusable` for a card that no bank will ever take again.
fn failure_code(code: Option<String>, decline_code: Option<String>) -> String {
    if decline_code.as_deref().is_some_and(|code| UNUSABLE.contains(&code)) {
        return "card_unusable".to_owned();
    }
    code.or(decline_code).unwrap_or_else(|| "payment_failed".to_owned())
}

fn intent_outcome(status: &str, error: Option<PaymentError>) -> ProviderOutcome {
    match (status, error) {
        ("succeeded", _) => ProviderOutcome::Succeeded,
        ("canceled", _) => ProviderOutcome::Failed {
            code: "canceled".to_owned(),
            message: "the payment was cancelled at the provider".to_owned(),
        },
        ("requires_payment_method", Some(error)) => ProviderOutcome::Failed {
            code: failure_code(error.code, error.decline_code),
            message: error.message.unwrap_or_else(|| "the payment failed".to_owned()),
        },
        ("requires_action", _) => ProviderOutcome::ActionRequired,
        ("processing", _) => ProviderOutcome::Processing,
        ("requires_payment_method" | "requires_confirmation" | "requires_capture", _) => {
            ProviderOutcome::Pending
        }
        (unknown, _) => {
            tracing::warn!(status = unknown, "payment status not known to this version: pending");
            ProviderOutcome::Pending
        }
    }
}

fn fee(
    transaction: &BalanceTransaction,
    expected: Currency,
) -> Result<Option<ProviderFee>, PortError> {
    if currency(&transaction.currency) != Ok(expected) {
        tracing::warn!(
            transaction = transaction.id,
            settled_in = transaction.currency,
            "the account settles in another currency than the payment's; its fee is not booked here"
        );
        // Known, and not ours to book: reconciliation shows the line as a `currency` break.
        let balance_transaction_id = transaction.id.clone();
        return Ok(Some(ProviderFee { balance_transaction_id, fee_nanos: 0 }));
    }
    Ok(Some(ProviderFee {
        balance_transaction_id: transaction.id.clone(),
        fee_nanos: nanos(transaction.fee, expected)?,
    }))
}

pub(crate) fn refund(refund: Refund) -> Result<ProviderRefund, PortError> {
    let currency = currency(&refund.currency)?;
    let outcome = match refund.status.as_deref() {
        Some("succeeded") => ProviderOutcome::Succeeded,
        Some(status @ ("failed" | "canceled")) => ProviderOutcome::Failed {
            code: refund.failure_reason.unwrap_or_else(|| status.to_owned()),
            message: format!("the refund {status} at the provider"),
        },
        Some("pending" | "requires_action") | None => ProviderOutcome::Pending,
        Some(unknown) => {
            tracing::warn!(status = unknown, "refund status not known to this version: pending");
            ProviderOutcome::Pending
        }
    };
    Ok(ProviderRefund {
        refund_id: own_id(refund.metadata.as_ref(), REFUND_KEY),
        provider_id: refund.id,
        outcome,
        amount: Money::new(nanos(refund.amount, currency)?, currency),
    })
}

pub(crate) fn setup(setup: SetupIntent) -> ProviderSetup {
    let metadata = setup.metadata.as_ref();
    let ours = own_id(metadata, ORGANISATION_KEY).zip(own_id(metadata, METHOD_KEY));
    let outcome = match (setup.status.as_str(), setup.payment_method, setup.last_setup_error) {
        ("succeeded", Some(Expandable::Object(method)), _) => {
            let (provider_id, details) = details(*method);
            SetupOutcome::Saved { provider_id, details }
        }
        ("canceled", _, _) => SetupOutcome::Failed {
            code: "canceled".to_owned(),
            message: "nobody completed it in time".to_owned(),
        },
        ("requires_payment_method", _, Some(error)) => SetupOutcome::Failed {
            code: error.code.or(error.decline_code).unwrap_or_else(|| "setup_failed".to_owned()),
            message: error.message.unwrap_or_else(|| "the payment method was refused".to_owned()),
        },
        (status, _, _) => {
            tracing::debug!(status, "a payment method is not kept yet");
            SetupOutcome::Pending
        }
    };
    ProviderSetup { provider_id: setup.id, ours, outcome }
}

/// What people know a method by. Of what is no card, its bank where it has one.
fn details(method: PaymentMethod) -> (String, MethodDetails) {
    let PaymentMethod { id, kind, card, others } = method;
    let details = match card {
        Some(card) => MethodDetails {
            kind,
            brand: card.brand,
            last4: card.last4,
            expires: Some(format!("{:04}-{:02}", card.exp_year, card.exp_month)),
        },
        None => {
            let own = others.get(&kind);
            let said = |name: &str| Some(own?.get(name)?.as_str()?.to_owned());
            let brand = said("bank_name").or_else(|| said("bank_code")).unwrap_or_default();
            MethodDetails { last4: said("last4").unwrap_or_default(), brand, kind, expires: None }
        }
    };
    (id, details)
}

/// An inquiry (`warning_…`) takes nothing; closed, it is as good as won. A status of tomorrow is open: asked again.
fn standing(status: &str) -> ProviderDisputeStanding {
    match status {
        "won" | "warning_closed" | "prevented" => ProviderDisputeStanding::Won,
        "lost" => ProviderDisputeStanding::Lost,
        _ => ProviderDisputeStanding::Open,
    }
}

pub(crate) fn dispute(dispute: Dispute) -> Result<ProviderDispute, PortError> {
    let disputed_in = currency(&dispute.currency)?;
    let line = |line: BalanceTransaction| {
        let settled_in = currency(&line.currency)?;
        Ok(ProviderDisputeLine {
            amount: Money::new(nanos(line.amount, settled_in)?, settled_in),
            fee_nanos: nanos(line.fee, settled_in)?,
            at: Timestamp::from_secs(line.created),
            balance_transaction_id: line.id,
        })
    };
    let payment_id = match dispute.payment_intent {
        Some(Expandable::Object(intent)) => own_id(intent.metadata.as_ref(), PAYMENT_KEY),
        Some(Expandable::Id(_)) | None => None,
    };
    Ok(ProviderDispute {
        payment_id,
        charge_id: match dispute.charge {
            Expandable::Id(id) => id,
            Expandable::Object(charge) => charge.id,
        },
        amount: Money::new(nanos(dispute.amount, disputed_in)?, disputed_in),
        reason: dispute.reason.unwrap_or_else(|| "general".to_owned()),
        opened_at: Timestamp::from_secs(dispute.created),
        standing: standing(&dispute.status),
        lines: dispute
            .balance_transactions
            .into_iter()
            .map(line)
            .collect::<Result<_, PortError>>()?,
        provider_id: dispute.id,
    })
}

/// Nanos in one minor unit of any currency, also of those that we keep no books in: what the provider's book says is copied, not
/// judged. Source: <https://docs.stripe.com/currencies#zero-decimal>.
fn nanos_per_minor(code: &str) -> Nanos {
    const WHOLE: [&str; 16] = [
        "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV",
        "XAF", "XOF", "XPF",
    ];
    const THOUSANDTHS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];
    match code {
        _ if WHOLE.contains(&code) => 1_000_000_000,
        _ if THOUSANDTHS.contains(&code) => 1_000_000,
        _ => 10_000_000,
    }
}

fn any_nanos(minor: i64, code: &str) -> Result<Nanos, PortError> {
    minor.checked_mul(nanos_per_minor(code)).ok_or_else(|| {
        PortError::permanent("amount_too_large", format!("{minor} minor units do not fit"))
    })
}

pub(crate) fn transaction(line: BalanceTransaction) -> Result<ProviderTransaction, PortError> {
    let currency = line.currency.to_uppercase();
    Ok(ProviderTransaction {
        id: line.id,
        source_id: line.source.map(|source| match source {
            Expandable::Id(id) => id,
            Expandable::Object(object) => {
                let Identified { id } = *object;
                id
            }
        }),
        category: line.reporting_category,
        amount_nanos: any_nanos(line.amount, &currency)?,
        fee_nanos: any_nanos(line.fee, &currency)?,
        net_nanos: any_nanos(line.net, &currency)?,
        currency,
        created_at: Timestamp::from_secs(line.created),
        available_at: Timestamp::from_secs(line.available_on),
    })
}

/// A status of tomorrow is no answer yet: asked again.
pub(crate) fn payout(payout: Payout) -> ProviderPayout {
    let items = match payout.reconciliation_status.as_deref() {
        Some("completed") => ProviderItems::Complete,
        Some("not_applicable") => ProviderItems::Never,
        Some("in_progress") | None => ProviderItems::NotYet,
        Some(unknown) => {
            tracing::warn!(status = unknown, "status of a payout's items not known: not yet");
            ProviderItems::NotYet
        }
    };
    ProviderPayout {
        items,
        descriptor: payout.statement_descriptor,
        trace: payout.trace_id.and_then(|trace| trace.value),
        arrives_at: Timestamp::from_secs(payout.arrival_date),
        provider_id: payout.id,
    }
}

/// Pending and available together, of every currency that has any.
pub(crate) fn balances(balance: Balance) -> Result<Vec<ProviderBalance>, PortError> {
    let mut totals = BTreeMap::new();
    for Amount { amount, currency: code } in balance.available.into_iter().chain(balance.pending) {
        let currency = code.to_uppercase();
        let nanos = any_nanos(amount, &currency)?;
        *totals.entry(currency).or_insert(0) += nanos;
    }
    Ok(totals
        .into_iter()
        .map(|(currency, total_nanos)| ProviderBalance { currency, total_nanos })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{minor, nanos_per_minor, payment, refund, transaction};
    use cairn_commands::ports::ProviderOutcome;
    use cairn_core::{Currency, Money};

    fn intent(extra: &str) -> ProviderOutcome {
        let text = format!(r#"{{"id": "pi_1", "amount": 1250, "currency": "usd", {extra}}}"#);
        payment(serde_json::from_str(&text).unwrap()).unwrap().outcome
    }

    #[test]
    fn a_status_of_tomorrow_is_pending() {
        assert_eq!(intent(r#""status": "settled_on_mars""#), ProviderOutcome::Pending);
        let text = r#"{"id": "re_1", "amount": 1, "currency": "eur", "status": "on_its_way"}"#;
        let refund = refund(serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(refund.outcome, ProviderOutcome::Pending);
    }

    #[test]
    fn a_payment_that_waits_says_for_whom() {
        assert_eq!(intent(r#""status": "requires_action""#), ProviderOutcome::ActionRequired);
        assert_eq!(intent(r#""status": "processing""#), ProviderOutcome::Processing);
    }

    #[test]
    fn a_payment_awaiting_its_method_failed_only_if_an_attempt_did() {
        let waiting = intent(r#""status": "requires_payment_method", "last_payment_error": null"#);
        assert_eq!(waiting, ProviderOutcome::Pending);
        let failed = intent(
            r#""status": "requires_payment_method", "last_payment_error": {"code": "card_declined"}"#,
        );
        assert!(matches!(failed, ProviderOutcome::Failed { code, .. } if code == "card_declined"));
    }

    #[test]
    fn a_card_that_no_bank_will_take_again_is_told_without_the_reason() {
        for (decline_code, expected) in [
            ("stolen_card", "card_unusable"),
            ("lost_card", "card_unusable"),
            ("insufficient_funds", "card_declined"),
        ] {
            let error = format!(r#"{{"code": "card_declined", "decline_code": "{decline_code}"}}"#);
            let failed = intent(&format!(
                r#""status": "requires_payment_method", "last_payment_error": {error}"#
            ));
            let ProviderOutcome::Failed { code, .. } = failed else { panic!("{failed:?}") };
            assert_eq!(code, expected);
        }
    }

    #[test]
    fn the_book_is_copied_in_every_currency() {
        for (code, amount_nanos) in
            [("usd", 12_500_000_000), ("jpy", 1_250_000_000_000), ("kwd", 1_250_000_000)]
        {
            let text = format!(
                r#"{{"id": "txn_1", "amount": 1250, "fee": 0, "net": 1250, "currency": "{code}",
                    "reporting_category": "charge", "created": 1, "available_on": 1}}"#
            );
            let line = transaction(serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!((line.currency, line.amount_nanos), (code.to_uppercase(), amount_nanos));
        }
        for currency in [Currency::CHF, Currency::EUR, Currency::GBP, Currency::USD] {
            assert_eq!(nanos_per_minor(currency.code()), currency.nanos_per_minor());
        }
    }

    #[test]
    fn only_positive_whole_cents_go_out() {
        let cents = |nanos| minor(Money::new(nanos, Currency::EUR));
        assert_eq!(cents(12_500_000_000), Ok(1_250));
        assert!(cents(1).is_err());
        assert!(cents(0).is_err());
        assert!(cents(-10_000_000).is_err());
    }
}

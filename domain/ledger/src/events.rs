//! What has happened to a wallet.
//!
//! Holds and charges of version 1 are from before there was promotional credit: they are read as all paid. Charges of version 2, and overruns
//! of version 1, are from before there were taxes.
use cairn_core::upcast::Upcast;
use cairn_core::{
    CreditId, Currency, DisputeId, HoldId, JournalTransaction, Month, Nanos, OrganisationId,
    PaymentId, ProjectId, RefundId, Text, Texts, Timestamp, domain_event,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alerts::Alert;
use crate::corrected::Invoiced;
use crate::credit::CreditUse;
use crate::spending::{SpendingLimit, SpendingLimits};
use crate::taxes::TaxPart;
use crate::wallet::LotUse;

/// What has happened to a wallet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum WalletEvent {
    /// A payment arrived and became a lot.
    #[serde(rename = "wallet.topped_up")]
    ToppedUp {
        organisation_id: OrganisationId,
        currency: Currency,
        payment_id: PaymentId,
        amount_nanos: Nanos,
        journal: JournalTransaction,
    },
    /// Money was set aside for a purpose.
    #[serde(rename = "wallet.hold_placed")]
    HoldPlaced {
        hold_id: HoldId,
        purpose: String,
        amount_nanos: Nanos,
        /// Of it, promotional credit.
        promotional_nanos: Nanos,
        expires_at: Timestamp,
    },
    /// More money was set aside, and for longer.
    #[serde(rename = "wallet.hold_extended")]
    HoldExtended {
        hold_id: HoldId,
        amount_nanos: Nanos,
        /// Of it, promotional credit.
        promotional_nanos: Nanos,
        expires_at: Timestamp,
    },
    /// The wallet could not cover the extension asked for.
    #[serde(rename = "wallet.hold_extension_refused")]
    HoldExtensionRefused {
        hold_id: HoldId,
        wanted_nanos: Nanos,
        available_nanos: Nanos,
        remaining_nanos: Nanos,
    },
    /// Usage was charged out of a hold.
    #[serde(rename = "wallet.usage_captured")]
    UsageCaptured {
        hold_id: HoldId,
        amount_nanos: Nanos,
        total_nanos: Nanos,
        seconds: i64,
        /// Promotional credit that it consumed, the earliest to expire first.
        credits: Vec<CreditUse>,
        /// Payments that paid for the rest, the oldest first.
        lots: Vec<LotUse>,
        /// The tax in what was paid.
        tax: Option<TaxPart>,
        journal: JournalTransaction,
    },
    /// Usage beyond the hold and the wallet: recorded, owed, never lost.
    #[serde(rename = "wallet.overrun_recorded")]
    OverrunRecorded {
        hold_id: HoldId,
        amount_nanos: Nanos,
        total_nanos: Nanos,
        seconds: i64,
        /// The tax in what is owed.
        tax: Option<TaxPart>,
        journal: JournalTransaction,
    },
    /// Less was used than was charged: what was taken last is back where it came from.
    #[serde(rename = "wallet.usage_corrected")]
    UsageCorrected {
        hold_id: HoldId,
        amount_nanos: Nanos,
        /// Of it, what is no longer owed; the rest is in the wallet.
        owed_nanos: Nanos,
        /// What the charges of this hold come to now.
        total_nanos: Nanos,
        seconds: i64,
        /// Promotional credit that is there again.
        credits: Vec<CreditUse>,
        /// Payments whose money is there again.
        lots: Vec<LotUse>,
        /// The tax in it, less than nothing.
        tax: Option<TaxPart>,
        /// What of an invoice it takes back, if it was on one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invoiced: Option<Invoiced>,
        journal: JournalTransaction,
    },
    /// What was left of a hold went back to available.
    #[serde(rename = "wallet.hold_released")]
    HoldReleased {
        hold_id: HoldId,
        amount_nanos: Nanos,
        /// Of it, promotional credit.
        promotional_nanos: Nanos,
    },
    /// A hold ran out of time; what was left went back to available.
    #[serde(rename = "wallet.hold_expired")]
    HoldExpired {
        hold_id: HoldId,
        amount_nanos: Nanos,
        /// Of it, promotional credit.
        promotional_nanos: Nanos,
    },
    /// Money left the wallet towards a refund of the payment it came from.
    #[serde(rename = "wallet.refund_reserved")]
    RefundReserved {
        refund_id: RefundId,
        payment_id: PaymentId,
        amount_nanos: Nanos,
        reason: String,
        journal: JournalTransaction,
    },
    /// The refund failed at the provider; the money came back into its lot.
    #[serde(rename = "wallet.refund_returned")]
    RefundReturned { refund_id: RefundId, amount_nanos: Nanos, journal: JournalTransaction },
    /// Credit was given that nobody paid for. It opens the wallet when it comes first.
    #[serde(rename = "wallet.credit_granted")]
    CreditGranted {
        organisation_id: OrganisationId,
        currency: Currency,
        credit_id: CreditId,
        amount_nanos: Nanos,
        expires_at: Timestamp,
        reason: String,
        journal: JournalTransaction,
    },
    /// Promotional credit ran out of time. What a hold had set aside of it stays until the hold gives it back, so one credit may expire in parts.
    #[serde(rename = "wallet.credit_expired")]
    CreditExpired { credit_id: CreditId, amount_nanos: Nanos, journal: JournalTransaction },
    /// The provider has taken a payment back for a dispute: what was left of it and free is set aside until it is decided.
    #[serde(rename = "wallet.payment_disputed")]
    PaymentDisputed { dispute_id: DisputeId, payment_id: PaymentId, held_nanos: Nanos },
    /// A dispute was won: what was set aside for it is available again.
    #[serde(rename = "wallet.dispute_released")]
    DisputeReleased { dispute_id: DisputeId, amount_nanos: Nanos },
    /// A dispute was lost: the wallet paid `amount_nanos`, of it `held_nanos` that were set aside, and the rest is owed.
    #[serde(rename = "wallet.dispute_lost")]
    DisputeLost {
        dispute_id: DisputeId,
        payment_id: PaymentId,
        amount_nanos: Nanos,
        held_nanos: Nanos,
        owed_nanos: Nanos,
        /// The disputed payment's own first.
        lots: Vec<LotUse>,
        journal: JournalTransaction,
    },
    /// A credit note gave back what usage had taken.
    #[serde(rename = "wallet.usage_credited")]
    UsageCredited {
        /// Its number.
        note: String,
        amount_nanos: Nanos,
        /// Into which lots, the last used first.
        lots: Vec<LotUse>,
        journal: JournalTransaction,
    },
    /// Somebody has said how much may be used in a month. It opens the wallet when it comes first.
    #[serde(rename = "wallet.spending_limits_set")]
    SpendingLimitsSet {
        organisation_id: OrganisationId,
        currency: Currency,
        limits: SpendingLimits,
        at: Timestamp,
    },
    /// A limit is reached. Each is told once a month.
    #[serde(rename = "wallet.spending_reached")]
    SpendingReached {
        limit: SpendingLimit,
        month: Month,
        limit_nanos: Nanos,
        /// Used in the month until then; with a stop, the rest is set aside.
        spent_nanos: Nanos,
        at: Timestamp,
    },
    /// The rental that a hold is for is in a project. It comes with the hold.
    #[serde(rename = "wallet.hold_assigned")]
    HoldAssigned { hold_id: HoldId, project_id: ProjectId },
    /// Somebody has said how much the rentals of a project may use in a month. It opens the wallet when it comes first.
    #[serde(rename = "wallet.project_limits_set")]
    ProjectLimitsSet {
        organisation_id: OrganisationId,
        currency: Currency,
        project_id: ProjectId,
        limits: SpendingLimits,
        at: Timestamp,
    },
    /// A limit of a project is reached. Each is told once a month.
    #[serde(rename = "wallet.project_limit_reached")]
    ProjectLimitReached {
        project_id: ProjectId,
        limit: SpendingLimit,
        month: Month,
        limit_nanos: Nanos,
        /// Used in it in the month until then; with a stop, the rest is set aside.
        spent_nanos: Nanos,
        at: Timestamp,
    },
    /// Somebody has said of what to be told, in place of what was said before. It opens the wallet when it comes first.
    #[serde(rename = "wallet.alerts_set")]
    AlertsSet {
        organisation_id: OrganisationId,
        currency: Currency,
        alerts: Vec<Alert>,
        at: Timestamp,
    },
    /// Somebody wanted to be told of this.
    #[serde(rename = "wallet.alert_reached")]
    AlertReached {
        alert: Alert,
        month: Month,
        /// What was used in the month, or is left.
        seen_nanos: Nanos,
        at: Timestamp,
    },
    /// Somebody has said of what in a project to be told, in place of what was said before. It opens the wallet when it comes first.
    #[serde(rename = "wallet.project_alerts_set")]
    ProjectAlertsSet {
        organisation_id: OrganisationId,
        currency: Currency,
        project_id: ProjectId,
        /// Of what is spent in it.
        alerts: Vec<Alert>,
        at: Timestamp,
    },
    /// As much was used in a project as somebody wanted to be told of.
    #[serde(rename = "wallet.project_alert_reached")]
    ProjectAlertReached {
        project_id: ProjectId,
        alert: Alert,
        month: Month,
        /// Used in it in the month.
        spent_nanos: Nanos,
        at: Timestamp,
    },
}

domain_event!(WalletEvent {
    ToppedUp => "wallet.topped_up", 1;
    HoldPlaced => "wallet.hold_placed", 2;
    HoldExtended => "wallet.hold_extended", 2;
    HoldExtensionRefused => "wallet.hold_extension_refused", 1;
    UsageCaptured => "wallet.usage_captured", 3;
    OverrunRecorded => "wallet.overrun_recorded", 2;
    UsageCorrected => "wallet.usage_corrected", 2;
    HoldReleased => "wallet.hold_released", 2;
    HoldExpired => "wallet.hold_expired", 2;
    RefundReserved => "wallet.refund_reserved", 1;
    RefundReturned => "wallet.refund_returned", 1;
    CreditGranted => "wallet.credit_granted", 1;
    CreditExpired => "wallet.credit_expired", 1;
    PaymentDisputed => "wallet.payment_disputed", 1;
    DisputeReleased => "wallet.dispute_released", 1;
    DisputeLost => "wallet.dispute_lost", 1;
    UsageCredited => "wallet.usage_credited", 1;
    SpendingLimitsSet => "wallet.spending_limits_set", 1;
    SpendingReached => "wallet.spending_reached", 1;
    HoldAssigned => "wallet.hold_assigned", 1;
    ProjectLimitsSet => "wallet.project_limits_set", 1;
    ProjectLimitReached => "wallet.project_limit_reached", 1;
    AlertsSet => "wallet.alerts_set", 1;
    AlertReached => "wallet.alert_reached", 1;
    ProjectAlertsSet => "wallet.project_alerts_set", 1;
    ProjectAlertReached => "wallet.project_alert_reached", 1;
} upcasts [
    Upcast { event_type: "wallet.hold_placed", from: 1, to_next: all_paid },
    Upcast { event_type: "wallet.hold_extended", from: 1, to_next: all_paid },
    Upcast { event_type: "wallet.usage_captured", from: 1, to_next: without_credits },
    Upcast { event_type: "wallet.usage_captured", from: 2, to_next: without_tax },
    Upcast { event_type: "wallet.overrun_recorded", from: 1, to_next: without_tax },
    // In version 1 nothing of an invoice was taken back.
    Upcast { event_type: "wallet.usage_corrected", from: 1, to_next: std::convert::identity },
    Upcast { event_type: "wallet.hold_released", from: 1, to_next: all_paid },
    Upcast { event_type: "wallet.hold_expired", from: 1, to_next: all_paid },
]);

/// In version 1 there was no promotional credit.
fn all_paid(payload: Value) -> Value {
    with(payload, "promotional_nanos", Value::from(0))
}

fn without_credits(payload: Value) -> Value {
    with(payload, "credits", Value::Array(vec![]))
}

fn without_tax(payload: Value) -> Value {
    with(payload, "tax", Value::Null)
}

fn with(mut payload: Value, name: &str, value: Value) -> Value {
    if let Value::Object(members) = &mut payload {
        members.insert(name.to_owned(), value);
    }
    payload
}

impl Texts for WalletEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("organisation_id", Text::Kept),
        ("currency", Text::Kept),
        ("payment_id", Text::Kept),
        ("hold_id", Text::Kept),
        ("purpose", Text::Kept),
        ("expires_at", Text::Kept),
        ("credits[].credit_id", Text::Kept),
        ("lots[].payment_id", Text::Kept),
        ("tax.rate.jurisdiction", Text::Kept),
        ("invoiced.invoice", Text::Kept),
        ("refund_id", Text::Kept),
        ("credit_id", Text::Kept),
        ("dispute_id", Text::Kept),
        ("reason", Text::Said),
        ("note", Text::Kept),
        ("project_id", Text::Kept),
        ("limit", Text::Kept),
        ("alerts[].on", Text::Kept),
        ("alert.on", Text::Kept),
        ("month", Text::Kept),
        ("at", Text::Kept),
    ];
}

//! What is said of a break: with what the books and the provider's book disagree, what happened to it, and how it was settled.
use cairn_core::{BreakId, JournalTransaction, Nanos, Text, Texts, Timestamp, domain_event};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How a line of the provider's book and a posting disagree, or the provider and the bank; or what of a rental is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakType {
    /// The provider moved money that our books do not know.
    MissingInternal,
    /// Our books say the provider moved money, and its book does not.
    MissingExternal,
    /// Both know it, with other amounts.
    Amount,
    /// Both know it, in other currencies.
    Currency,
    /// The provider has it twice.
    Duplicate,
    /// The movement agrees; the fee is missing or another.
    Fee,
    /// It agrees, but our books knew it more than three days later.
    Late,
    /// A line was changed after it was mirrored.
    Changed,
    /// What a payout is made of does not add up to it.
    PayoutItems,
    /// A payout is due at the bank, whose statements cover its days, and none of their lines is it.
    BankMissing,
    /// A line of the bank names the provider, and is no payout of it.
    BankUnexpected,
    /// The bank has it by the same reference, with another amount.
    BankAmount,
    /// A node proved time of a rental that nobody paid for, too late for it to be charged by itself.
    UsageLate,
}

impl BreakType {
    /// As it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingInternal => "missing_internal",
            Self::MissingExternal => "missing_external",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Duplicate => "duplicate",
            Self::Fee => "fee",
            Self::Late => "late",
            Self::Changed => "changed",
            Self::PayoutItems => "payout_items",
            Self::BankMissing => "bank_missing",
            Self::BankUnexpected => "bank_unexpected",
            Self::BankAmount => "bank_amount",
            Self::UsageLate => "usage_late",
        }
    }

    /// Whether it is the bank that disagrees: then what our books have at the provider is not in question.
    #[must_use]
    pub const fn is_of_the_bank(self) -> bool {
        match self {
            Self::BankMissing | Self::BankUnexpected | Self::BankAmount => true,
            Self::MissingInternal
            | Self::MissingExternal
            | Self::Amount
            | Self::Currency
            | Self::Duplicate
            | Self::Fee
            | Self::Late
            | Self::Changed
            | Self::PayoutItems
            | Self::UsageLate => false,
        }
    }

    /// Whether it is about what was used: then no book is wrong, and no reconciliation finds it or misses it.
    #[must_use]
    pub const fn is_of_usage(self) -> bool {
        match self {
            Self::UsageLate => true,
            Self::MissingInternal
            | Self::MissingExternal
            | Self::Amount
            | Self::Currency
            | Self::Duplicate
            | Self::Fee
            | Self::Late
            | Self::Changed
            | Self::PayoutItems
            | Self::BankMissing
            | Self::BankUnexpected
            | Self::BankAmount => false,
        }
    }
}

/// The id of the case of a break: the same for the same type, line and posting, whenever it is found.
#[must_use]
pub fn break_id(
    break_type: BreakType,
    transaction_id: Option<&str>,
    reference: Option<&str>,
) -> BreakId {
    let mut hash = Sha256::new();
    for part in [Some(break_type.name()), transaction_id, reference] {
        // Length-prefixed, so that no two breaks read the same; what is absent is not what is empty.
        let length =
            part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX - 1));
        hash.update(length.to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    let bits =
        hash.finalize().iter().take(16).fold(0, |bits, byte| (bits << 8) | u128::from(*byte));
    BreakId::from_bits(bits)
}

/// With what the two books disagree, and by how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    /// How.
    pub break_type: BreakType,
    /// The provider's line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The charge, refund, … that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Our journal transaction, `source/source_id`; of late usage the rental and the beginning of the outage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// ISO 4217 code; the provider may have one in which we keep no books.
    pub currency: String,
    /// What the provider says, gross.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_nanos: Option<Nanos>,
    /// What our books say, gross.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub books_nanos: Option<Nanos>,
    /// By how much the provider's book is above ours, fees and earlier corrections included; or above the bank; or what late usage would cost.
    pub difference_nanos: Nanos,
    /// When it happened in the world.
    pub occurred_at: Timestamp,
    /// For people.
    pub message: String,
}

impl Disagreement {
    /// The id of its case.
    #[must_use]
    pub fn id(&self) -> BreakId {
        break_id(self.break_type, self.transaction_id.as_deref(), self.reference.as_deref())
    }

    /// Whether another run says the same of it, as far as money goes.
    #[must_use]
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        let money = |item: &Self| {
            let both = (item.provider_nanos, item.books_nanos);
            (item.currency.clone(), both, item.difference_nanos, item.occurred_at)
        };
        money(self) == money(other)
    }
}

/// How a break ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The books were corrected.
    Posted,
    /// The difference was taken as loss or gain.
    WrittenOff,
    /// The books stay as they are.
    Explained,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum BreakEvent {
    #[serde(rename = "break.found")]
    Found { item: Disagreement, at: Timestamp },
    /// It is still there, with other amounts. What was proposed is void.
    #[serde(rename = "break.restated")]
    Restated { item: Disagreement, at: Timestamp },
    #[serde(rename = "break.assigned")]
    Assigned { owner: String, due_at: Timestamp, reason: String, at: Timestamp },
    /// A later reconciliation does not find it.
    #[serde(rename = "break.cleared")]
    Cleared { at: Timestamp },
    /// A later reconciliation finds it although it was cleared or resolved.
    #[serde(rename = "break.reopened")]
    Reopened { item: Disagreement, at: Timestamp },
    #[serde(rename = "break.resolution_proposed")]
    ResolutionProposed {
        resolution: Resolution,
        cause: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        journal: Option<JournalTransaction>,
        /// Who may not approve it.
        proposed_by: String,
        /// Above this amount a second person approves.
        limit_nanos: Nanos,
        at: Timestamp,
    },
    /// The correction, if there is one, is posted with this very event.
    #[serde(rename = "break.resolved")]
    Resolved {
        resolution: Resolution,
        cause: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        journal: Option<JournalTransaction>,
        resolved_by: String,
        /// Of what was proposed by somebody else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved_by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        limit_nanos: Nanos,
        at: Timestamp,
    },
}

domain_event!(BreakEvent {
    Found => "break.found", 1;
    Restated => "break.restated", 1;
    Assigned => "break.assigned", 1;
    Cleared => "break.cleared", 1;
    Reopened => "break.reopened", 1;
    ResolutionProposed => "break.resolution_proposed", 1;
    Resolved => "break.resolved", 1;
});

impl Texts for BreakEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("item.break_type", Text::Kept),
        ("item.transaction_id", Text::ProviderId),
        ("item.source_id", Text::ProviderId),
        ("item.reference", Text::Movement),
        ("item.currency", Text::Kept),
        ("item.occurred_at", Text::Kept),
        ("item.message", Text::Reported),
        ("owner", Text::Name),
        ("due_at", Text::Kept),
        ("resolution", Text::Kept),
        ("cause", Text::Said),
        ("proposed_by", Text::Name),
        ("resolved_by", Text::Name),
        ("approved_by", Text::Name),
        ("reason", Text::Said),
        ("at", Text::Kept),
    ];
}

//! What a fact writes into the books: a balanced journal transaction, a change of a hold, or that a month takes no more.
use serde::{Deserialize, Serialize};

use crate::{Currency, HoldId, Month, Nanos, Timestamp};

/// One leg of a journal transaction. Positive is a debit, negative a credit, in nanos of the account's currency; never zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Code from the chart of accounts, see [`crate::chart`].
    pub account: String,
    /// Signed amount: debit > 0, credit < 0.
    pub amount_nanos: Nanos,
}

/// A balanced double entry: the postings of one currency sum to zero and there are at least two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalTransaction {
    /// What kind of movement this is, for example `top_up`; limits which accounts it may touch.
    pub kind: String,
    /// System or context the movement comes from, for example `stripe`.
    pub source: String,
    /// The movement's id within its source; unique there for ever.
    pub source_id: String,
    /// Currency of every posting.
    pub currency: Currency,
    /// When it happened in the world.
    pub occurred_at: Timestamp,
    /// `source/source_id` of the transaction that this one reverses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<String>,
    /// The legs.
    pub postings: Vec<Posting>,
}

impl JournalTransaction {
    /// A transaction that moves `amount_nanos` from the credited to the debited account.
    #[must_use]
    pub fn transfer(
        (kind, source, source_id): (&str, &str, &str),
        (currency, amount_nanos): (Currency, Nanos),
        (debit, credit): (String, String),
        occurred_at: Timestamp,
    ) -> Self {
        Self {
            kind: kind.to_owned(),
            source: source.to_owned(),
            source_id: source_id.to_owned(),
            currency,
            occurred_at,
            reverses: None,
            postings: vec![
                Posting { account: debit, amount_nanos },
                Posting { account: credit, amount_nanos: -amount_nanos },
            ],
        }
    }

    /// Whether the legs sum to zero, none is zero, and there are at least two.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let sum: i128 = self.postings.iter().map(|p| i128::from(p.amount_nanos)).sum();
        sum == 0 && self.postings.len() >= 2 && self.postings.iter().all(|p| p.amount_nanos != 0)
    }
}

/// A change of what one hold reserves on one account: amounts are added to what it already has there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldChange {
    /// The hold.
    pub hold_id: HoldId,
    /// The guarded account it reserves money on.
    pub account: String,
    /// Currency of the account.
    pub currency: Currency,
    /// Added to the amount reserved in all.
    pub reserved_nanos: Nanos,
    /// Added to what was captured out of it.
    pub captured_nanos: Nanos,
    /// Added to what was given back.
    pub released_nanos: Nanos,
    /// New expiry.
    pub expires_at: Timestamp,
}

/// A month of the books is closed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodChange {
    /// Which month.
    pub month: Month,
    /// Whether nothing takes effect in it from now on.
    pub closed: bool,
    /// The last position whose postings were counted when it was closed: one that came after it and takes effect by the month's end is a
    /// reason not to close. 0 when it is opened.
    pub counted_position: i64,
}

/// All that one event writes into the books.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BookEntry {
    /// The movement of money, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalTransaction>,
    /// The change of a hold, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldChange>,
    /// The change of the same hold on the account of promotional credit, if it has a share there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotional_hold: Option<HoldChange>,
    /// The change of a period, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<PeriodChange>,
}

impl BookEntry {
    /// A movement of money and nothing else.
    #[must_use]
    pub fn movement(journal: JournalTransaction) -> Self {
        Self { journal: Some(journal), ..Self::default() }
    }

    /// Every change of a hold's row.
    pub fn hold_changes(&self) -> impl Iterator<Item = &HoldChange> {
        self.hold.iter().chain(&self.promotional_hold)
    }
}

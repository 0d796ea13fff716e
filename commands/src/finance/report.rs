//! What a reconciliation says. Amounts are nanos; the provider's are gross unless they say fee.
use cairn_core::{BreakId, Nanos, Timestamp};
use cairn_finance::{BreakType, Disagreement};
use serde::Serialize;

use super::Period;
use super::bank::BankReport;
use super::matching::Classified;

/// A line or posting that is not matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenItem {
    /// The provider's line.
    pub transaction_id: Option<String>,
    /// The provider's category of it.
    pub category: Option<String>,
    /// The charge, refund, … that it is for.
    pub source_id: Option<String>,
    /// Our journal transaction, `source/source_id`.
    pub reference: Option<String>,
    /// Of the line, or of the posting when there is no line.
    pub currency: String,
    /// What the provider says.
    pub provider_nanos: Option<Nanos>,
    /// What our books say.
    pub books_nanos: Option<Nanos>,
    /// When it happened.
    pub at: Timestamp,
    /// For people.
    pub message: String,
}

/// A disagreement that somebody must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// Its case.
    pub break_id: BreakId,
    /// What is wrong.
    #[serde(rename = "type")]
    pub break_type: BreakType,
    /// By how much the provider's book is above ours in its currency, fees and corrections included.
    pub difference_nanos: Nanos,
    /// With what.
    #[serde(flatten)]
    pub item: OpenItem,
}

impl ReconciliationReport {
    /// Disagreements that nobody has explained, the bank's last; of both those from before the period first.
    pub fn open(&self) -> impl Iterator<Item = &Break> {
        let bank = self.bank.iter().flat_map(|bank| bank.carried.iter().chain(&bank.breaks));
        self.carried.iter().chain(&self.breaks).chain(bank)
    }

    /// Every disagreement, explained ones too.
    pub fn disagreements(&self) -> impl Iterator<Item = &Break> {
        let bank = self.bank.iter().flat_map(|bank| &bank.explained);
        self.open().chain(&self.explained).chain(bank)
    }
}

impl Break {
    /// As its case remembers it.
    #[must_use]
    pub fn disagreement(&self) -> Disagreement {
        let Self { break_type, difference_nanos, item, .. } = self.clone();
        Disagreement {
            break_type,
            transaction_id: item.transaction_id,
            source_id: item.source_id,
            reference: item.reference,
            currency: item.currency,
            provider_nanos: item.provider_nanos,
            books_nanos: item.books_nanos,
            difference_nanos,
            occurred_at: item.at,
            message: item.message,
        }
    }
}

/// One currency's proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Proof {
    pub currency: String,
    /// The provider's lines before the period, in it, and until its end; net of fees.
    pub opening_nanos: Nanos,
    pub movements_nanos: Nanos,
    pub closing_nanos: Nanos,
    /// Lines after the period.
    pub later_nanos: Nanos,
    /// What the provider says it holds for us now.
    pub provider_balance_nanos: Nanos,
    /// `closing + later = provider_balance`, and `opening + movements = closing`, where the movements are added up one by one.
    pub provider_agrees: bool,
    /// Our `stripe:*` accounts before, in and until the end of the period.
    pub books_opening_nanos: Nanos,
    pub books_movements_nanos: Nanos,
    pub books_closing_nanos: Nanos,
    /// `movements − books_movements`, which is the sum of the next three and of nothing else.
    pub difference_nanos: Nanos,
    pub expected_nanos: Nanos,
    pub breaks_nanos: Nanos,
    /// Matched pairs with one side outside the period.
    pub straddling_nanos: Nanos,
    /// What nothing explains: zero.
    pub unexplained_nanos: Nanos,
    /// `opening − books_opening`: what was open when the period began.
    pub opening_difference_nanos: Nanos,
    /// Of it, what the items of the look back explain.
    pub carried_nanos: Nanos,
    /// The rest of it, open for longer than the look back: zero.
    pub older_nanos: Nanos,
    /// Breaks leave our books with more money at the provider than it has for us.
    pub books_exceed_provider: bool,
    /// Whether `provider_agrees`, our books add up as well, and nothing is unexplained or older.
    pub proven: bool,
}

/// The reconciliation of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReconciliationReport {
    /// First instant.
    pub from: Timestamp,
    /// First instant after.
    pub until: Timestamp,
    /// The provider's lines in the period: matched, expected or breaks.
    pub lines: usize,
    /// Lines whose movement and fee are in our books (or that the provider itself took back).
    pub matched: usize,
    /// Lines and postings that wait for their counterpart.
    pub expected: Vec<OpenItem>,
    /// Disagreements, by time.
    pub breaks: Vec<Break>,
    /// Disagreements from before the period that are still open.
    pub carried: Vec<Break>,
    /// Of both, those that somebody has explained, and that still say the same. They are not counted among the others, and stay in
    /// the proofs: the books were not changed.
    pub explained: Vec<Break>,
    /// By currency.
    pub proofs: Vec<Proof>,
    /// What the bank's statements say of payouts, once one was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank: Option<BankReport>,
    /// No break that nobody has explained, none carried, the bank's included, and every currency proven.
    pub clean: bool,
}

pub(super) fn report(
    period: &Period,
    classified: Classified,
    (carried, explained): (Vec<Break>, Vec<Break>),
    (proofs, bank): (Vec<Proof>, Option<BankReport>),
) -> ReconciliationReport {
    let Classified { lines, matched, expected, breaks, .. } = classified;
    let proven = proofs.iter().all(|proof| proof.proven);
    let Period { from, until, .. } = *period;
    let report = ReconciliationReport {
        from,
        until,
        lines,
        matched,
        expected,
        breaks,
        carried,
        explained,
        proofs,
        bank,
        clean: false,
    };
    let clean = proven && report.open().next().is_none();
    ReconciliationReport { clean, ..report }
}

//! The chart of accounts: one function per account code. A code ends in its currency.
//!
//! `wallet:*` accounts are guarded: the database keeps a balance row for each and refuses an overdraft, holds included.
//! All others are platform accounts, whose balance is the sum of their postings.
use crate::{Currency, OrganisationId};

/// Liability: what an organisation has paid in and not used.
#[must_use]
pub fn wallet_paid(organisation: OrganisationId, currency: Currency) -> String {
    format!("wallet:paid:{organisation}:{currency}")
}

/// Liability: credit that an organisation was given and has not used. Nobody paid for it, so it is never refunded.
#[must_use]
pub fn wallet_promo(organisation: OrganisationId, currency: Currency) -> String {
    format!("wallet:promo:{organisation}:{currency}")
}

/// Expense: promotional credit that was given, less what expired of it unused.
#[must_use]
pub fn promo(currency: Currency) -> String {
    format!("promo:{currency}")
}

/// Asset: money at Stripe, whether pending or available there.
#[must_use]
pub fn stripe(currency: Currency) -> String {
    format!("stripe:pending:{currency}")
}

/// Asset: money that has left Stripe in a payout and has not come to the bank.
#[must_use]
pub fn payout_in_transit(currency: Currency) -> String {
    format!("clearing:payout_in_transit:{currency}")
}

/// Asset: money in one of our accounts at a bank, for example `bank:main:USD`.
#[must_use]
pub fn bank(account: &str, currency: Currency) -> String {
    format!("bank:{account}:{currency}")
}

/// Expense: what Stripe keeps.
#[must_use]
pub fn stripe_fees(currency: Currency) -> String {
    format!("stripe_fees:{currency}")
}

/// Asset: usage that ran past its hold and past the wallet; owed by the organisation.
#[must_use]
pub fn receivable_overrun(organisation: OrganisationId, currency: Currency) -> String {
    format!("receivable:overrun:{organisation}:{currency}")
}

/// Asset: what a lost dispute took that the wallet could not cover; owed by the organisation.
#[must_use]
pub fn receivable_customer(organisation: OrganisationId, currency: Currency) -> String {
    format!("receivable:customer:{organisation}:{currency}")
}

/// Asset: what Stripe has taken back for disputes that are not decided.
#[must_use]
pub fn receivable_dispute(currency: Currency) -> String {
    format!("receivable:dispute:{currency}")
}

/// Expense: what Stripe keeps for disputes.
#[must_use]
pub fn dispute_fees(currency: Currency) -> String {
    format!("dispute_fees:{currency}")
}

/// Liability: refunds taken out of a wallet that have not left Stripe yet.
#[must_use]
pub fn refund_payable(currency: Currency) -> String {
    format!("refund_payable:{currency}")
}

/// Income from one product, for example `usage:compute:USD`.
#[must_use]
pub fn usage(product: &str, currency: Currency) -> String {
    format!("usage:{product}:{currency}")
}

/// Liability: tax that customers paid with their usage and a jurisdiction is owed, for example `tax:DE:EUR`.
#[must_use]
pub fn tax(jurisdiction: &str, currency: Currency) -> String {
    format!("tax:{jurisdiction}:{currency}")
}

/// Asset: what is at hand and not understood yet, until a break is settled.
#[must_use]
pub fn suspense(currency: Currency) -> String {
    format!("suspense:{currency}")
}

/// Expense: differences to the provider's book that were taken as loss; what was taken as gain is credited.
#[must_use]
pub fn write_offs(currency: Currency) -> String {
    format!("write_offs:{currency}")
}

/// What an account is, as its code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountType {
    /// What the platform owns; debit increases it.
    Asset,
    /// What the platform owes; credit increases it.
    Liability,
    /// What the platform earned; credit increases it.
    Income,
    /// What it cost; debit increases it.
    Expense,
    /// The rest; credit increases it.
    Equity,
}

impl AccountType {
    /// The type of an account code by its first segment.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        match code.split(':').next()? {
            "stripe" | "bank" | "clearing" | "receivable" | "suspense" => Some(Self::Asset),
            "wallet" | "refund_payable" | "tax" | "host_payable" => Some(Self::Liability),
            "usage" | "breakage" => Some(Self::Income),
            "stripe_fees" | "dispute_fees" | "dispute_loss" | "goodwill" | "promo"
            | "write_offs" => Some(Self::Expense),
            "equity" => Some(Self::Equity),
            _ => None,
        }
    }

    /// Whether a credit increases it.
    #[must_use]
    pub const fn is_credit_normal(self) -> bool {
        matches!(self, Self::Liability | Self::Income | Self::Equity)
    }
}

/// Whether the database guards this account against overdraft.
#[must_use]
pub fn is_guarded(code: &str) -> bool {
    code.starts_with("wallet:")
}

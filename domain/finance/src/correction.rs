//! Which accounts a person may move money between to settle a break, and what that writes into the books.
//!
//! One side is always the provider's account: it is where the two books disagree. Wallets are not among the others. What a customer
//! has is decided by the wallet alone, so a top-up that is missing is booked as a top-up.
use cairn_core::{BreakId, Currency, JournalTransaction, MoneyError, Nanos, Timestamp, chart};

/// Accounts that may stand against the provider's, by the part of their code before the currency or what follows.
pub const CORRECTION_ACCOUNTS: [&str; 6] =
    ["bank", "clearing", "refund_payable", "stripe_fees", "suspense", "receivable:dispute"];

/// An account's code with the currency that it ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// For example `bank:main:USD`.
    pub code: String,
    /// Its currency.
    pub currency: Currency,
}

impl Account {
    /// Of a code.
    ///
    /// # Errors
    /// [`MoneyError::UnknownCurrency`] when the code does not end in one.
    pub fn try_new(code: &str) -> Result<Self, MoneyError> {
        let (_, currency) = code.rsplit_once(':').unwrap_or_default();
        Ok(Self { code: code.to_owned(), currency: currency.parse()? })
    }

    fn is_of(&self, group: &str) -> bool {
        let rest = self.code.strip_prefix(group).and_then(|rest| rest.strip_prefix(':'));
        rest.is_some_and(|rest| rest.split(':').all(is_word))
    }

    fn is_the_providers(&self) -> bool {
        self.code == chart::stripe(self.currency)
    }
}

fn is_word(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !part.is_empty() && part.bytes().all(plain)
}

/// An amount from the credited to the debited account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The account that is debited.
    pub debit: Account,
    /// The account that is credited.
    pub credit: Account,
    /// More than nothing.
    pub amount_nanos: Nanos,
}

impl Transfer {
    /// Whether a person may post it: one side is the provider's account, the other one of [`CORRECTION_ACCOUNTS`], and both are in
    /// one currency.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        let other =
            |account: &Account| CORRECTION_ACCOUNTS.iter().any(|group| account.is_of(group));
        let pair = [(&self.debit, &self.credit), (&self.credit, &self.debit)];
        self.debit.currency == self.credit.currency
            && pair.iter().any(|(ours, against)| ours.is_the_providers() && other(against))
    }

    /// What writes a difference off: what the provider has less than our books is a loss.
    #[must_use]
    pub fn write_off(currency: Currency, difference_nanos: Nanos) -> Self {
        let of = |code| Account { code, currency };
        let (provider, loss) = (of(chart::stripe(currency)), of(chart::write_offs(currency)));
        let (debit, credit) =
            if difference_nanos < 0 { (loss, provider) } else { (provider, loss) };
        Self { debit, credit, amount_nanos: difference_nanos.saturating_abs() }
    }

    /// As the `number`th journal transaction of a case.
    pub(crate) fn journal(
        self,
        kind: &str,
        (break_id, number): (BreakId, u32),
        at: Timestamp,
    ) -> JournalTransaction {
        let source_id = format!("{break_id}:{number}");
        let Self { debit, credit, amount_nanos } = self;
        let money = (debit.currency, amount_nanos);
        JournalTransaction::transfer(
            (kind, "break", &source_id),
            money,
            (debit.code, credit.code),
            at,
        )
    }
}

//! A statement of one of our accounts at a bank: what it had, what moved it, and what it has.
//!
//! It is only taken when it proves itself: opening + lines = closing. Each line has a name that is the same in every statement
//! that has the line, so that statements may overlap.
use std::collections::BTreeMap;

use cairn_core::money::format_nanos;
use cairn_core::{Nanos, Timestamp};
use sha2::{Digest as _, Sha256};

const DAY_SECS: i64 = 86_400;
/// The longest reference, and the longest text of a line, in bytes.
const REFERENCE_MAX: usize = 200;
const TEXT_MAX: usize = 20_000;

/// What a bank says of one account and currency, for some days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The bank's name of it, when it has one.
    pub statement_id: Option<String>,
    /// The bank's number of the account, for example its IBAN, when the statement says it.
    pub bank_account: Option<String>,
    /// ISO 4217 code; it may be one in which no books are kept.
    pub currency: String,
    /// What there was before the first line and after the last one, when the statement says it.
    pub balances: Option<Balances>,
    /// Its first and its last day, each as the midnight (UTC) that it begins with.
    pub days: (Timestamp, Timestamp),
    /// As the bank orders them.
    pub lines: Vec<StatementLine>,
}

/// What an account had before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Balances {
    pub opening_nanos: Nanos,
    pub closing_nanos: Nanos,
}

/// What moved an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    /// The bank's own name of it, when it has one.
    pub reference: Option<String>,
    /// The days on which it was booked and from which it counts, each as the midnight (UTC) that it begins with.
    pub booked_on: Timestamp,
    /// See `booked_on`.
    pub valued_on: Timestamp,
    /// More than zero is money for us.
    pub amount_nanos: Nanos,
    /// What whoever paid called it.
    pub end_to_end: Option<String>,
    /// Whatever else is said of it.
    pub text: String,
}

/// A line with the name that it has among all lines of its account and currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedLine {
    /// The bank's reference; the second of one day and reference ends in `#2`. One without a reference is called `~` and a hash of what it says.
    pub reference: String,
    /// What it says.
    pub line: StatementLine,
}

/// Why a statement is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Opening + lines is not closing.
    #[error(
        "its lines do not lead from its opening to its closing balance: the closing balance is {} {} {}",
        format_nanos(difference_nanos.saturating_abs()),
        currency,
        if *difference_nanos < 0 { "too low" } else { "too high" }
    )]
    DoesNotAddUp {
        /// Closing, less opening and lines.
        difference_nanos: Nanos,
        /// In which currency.
        currency: String,
    },
    /// Past what an amount can be.
    #[error("its amounts add up to more than 9,223,372,036 units")]
    TooLarge,
    /// The last day is before the first.
    #[error("it ends before it begins")]
    EndsBeforeItBegins,
    /// Not a code of ISO 4217.
    #[error("'{0}' is not a currency such as EUR")]
    BadCurrency(String),
    /// A line is booked outside its days.
    #[error("line {0} is booked on a day that it does not cover")]
    OutsideItsDays(usize),
    /// A text of a line is too long or cannot be read.
    #[error("line {0} has a text that is too long, or has characters in it that cannot be read")]
    BadText(usize),
    /// A text of its own is too long or cannot be read.
    #[error("its id or account is empty or too long, or has characters in it that cannot be read")]
    BadName,
}

/// The midnight (UTC) that a day such as `2026-10-31` begins with.
#[must_use]
pub fn day(text: &str) -> Option<Timestamp> {
    let form = text.len() == 10 && text.is_ascii();
    form.then(|| format!("{text}T00:00:00Z").parse().ok()).flatten()
}

/// A day as it is written, for example `2026-10-31`.
#[must_use]
pub fn day_text(midnight: Timestamp) -> String {
    midnight.to_string().chars().take(10).collect()
}

/// The midnight some days later, or earlier when negative.
#[must_use]
pub const fn plus_days(midnight: Timestamp, days: i64) -> Timestamp {
    midnight.plus_secs(days.saturating_mul(DAY_SECS))
}

impl Statement {
    /// Whether it proves itself.
    ///
    /// # Errors
    /// [`StatementError`], with the number of the line where one is to blame; lines count from 1.
    pub fn check(&self) -> Result<(), StatementError> {
        let code = self.currency.as_bytes();
        if code.len() != 3 || !code.iter().all(u8::is_ascii_uppercase) {
            return Err(StatementError::BadCurrency(self.currency.clone()));
        }
        let names = [&self.statement_id, &self.bank_account];
        if !names.into_iter().flatten().all(|name| is_name(name)) {
            return Err(StatementError::BadName);
        }
        if self.days.1 < self.days.0 {
            return Err(StatementError::EndsBeforeItBegins);
        }
        for (number, line) in (1..).zip(&self.lines) {
            if !line.is_legible() {
                return Err(StatementError::BadText(number));
            }
            if line.booked_on < self.days.0 || self.days.1 < line.booked_on {
                return Err(StatementError::OutsideItsDays(number));
            }
        }
        self.adds_up()
    }

    fn adds_up(&self) -> Result<(), StatementError> {
        let amounts = self.lines.iter().map(|line| i128::from(line.amount_nanos));
        let moved: i128 = amounts.sum();
        let (opening, closing) = match self.balances {
            Some(Balances { opening_nanos, closing_nanos }) => (opening_nanos, closing_nanos),
            None => (0, Nanos::try_from(moved).map_err(|_| StatementError::TooLarge)?),
        };
        let difference = i128::from(closing) - i128::from(opening) - moved;
        let difference_nanos = Nanos::try_from(difference).map_err(|_| StatementError::TooLarge)?;
        if difference_nanos == 0 {
            return Ok(());
        }
        Err(StatementError::DoesNotAddUp { difference_nanos, currency: self.currency.clone() })
    }

    /// Its lines with their names, in its order.
    #[must_use]
    pub fn named(&self) -> Vec<NamedLine> {
        let mut seen = BTreeMap::<(Timestamp, String), u32>::new();
        let name = |line: &StatementLine| {
            let reference = line.reference.clone();
            let reference = reference.unwrap_or_else(|| format!("~{}", &line.content()[..24]));
            let count = seen.entry((line.booked_on, reference.clone())).or_default();
            *count += 1;
            let reference = if *count == 1 { reference } else { format!("{reference}#{count}") };
            NamedLine { reference, line: line.clone() }
        };
        self.lines.iter().map(name).collect()
    }
}

impl StatementLine {
    /// A hash of all that it says: the same line says the same whenever it is read.
    #[must_use]
    pub fn content(&self) -> String {
        let mut hash = Sha256::new();
        let (reference, end_to_end) = (self.reference.as_deref(), self.end_to_end.as_deref());
        for number in [self.booked_on.as_micros(), self.valued_on.as_micros(), self.amount_nanos] {
            hash.update(number.to_be_bytes());
        }
        for part in [reference, end_to_end, Some(&self.text)] {
            // Length-prefixed, so that no two lines read the same; what is absent is not what is empty.
            let length =
                part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX - 1));
            hash.update(length.to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        let hex = |byte: u8| [byte >> 4, byte & 15].map(|half| char::from(HEX[usize::from(half)]));
        hash.finalize().into_iter().flat_map(hex).collect()
    }

    fn is_legible(&self) -> bool {
        let names = [&self.reference, &self.end_to_end];
        let named = names.into_iter().flatten().all(|name| is_name(name));
        named && self.text.len() <= TEXT_MAX && !self.text.contains(char::is_control)
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn is_name(text: &str) -> bool {
    (1..=REFERENCE_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

//! Money as integers: 10⁻⁹ of the currency's unit ("nanos"), rounding half to even.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wire;

/// 10⁻⁹ of a currency's unit. 9,223,372,036 units fit.
pub type Nanos = i64;

const NANOS_PER_UNIT: i64 = 1_000_000_000;

/// A currency that Cairn sells in, by its ISO 4217 code. All of them have two decimals at the payment provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Currency {
    /// Swiss franc.
    CHF,
    /// Euro.
    EUR,
    /// Pound sterling.
    GBP,
    /// United States dollar.
    USD,
}

impl Currency {
    /// All currencies.
    pub const ALL: [Self; 4] = [Self::CHF, Self::EUR, Self::GBP, Self::USD];

    /// ISO 4217 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CHF => "CHF",
            Self::EUR => "EUR",
            Self::GBP => "GBP",
            Self::USD => "USD",
        }
    }

    /// Nanos in the smallest amount that the payment provider moves (a cent).
    #[must_use]
    pub const fn nanos_per_minor(self) -> Nanos {
        NANOS_PER_UNIT / 100
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Self::ALL
            .into_iter()
            .find(|currency| currency.code() == text)
            .ok_or_else(|| MoneyError::UnknownCurrency(text.to_owned()))
    }
}

/// Why a text or a sum is not money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// No such currency here.
    #[error("currency '{0}' is not one of CHF, EUR, GBP, USD")]
    UnknownCurrency(String),
    /// Not a decimal number with at most nine decimals.
    #[error("amount '{0}' is not a decimal number with at most 9 decimals, such as 12.50")]
    Malformed(String),
    /// Past what the ledger can hold.
    #[error("amount is beyond 9,223,372,036 units")]
    TooLarge,
}

/// An amount of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// Signed nanos.
    pub nanos: Nanos,
    /// Its currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of nanos.
    #[must_use]
    pub const fn new(nanos: Nanos, currency: Currency) -> Self {
        Self { nanos, currency }
    }

    /// The amount as a decimal number with at least two and at most nine decimals.
    #[must_use]
    pub fn decimal(self) -> String {
        format_nanos(self.nanos)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

/// Nanos as a decimal number with at least two and at most nine decimals.
#[must_use]
pub fn format_nanos(nanos: Nanos) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let units = magnitude / NANOS_PER_UNIT.unsigned_abs();
    let fraction = format!("{:09}", magnitude % NANOS_PER_UNIT.unsigned_abs());
    let trimmed = fraction.trim_end_matches('0');
    let decimals = if trimmed.len() < 2 { &fraction[..2] } else { trimmed };
    format!("{sign}{units}.{decimals}")
}

/// Nanos of a decimal number with at most nine decimals.
///
/// # Errors
/// [`MoneyError::Malformed`] or [`MoneyError::TooLarge`].
pub fn parse_nanos(text: &str) -> Result<Nanos, MoneyError> {
    let malformed = || MoneyError::Malformed(text.to_owned());
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (units, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(units) || !all_digits(fraction) || fraction.len() > 9 {
        return Err(malformed());
    }
    let units: i64 = units.parse().map_err(|_| MoneyError::TooLarge)?;
    let fraction: i64 = format!("{fraction:0<9}").parse().map_err(|_| malformed())?;
    let nanos = units
        .checked_mul(NANOS_PER_UNIT)
        .and_then(|nanos| nanos.checked_add(fraction))
        .ok_or(MoneyError::TooLarge)?;
    Ok(if negative { -nanos } else { nanos })
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::parsed(deserializer)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (amount, currency) =
            text.split_once(' ').ok_or_else(|| MoneyError::Malformed(text.to_owned()))?;
        Ok(Self::new(parse_nanos(amount)?, currency.parse()?))
    }
}

/// A quotient of a positive divisor, rounded half to even.
pub(crate) fn half_even(dividend: i128, divisor: i128) -> i128 {
    let (floor, rest) = (dividend.div_euclid(divisor), dividend.rem_euclid(divisor));
    let up = match (rest * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Greater => 1,
        std::cmp::Ordering::Equal => floor.rem_euclid(2),
    };
    floor + up
}

#[cfg(test)]
mod tests {
    use super::{Currency, Money, MoneyError, format_nanos, parse_nanos};
    use proptest::prelude::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(parse_nanos("12.5"), Ok(12_500_000_000));
        assert_eq!(parse_nanos("-0.000000001"), Ok(-1));
        assert_eq!(format_nanos(12_500_000_000), "12.50");
        assert_eq!(format_nanos(1), "0.000000001");
        assert_eq!("10.00 USD".parse(), Ok(Money::new(10_000_000_000, Currency::USD)));
    }

    #[test]
    fn absurd_amounts_are_refused() {
        for text in ["", ".", "1.", ".5", "1e9", "+1", "1,00", "0.0000000001", "--1", "١"] {
            assert_eq!(parse_nanos(text), Err(MoneyError::Malformed(text.to_owned())), "{text}");
        }
        assert_eq!(parse_nanos("99999999999"), Err(MoneyError::TooLarge));
    }

    proptest! {
        #[test]
        fn an_amount_survives_its_text(nanos in -i64::MAX..i64::MAX) {
            prop_assert_eq!(parse_nanos(&format_nanos(nanos)), Ok(nanos));
        }
    }
}

//! Money on the wire: decimal strings beside one `currency`, never a float.
use cairn_core::money::{format_nanos, parse_nanos};
use cairn_core::{Currency, Money, MoneyError, Nanos};

use crate::problem::FieldError;

/// Nanos as a decimal string.
#[must_use]
pub fn decimal(nanos: Nanos) -> String {
    format_nanos(nanos)
}

/// A positive amount out of the body's members `/amount` and `/currency`.
///
/// # Errors
/// One error per member that is wrong.
pub fn parse(amount: &str, currency: &str) -> Result<Money, Vec<FieldError>> {
    let nanos = positive("/amount", amount);
    let currency = parse_currency("/currency", currency);
    match (nanos, currency) {
        (Ok(nanos), Ok(currency)) => Ok(Money::new(nanos, currency)),
        (nanos, currency) => Err(nanos.err().into_iter().chain(currency.err()).collect()),
    }
}

/// An amount of any sign.
///
/// # Errors
/// What is wrong with it.
pub fn amount(pointer: &str, amount: &str) -> Result<Nanos, FieldError> {
    parse_nanos(amount).map_err(|error| field_error(pointer, &error))
}

/// A positive amount.
///
/// # Errors
/// What is wrong with it.
pub fn positive(pointer: &str, amount: &str) -> Result<Nanos, FieldError> {
    let nanos = self::amount(pointer, amount)?;
    if nanos > 0 {
        return Ok(nanos);
    }
    let detail = format!("amount '{amount}' must be more than zero");
    Err(FieldError::new(pointer, "amount_not_positive", detail))
}

/// A currency.
///
/// # Errors
/// What is wrong with it.
pub fn parse_currency(pointer: &str, currency: &str) -> Result<Currency, FieldError> {
    currency.parse().map_err(|error| field_error(pointer, &error))
}

fn field_error(pointer: &str, error: &MoneyError) -> FieldError {
    let code = match error {
        MoneyError::UnknownCurrency(_) => "currency_unknown",
        MoneyError::Malformed(_) => "amount_malformed",
        MoneyError::TooLarge => "amount_too_large",
    };
    FieldError::new(pointer, code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn codes(amount: &str, currency: &str) -> Vec<String> {
        let errors = parse(amount, currency).err().unwrap_or_default();
        errors.into_iter().map(|e| format!("{} {}", e.pointer, e.code)).collect()
    }

    #[test]
    fn every_wrong_member_is_named() {
        assert_eq!(codes("12.50", "USD"), Vec::<String>::new());
        assert_eq!(codes("-1", "USD"), ["/amount amount_not_positive"]);
        assert_eq!(codes("0", "USD"), ["/amount amount_not_positive"]);
        assert_eq!(codes("1e3", "USD"), ["/amount amount_malformed"]);
        assert_eq!(codes("99999999999999", "USD"), ["/amount amount_too_large"]);
        assert_eq!(codes("x", "usd"), ["/amount amount_malformed", "/currency currency_unknown"]);
    }
}

//! Taxes: a rate in millionths, and how much of an amount is tax.
use serde::{Deserialize, Serialize};

use crate::money::{MoneyError, half_even};
use crate::{Nanos, Text};

/// The whole of a rate: 1,000,000 millionths are 100 %.
pub const WHOLE: u32 = 1_000_000;

/// Who is owed a tax, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxRate {
    /// ISO 3166: a country (`DE`) or a part of one (`US-CA`).
    pub jurisdiction: String,
    /// Millionths of the net amount: 190,000 is 19 %.
    pub ppm: u32,
}

impl TaxRate {
    /// How much of an amount that includes it is tax: `gross × rate ÷ (1 + rate)`, rounded half to even.
    ///
    /// Post the difference of two cumulative totals, never a rounded slice: then every partition of an amount is taxed the same.
    #[must_use]
    pub fn within(&self, gross_nanos: Nanos) -> Nanos {
        let whole = i128::from(WHOLE) + i128::from(self.ppm);
        let exact = i128::from(gross_nanos) * i128::from(self.ppm);
        // A part of an amount fits where the amount fits.
        Nanos::try_from(half_even(exact, whole)).unwrap_or(gross_nanos)
    }

    /// An amount with the tax on top: `net × (1 + rate)`, rounded half to even.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn on_top_of(&self, net_nanos: Nanos) -> Result<Nanos, MoneyError> {
        let whole = i128::from(WHOLE);
        let exact = i128::from(net_nanos) * (whole + i128::from(self.ppm));
        Nanos::try_from(half_even(exact, whole)).map_err(|_| MoneyError::TooLarge)
    }
}

/// How a tax meets a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxTreatment {
    /// Prices of the catalogue include it.
    Inclusive,
    /// It comes on top of prices of the catalogue.
    Exclusive,
    /// The customer owes it to the jurisdiction, not us: a business with a tax id of its own. Nothing is added or taken out.
    ReverseCharge,
}

/// A tax as a rental began with it, and keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    /// Who is owed how much.
    pub rate: TaxRate,
    /// What it is called there: `VAT`, `MWST`, `Sales tax`.
    pub name: String,
    /// Whether it is in the price.
    pub treatment: TaxTreatment,
    /// The version of the jurisdiction's table.
    pub version: u32,
}

impl Tax {
    /// Its texts in an event that has it as `tax`.
    pub const TEXTS: [(&'static str, Text); 3] = [
        ("tax.rate.jurisdiction", Text::Kept),
        ("tax.name", Text::Kept),
        ("tax.treatment", Text::Kept),
    ];

    /// What a customer pays where the catalogue says `list_nanos`.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn price(&self, list_nanos: Nanos) -> Result<Nanos, MoneyError> {
        match self.treatment {
            TaxTreatment::Exclusive => self.rate.on_top_of(list_nanos),
            TaxTreatment::Inclusive | TaxTreatment::ReverseCharge => Ok(list_nanos),
        }
    }

    /// What is owed by us out of what is charged; none when the customer owes it, or when the rate is zero.
    #[must_use]
    pub fn due(&self) -> Option<TaxRate> {
        let owed = match self.treatment {
            TaxTreatment::Inclusive | TaxTreatment::Exclusive => self.rate.ppm > 0,
            TaxTreatment::ReverseCharge => false,
        };
        owed.then(|| self.rate.clone())
    }
}

/// Whether a text names a jurisdiction: two capital letters, and a part of one to three letters or digits after a dash if there is one.
#[must_use]
pub fn is_jurisdiction(code: &str) -> bool {
    let (country, part) = code.split_once('-').map_or((code, None), |(c, p)| (c, Some(p)));
    let letters = |b: u8| b.is_ascii_uppercase();
    let country = country.len() == 2 && country.bytes().all(letters);
    let alike = |part: &str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|b| letters(b) || b.is_ascii_digit())
    };
    country && part.is_none_or(alike)
}

/// A rate in percent, with as many decimals as it needs: `19`, `7.7`, `8.875`.
#[must_use]
pub fn format_percent(ppm: u32) -> String {
    let (whole, rest) = (ppm / 10_000, ppm % 10_000);
    let decimals = format!("{rest:04}");
    match decimals.trim_end_matches('0') {
        "" => whole.to_string(),
        decimals => format!("{whole}.{decimals}"),
    }
}

/// Millionths of a percentage from 0 to 100 with at most four decimals; none when it is none.
#[must_use]
pub fn parse_percent(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |s: &str, most| (1..=most).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 3) || !digits(decimals, 4) {
        return None;
    }
    let ppm =
        whole.parse::<u32>().ok()? * 10_000 + format!("{decimals:0<4}").parse::<u32>().ok()?;
    (ppm <= WHOLE).then_some(ppm)
}

#[cfg(test)]
mod tests {
    use super::{TaxRate, format_percent, is_jurisdiction, parse_percent};
    use proptest::prelude::*;

    fn rate(ppm: u32) -> TaxRate {
        TaxRate { jurisdiction: "DE".to_owned(), ppm }
    }

    #[test]
    fn a_tax_is_in_the_gross_amount_as_it_was_put_on_the_net_one() {
        assert_eq!(rate(190_000).on_top_of(100), Ok(119));
        assert_eq!(rate(190_000).within(119), 19);
        assert_eq!(rate(77_000).within(0), 0);
        // Half a nano goes to the even one.
        assert_eq!(rate(1_000_000).within(1), 0);
        assert_eq!(rate(1_000_000).within(3), 2);
    }

    #[test]
    fn percentages_and_jurisdictions_read_as_people_write_them() {
        for (text, ppm) in [("19", 190_000), ("7.7", 77_000), ("8.875", 88_750), ("0.0001", 1)] {
            assert_eq!(parse_percent(text), Some(ppm));
            assert_eq!(format_percent(ppm), text);
        }
        assert_eq!(parse_percent("100"), Some(1_000_000));
        for text in ["", "100.0001", "101", "-1", "1,9", "19%", "0.00001", ".5", "1.", "١"] {
            assert_eq!(parse_percent(text), None, "{text}");
        }
        for code in ["DE", "US-CA", "CA-QC", "FR-2A"] {
            assert!(is_jurisdiction(code), "{code}");
        }
        for code in ["", "de", "D", "DEU", "US-", "US-CALI", "US_CA", "D:", "US-c"] {
            assert!(!is_jurisdiction(code), "{code}");
        }
    }

    proptest! {
        #[test]
        fn any_partition_of_an_amount_is_taxed_the_same(
            ppm in 0..=1_000_000_u32,
            slices in prop::collection::vec(0..10_000_000_000_000_i64, 1..50),
        ) {
            let rate = rate(ppm);
            let (mut gross, mut taxed) = (0, 0);
            for slice in &slices {
                gross += slice;
                let delta = rate.within(gross) - taxed;
                prop_assert!((0..=*slice).contains(&delta), "{delta} of {slice}");
                taxed += delta;
            }
            prop_assert_eq!(taxed, rate.within(slices.iter().sum()));
        }

        #[test]
        fn what_was_put_on_top_is_found_within(ppm in 0..=1_000_000_u32, net in 0..10_000_000_000_000_i64) {
            let rate = rate(ppm);
            let gross = rate.on_top_of(net).unwrap();
            let back = gross - rate.within(gross);
            prop_assert!((back - net).abs() <= 1, "{net} became {gross} and {back}");
        }
    }
}

//! Prices on the wire: one amount per hour, or tiers of them.
use cairn_core::{Money, Tariff, Tier, Tiers, TiersError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::money;
use crate::problem::FieldError;

/// A price to set: either `amount` or `tiers`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceBody {
    /// Decimal: the price of 3,600 seconds.
    #[schema(example = "0.36")]
    amount: Option<String>,
    /// At most ten, by how long a rental has been used at this price. The first begins at 0, each later than the one before.
    tiers: Option<Vec<TierBody>>,
    /// CHF, EUR, GBP or USD.
    #[schema(example = "USD")]
    currency: String,
}

/// One tier of a price to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TierBody {
    /// Seconds of use before it begins.
    #[schema(example = 0, minimum = 0)]
    from_seconds: i64,
    /// Decimal: the price of 3,600 seconds in it.
    #[schema(example = "0.36")]
    amount: String,
}

/// One tier of a price.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceTier {
    /// Seconds of use at this price before it begins.
    pub from_seconds: i64,
    /// Decimal: the price of 3,600 seconds in it, less the discount and without additional disk.
    pub per_hour: String,
}

const INVALID: &str = "price_tiers_invalid";

impl PriceBody {
    /// The price of the first hour, and the tiers after the first.
    ///
    /// # Errors
    /// One error per member that is wrong.
    pub fn parse(&self) -> Result<(Money, Tiers), Vec<FieldError>> {
        match (&self.amount, &self.tiers) {
            (Some(amount), None) => {
                money::parse(amount, &self.currency).map(|price| (price, Tiers::NONE))
            }
            (None, Some(tiers)) => self.tiered(tiers),
            (Some(_), Some(_)) => {
                let why = "a price has an amount or tiers, not both";
                Err(vec![FieldError::new("/tiers", INVALID, why.to_owned())])
            }
            (None, None) => {
                let why = "a price has an amount or tiers";
                Err(vec![FieldError::new("/amount", INVALID, why.to_owned())])
            }
        }
    }

    fn tiered(&self, tiers: &[TierBody]) -> Result<(Money, Tiers), Vec<FieldError>> {
        let (mut all, mut errors) = (vec![], vec![]);
        for (number, tier) in tiers.iter().enumerate() {
            match money::positive(&format!("/tiers/{number}/amount"), &tier.amount) {
                Ok(nanos_per_hour) => {
                    all.push(Tier { from_seconds: tier.from_seconds, nanos_per_hour });
                }
                Err(error) => errors.push(error),
            }
        }
        let currency = money::parse_currency("/currency", &self.currency);
        let currency = currency.map_err(|error| errors.push(error)).ok();
        let split = match Tiers::split(&all) {
            Ok(split) => Some(split),
            // What is told of an amount is left out of the tiers, and so their order is not known.
            Err(_) if !errors.is_empty() => None,
            Err(error) => {
                errors.push(FieldError::new(&place(error), INVALID, error.to_string()));
                None
            }
        };
        match split.zip(currency) {
            Some(((nanos, later), currency)) if errors.is_empty() => {
                Ok((Money::new(nanos, currency), later))
            }
            _ => Err(errors),
        }
    }
}

fn place(error: TiersError) -> String {
    match error {
        TiersError::TooMany => "/tiers".to_owned(),
        TiersError::Late => "/tiers/0/from_seconds".to_owned(),
        TiersError::Unsorted(number) => format!("/tiers/{number}/from_seconds"),
    }
}

impl PriceTier {
    /// Every tier of a price; none when all time costs the same.
    #[must_use]
    pub fn all(tariff: &Tariff) -> Vec<Self> {
        if tariff.tiers.is_none() {
            return vec![];
        }
        let shown = |tier: Tier| Self {
            from_seconds: tier.from_seconds,
            per_hour: money::decimal(tariff.net(tier.nanos_per_hour)),
        };
        tariff.all().map(shown).collect()
    }
}

/// What an hour costs without the discount, in the tier after so many seconds; none where there is no discount.
#[must_use]
pub fn list_per_hour(tariff: &Tariff, used: i64) -> Option<String> {
    let list = || money::decimal(tariff.list_per_hour_at(used));
    (tariff.discount_bps > 0).then(list)
}

#[cfg(test)]
mod tests {
    use super::PriceBody;
    use serde_json::{Value, json};

    fn codes(body: Value) -> Vec<String> {
        let body: PriceBody = serde_json::from_value(body).unwrap();
        let errors = body.parse().err().unwrap_or_default();
        errors.into_iter().map(|e| format!("{} {}", e.pointer, e.code)).collect()
    }

    fn tiers(tiers: &[(i64, &str)]) -> Value {
        let tier = |(from, amount): &(i64, &str)| json!({"from_seconds": from, "amount": amount});
        json!({"currency": "USD", "tiers": tiers.iter().map(tier).collect::<Vec<_>>()})
    }

    #[test]
    fn every_wrong_tier_is_named() {
        let none: [&str; 0] = [];
        assert_eq!(codes(json!({"currency": "USD", "amount": "0.36"})), none);
        assert_eq!(codes(tiers(&[(0, "0.36"), (60, "0.30")])), none);
        assert_eq!(codes(json!({"currency": "USD"})), ["/amount price_tiers_invalid"]);
        let both = json!({"currency": "USD", "amount": "1", "tiers": []});
        assert_eq!(codes(both), ["/tiers price_tiers_invalid"]);
        assert_eq!(codes(tiers(&[])), ["/tiers/0/from_seconds price_tiers_invalid"]);
        assert_eq!(codes(tiers(&[(1, "1")])), ["/tiers/0/from_seconds price_tiers_invalid"]);
        let unsorted = tiers(&[(0, "1"), (60, "2"), (60, "3")]);
        assert_eq!(codes(unsorted), ["/tiers/2/from_seconds price_tiers_invalid"]);
        assert_eq!(codes(tiers(&[(0, "1"); 11])), ["/tiers price_tiers_invalid"]);
        let amounts = tiers(&[(0, "0"), (60, "x")]);
        assert_eq!(
            codes(amounts),
            ["/tiers/0/amount amount_not_positive", "/tiers/1/amount amount_malformed"]
        );
    }
}

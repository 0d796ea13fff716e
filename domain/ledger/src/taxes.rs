//! The tax in what a customer pays for usage. What promotional credit pays for is not taxed: nobody paid for it.
use cairn_core::{Nanos, TaxRate};
use serde::{Deserialize, Serialize};

use crate::wallet::Hold;

/// The tax in one charge. It is the difference of two cumulative totals, so any partition of a charge is taxed the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxPart {
    /// Who is owed how much of it.
    pub rate: TaxRate,
    /// What of the charge the customer pays or owes, tax included.
    pub taxable_nanos: Nanos,
    /// The tax in it.
    pub tax_nanos: Nanos,
    /// All that was charged at this rate since it was charged first, or since another was: this charge included.
    pub taxable_total_nanos: Nanos,
    /// The tax in all of it.
    pub tax_total_nanos: Nanos,
}

impl TaxPart {
    /// The next charge, after what was charged before it.
    #[must_use]
    pub fn after(before: Option<&Taxed>, rate: &TaxRate, taxable_nanos: Nanos) -> Self {
        let same = before.filter(|taxed| taxed.rate == *rate);
        let (before_nanos, taxed_nanos) =
            same.map_or((0, 0), |taxed| (taxed.taxable_nanos, taxed.tax_nanos));
        let taxable_total_nanos = before_nanos + taxable_nanos;
        let tax_total_nanos = rate.within(taxable_total_nanos);
        let tax_nanos = tax_total_nanos - taxed_nanos;
        Self { rate: rate.clone(), taxable_nanos, tax_nanos, taxable_total_nanos, tax_total_nanos }
    }

    /// What is remembered of it.
    #[must_use]
    pub fn taxed(self) -> Taxed {
        let Self { rate, taxable_total_nanos, tax_total_nanos, .. } = self;
        Taxed { rate, taxable_nanos: taxable_total_nanos, tax_nanos: tax_total_nanos }
    }
}

/// What was charged out of a hold at the rate that was charged last, and the tax in that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taxed {
    /// The rate.
    pub rate: TaxRate,
    /// Charged at it, tax included.
    pub taxable_nanos: Nanos,
    /// The tax in that.
    pub tax_nanos: Nanos,
}

impl Hold {
    /// The tax in what is charged next.
    pub(crate) fn tax_in(&self, taxable_nanos: Nanos, rate: Option<&TaxRate>) -> Option<TaxPart> {
        rate.map(|rate| TaxPart::after(self.taxed.as_ref(), rate, taxable_nanos))
    }
}

//! Taxes that a customer owes to the jurisdiction itself: nothing of them is charged, and a paper has to say so.
use std::collections::BTreeMap;

use cairn_core::{Tax, TaxTreatment};

use crate::credit_note::{CreditLine, CreditNote};
use crate::invoice::Invoice;
use crate::paper::Amount;

/// A tax that the customer owes itself, and what of a paper it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ReverseCharge {
    /// Where it is owed, for example `DE`.
    pub jurisdiction: String,
    /// What it is called there, for example `VAT`.
    pub name: String,
    /// Net of the lines that it is on.
    pub base: Amount,
}

impl ReverseCharge {
    /// Of lines with the tax that each was sold with.
    fn of<'a>(lines: impl Iterator<Item = (Option<&'a Tax>, Amount)>) -> Vec<Self> {
        let mut found = BTreeMap::<(&str, &str), Amount>::new();
        for (tax, net) in lines {
            if let Some(tax) = tax.filter(|tax| is_reversed(tax)) {
                let base = found.entry((&tax.rate.jurisdiction, &tax.name)).or_default();
                *base = [*base, net].into_iter().sum();
            }
        }
        let owed = |((jurisdiction, name), base): ((&str, &str), Amount)| Self {
            jurisdiction: jurisdiction.to_owned(),
            name: name.to_owned(),
            base,
        };
        found.into_iter().map(owed).collect()
    }

    /// Whether a line with such a tax is one of those that it is on.
    #[must_use]
    pub fn is_of(&self, tax: &Tax) -> bool {
        is_reversed(tax) && (&self.jurisdiction, &self.name) == (&tax.rate.jurisdiction, &tax.name)
    }

    /// What stands on the paper: who owes it, by the number that they have with the tax authorities, if they have said it.
    #[must_use]
    pub fn says(&self, tax_id: Option<&str>) -> String {
        let Self { jurisdiction, name, .. } = self;
        let says = format!("Reverse charge: {name} ({jurisdiction}) is owed by the customer");
        match tax_id.filter(|tax_id| !tax_id.is_empty()) {
            Some(tax_id) => format!("{says}, tax id {tax_id}"),
            None => says,
        }
    }
}

fn is_reversed(tax: &Tax) -> bool {
    tax.treatment == TaxTreatment::ReverseCharge
}

impl Invoice {
    /// The taxes of it that the customer owes itself.
    #[must_use]
    pub fn reverse_charges(&self) -> Vec<ReverseCharge> {
        ReverseCharge::of(self.lines.iter().map(|line| (line.tax.as_ref(), line.net)))
    }
}

impl CreditNote {
    /// The taxes of what it gives back that the customer owed itself.
    #[must_use]
    pub fn reverse_charges(&self) -> Vec<ReverseCharge> {
        ReverseCharge::of(self.lines.iter().map(|line| (self.tax_of(line), line.net)))
    }

    /// The tax that a line of it was sold with, as its invoice says.
    #[must_use]
    pub fn tax_of(&self, line: &CreditLine) -> Option<&Tax> {
        let at = usize::try_from(line.line).ok()?.checked_sub(1)?;
        self.invoice.lines.get(at)?.tax.as_ref()
    }
}

//! What stands on a paper: lines, taxes and totals, each exact in nanos and in cents that add up.
//!
//! The total is rounded first; net and taxes are rounded so that they add up to it, and the lines so that each column does. A line's gross is
//! its net and its taxes.
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::money::format_nanos;
use cairn_core::tax::WHOLE;
use cairn_core::{Nanos, Tax, TaxRate, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rounding::{NANOS_PER_CENT, cents, in_cents};

/// What rounding makes of a tax that is the difference of two totals, and of its net.
const ROUNDED_NANOS: i128 = 2;

/// An amount as it is in the books, and as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Exact.
    pub nanos: Nanos,
    /// Rounded so that what it is part of adds up.
    pub cents: i64,
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |sum, one| Self {
            nanos: sum.nanos + one.nanos,
            cents: sum.cents + one.cents,
        })
    }
}

/// What was charged for one thing within a month, as the books have it; where it was moved to another SKU or price, for the part between two moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// Income account without its kind and currency, for example `compute`.
    pub product: String,
    /// What was used, for example an allocation's id.
    pub resource: String,
    /// As what it was sold.
    pub sku_id: Option<String>,
    /// Up to when it was charged before, or since when it is used.
    pub from: Timestamp,
    /// Up to when it is charged now.
    pub to: Timestamp,
    /// How many seconds that is for.
    pub seconds: i64,
    /// Price of 3,600 seconds, before the discount.
    pub nanos_per_hour: Option<Nanos>,
    /// Off the price, in basis points.
    pub discount_bps: Option<u32>,
    /// The tax that it was sold with, also when the customer owes that itself.
    pub tax: Option<Tax>,
    /// Income.
    pub net_nanos: Nanos,
    /// Taxes by jurisdiction.
    pub taxes: BTreeMap<String, Nanos>,
}

/// A tax on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineTax {
    /// Where it is owed, for example `CH`.
    pub jurisdiction: String,
    /// How much.
    pub amount: Amount,
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Line {
    pub product: String,
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku_id: Option<String>,
    pub from: Timestamp,
    pub to: Timestamp,
    pub seconds: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nanos_per_hour: Option<Nanos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_bps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
    pub net: Amount,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<LineTax>,
    pub gross: Amount,
}

/// What is owed to one jurisdiction at one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxTotal {
    /// Where.
    pub jurisdiction: String,
    /// In hundredths of a percent, as tax and net of the lines say, to the nearest.
    pub rate_basis_points: i64,
    /// In millionths, as the jurisdiction's table says; absent where that is not known, or credit paid for some of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_ppm: Option<u32>,
    /// Net of the lines that it is on.
    pub base: Amount,
    /// How much.
    pub amount: Amount,
}

impl TaxTotal {
    /// The rate in percent, with two decimals at least: `19.00`, `8.875`.
    #[must_use]
    pub fn percent(&self) -> String {
        let of_table = self.rate_ppm.map(|ppm| i64::from(ppm) * (NANOS_PER_CENT / 100));
        format_nanos(of_table.unwrap_or(self.rate_basis_points * NANOS_PER_CENT))
    }
}

/// What the lines add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Totals {
    pub net: Amount,
    pub tax: Amount,
    pub gross: Amount,
}

/// Net and taxes of one line, exact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exact {
    /// Without taxes.
    pub net_nanos: Nanos,
    /// By jurisdiction; none is zero.
    pub taxes: BTreeMap<String, Nanos>,
    /// What the table says of one of them.
    pub rate: Option<TaxRate>,
}

/// Net and taxes of one line, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rounded {
    pub net: Amount,
    pub taxes: Vec<LineTax>,
    pub gross: Amount,
}

/// Lines in cents that add up, with what is owed to whom, and the totals.
#[must_use]
pub fn rounded(lines: &[Exact]) -> (Vec<Rounded>, Vec<TaxTotal>, Totals) {
    let jurisdictions: BTreeSet<&String> =
        lines.iter().flat_map(|line| line.taxes.keys()).collect();
    let mut columns: Vec<Vec<Nanos>> = vec![lines.iter().map(|line| line.net_nanos).collect()];
    columns.extend(jurisdictions.iter().map(|at| {
        lines.iter().map(|line| line.taxes.get(*at).copied().unwrap_or_default()).collect()
    }));
    let sums: Vec<Nanos> = columns.iter().map(|column| column.iter().sum()).collect();
    let column_cents = in_cents(&sums, cents(sums.iter().sum()));
    let mut columns = columns.iter().zip(column_cents).map(|(column, total)| {
        let amount = |(nanos, cents): (&Nanos, i64)| Amount { nanos: *nanos, cents };
        column.iter().zip(in_cents(column, total)).map(amount).collect::<Vec<_>>()
    });
    let nets = columns.next().unwrap_or_default();
    let taxes: Vec<(&String, Vec<Amount>)> = jurisdictions.into_iter().zip(columns).collect();
    let shown = lines.iter().enumerate().map(|(at, line)| {
        let of_line =
            taxes.iter().filter(|(jurisdiction, _)| line.taxes.contains_key(*jurisdiction));
        let of_line = of_line.map(|(jurisdiction, amounts)| LineTax {
            jurisdiction: (*jurisdiction).clone(),
            amount: amounts[at],
        });
        let taxes: Vec<_> = of_line.collect();
        let gross = taxes.iter().map(|tax| tax.amount).chain([nets[at]]).sum();
        Rounded { net: nets[at], taxes, gross }
    });
    let shown: Vec<_> = shown.collect();
    let totals = Totals {
        net: shown.iter().map(|line| line.net).sum(),
        tax: shown.iter().flat_map(|line| &line.taxes).map(|tax| tax.amount).sum(),
        gross: shown.iter().map(|line| line.gross).sum(),
    };
    (shown.clone(), tax_totals(lines, &shown), totals)
}

fn tax_totals(lines: &[Exact], shown: &[Rounded]) -> Vec<TaxTotal> {
    let mut totals = BTreeMap::<(&String, i64, Option<u32>), (Amount, Amount)>::new();
    for (exact, line) in lines.iter().zip(shown) {
        for tax in &line.taxes {
            let rate_ppm = exact.rate.as_ref().and_then(|rate| in_force(rate, line.net, tax));
            let rate = match rate_ppm {
                Some(ppm) => (i64::from(ppm) + 50) / 100,
                None => rate_basis_points(line.net.nanos, tax.amount.nanos),
            };
            let (base, amount) = totals.entry((&tax.jurisdiction, rate, rate_ppm)).or_default();
            *base = [*base, line.net].into_iter().sum();
            *amount = [*amount, tax.amount].into_iter().sum();
        }
    }
    let total = |((at, rate_basis_points, rate_ppm), (base, amount)): ((&String, _, _), _)| {
        TaxTotal { jurisdiction: at.clone(), rate_basis_points, rate_ppm, base, amount }
    };
    totals.into_iter().map(total).collect()
}

/// The rate of the table, where tax and net say the same: of what promotional credit paid for there is none.
fn in_force(rate: &TaxRate, net: Amount, tax: &LineTax) -> Option<u32> {
    let whole = i128::from(WHOLE);
    let off = i128::from(tax.amount.nanos) * whole - i128::from(net.nanos) * i128::from(rate.ppm);
    let agrees = rate.jurisdiction == tax.jurisdiction && off.abs() <= ROUNDED_NANOS * whole;
    agrees.then_some(rate.ppm)
}

/// Tax over net in hundredths of a percent, to the nearest.
fn rate_basis_points(net_nanos: Nanos, tax_nanos: Nanos) -> i64 {
    if net_nanos == 0 {
        return 0;
    }
    let (tax, net) = (i128::from(tax_nanos) * 20_000, i128::from(net_nanos));
    i64::try_from((tax + net).div_euclid(net * 2)).unwrap_or_default()
}

/// The lines of an invoice.
#[must_use]
pub fn lines(charged: Vec<Charged>) -> (Vec<Line>, Vec<TaxTotal>, Totals) {
    let exact = |one: &Charged| {
        let (net_nanos, taxes) = (one.net_nanos, one.taxes.clone());
        Exact { net_nanos, taxes, rate: one.tax.as_ref().and_then(Tax::due) }
    };
    let (amounts, taxes, totals) = rounded(&charged.iter().map(exact).collect::<Vec<_>>());
    let line = |(one, amounts): (Charged, Rounded)| Line {
        product: one.product,
        resource: one.resource,
        sku_id: one.sku_id,
        from: one.from,
        to: one.to,
        seconds: one.seconds,
        nanos_per_hour: one.nanos_per_hour,
        discount_bps: one.discount_bps,
        tax: one.tax,
        net: amounts.net,
        taxes: amounts.taxes,
        gross: amounts.gross,
    };
    (charged.into_iter().zip(amounts).map(line).collect(), taxes, totals)
}

impl Line {
    /// What it was made of.
    #[must_use]
    pub fn charged(&self) -> Charged {
        let taxes = self.taxes.iter().map(|tax| (tax.jurisdiction.clone(), tax.amount.nanos));
        Charged {
            product: self.product.clone(),
            resource: self.resource.clone(),
            sku_id: self.sku_id.clone(),
            from: self.from,
            to: self.to,
            seconds: self.seconds,
            nanos_per_hour: self.nanos_per_hour,
            discount_bps: self.discount_bps,
            tax: self.tax.clone(),
            net_nanos: self.net.nanos,
            taxes: taxes.collect(),
        }
    }
}

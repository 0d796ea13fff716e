//! Opening + movements = closing, and every nano of difference has a name.
use std::collections::BTreeMap;

use cairn_core::{Currency, Nanos};

use super::matching::Classified;
use super::report::Proof;
use super::rows::Sums;

/// One proof per currency that either book or the provider's balance knows.
pub(super) fn proofs(
    classified: &Classified,
    sums: &Sums,
    balances: &[(Currency, Nanos)],
) -> Vec<Proof> {
    let held: BTreeMap<String, Nanos> =
        balances.iter().map(|(currency, total)| (currency.code().to_owned(), *total)).collect();
    let mut currencies: Vec<&String> = sums.keys().chain(held.keys()).collect();
    currencies.sort();
    currencies.dedup();
    let of = |currency: &String| {
        let sum = sums.get(currency).copied().unwrap_or_default();
        let named = classified.named.get(currency).copied().unwrap_or_default();
        let [opening_nanos, closing_nanos, later_nanos] = sum.lines;
        let [books_opening_nanos, books_closing_nanos] = sum.legs;
        let provider_balance_nanos = held.get(currency).copied().unwrap_or_default();
        let movements_nanos = closing_nanos - opening_nanos;
        let books_movements_nanos = books_closing_nanos - books_opening_nanos;
        let difference_nanos = movements_nanos - books_movements_nanos;
        let explained_nanos = named.expected + named.breaks + named.straddling;
        let unexplained_nanos = difference_nanos - explained_nanos;
        let provider_agrees = closing_nanos + later_nanos == provider_balance_nanos;
        Proof {
            currency: currency.clone(),
            opening_nanos,
            movements_nanos,
            closing_nanos,
            later_nanos,
            provider_balance_nanos,
            provider_agrees,
            books_opening_nanos,
            books_movements_nanos,
            books_closing_nanos,
            difference_nanos,
            expected_nanos: named.expected,
            breaks_nanos: named.breaks,
            straddling_nanos: named.straddling,
            unexplained_nanos,
            proven: provider_agrees && unexplained_nanos == 0,
        }
    };
    currencies.into_iter().map(of).collect()
}

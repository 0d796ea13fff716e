//! Opening + movements = closing, and every nano of difference has a name.
use super::matching::Classified;
use super::report::Proof;
use super::rows::{Sums, Totals};

/// One proof per currency that either book or the provider's balance knows. `before` is what was sorted of the look back.
pub(super) fn proofs(
    classified: &Classified,
    before: &Classified,
    sums: &Sums,
    held: &Totals,
) -> Vec<Proof> {
    let mut currencies: Vec<&String> = sums.keys().chain(held.keys()).collect();
    currencies.sort();
    currencies.dedup();
    let of = |currency: &String| {
        let sum = sums.get(currency).copied().unwrap_or_default();
        let named = classified.named.get(currency).copied().unwrap_or_default();
        let carried = before.named.get(currency).copied().unwrap_or_default();
        let [opening_nanos, closing_nanos, later_nanos] = sum.lines;
        let [books_opening_nanos, books_closing_nanos] = sum.legs;
        let provider_balance_nanos = held.get(currency).copied().unwrap_or_default();
        // Added up from the items themselves, so that opening + movements = closing is not true by itself.
        let (movements_nanos, books_movements_nanos) = (named.lines, named.legs);
        let difference_nanos = movements_nanos - books_movements_nanos;
        let unexplained_nanos = difference_nanos - named.explained();
        let opening_difference_nanos = opening_nanos - books_opening_nanos;
        let carried_nanos = carried.explained() - carried.made_up_for;
        let older_nanos = opening_difference_nanos - carried_nanos;
        let provider_agrees = opening_nanos + movements_nanos == closing_nanos
            && closing_nanos + later_nanos == provider_balance_nanos;
        let books_agree = books_opening_nanos + books_movements_nanos == books_closing_nanos;
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
            opening_difference_nanos,
            carried_nanos,
            older_nanos,
            books_exceed_provider: named.breaks + carried.breaks + older_nanos < 0,
            proven: provider_agrees && books_agree && unexplained_nanos == 0 && older_nanos == 0,
        }
    };
    currencies.into_iter().map(of).collect()
}

//! Amounts that are shown in cents, so that the parts of a sum add up to it: the largest remainders get what rounding leaves over.
use cairn_core::Nanos;

/// Nanos in a cent; every currency here has two decimals.
pub const NANOS_PER_CENT: Nanos = 10_000_000;

/// An amount in whole cents, rounded half to even.
#[must_use]
pub const fn cents(nanos: Nanos) -> i64 {
    let (whole, rest) = (nanos.div_euclid(NANOS_PER_CENT), nanos.rem_euclid(NANOS_PER_CENT));
    let up = rest * 2 > NANOS_PER_CENT || (rest * 2 == NANOS_PER_CENT && whole % 2 != 0);
    if up { whole + 1 } else { whole }
}

/// Parts in whole cents that add up to `total`, which is their sum rounded up or down: each is its own amount, rounded up or down.
#[must_use]
pub fn in_cents(parts: &[Nanos], total: i64) -> Vec<i64> {
    let shares = parts.iter().map(|nanos| {
        (nanos.div_euclid(NANOS_PER_CENT), i128::from(nanos.rem_euclid(NANOS_PER_CENT)))
    });
    largest_remainder(shares.collect(), total)
}

/// A total in parts as large as their weights say. The weights are not negative; up to their sum, no part is more than its weight.
#[must_use]
pub fn apportion(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().copied().map(i128::from).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let shares = weights.iter().map(|weight| {
        let product = i128::from(total) * i128::from(*weight);
        (i64::try_from(product.div_euclid(sum)).unwrap_or(i64::MAX), product.rem_euclid(sum))
    });
    largest_remainder(shares.collect(), total)
}

/// Whole shares and what each leaves over: the largest are rounded up until the total is reached, the first of equal ones first.
fn largest_remainder(shares: Vec<(i64, i128)>, total: i64) -> Vec<i64> {
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|at| (std::cmp::Reverse(shares[*at].1), *at));
    let mut parts: Vec<i64> = shares.into_iter().map(|(whole, _)| whole).collect();
    let missing = total - parts.iter().sum::<i64>();
    for at in order.into_iter().take(usize::try_from(missing).unwrap_or_default()) {
        parts[at] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{NANOS_PER_CENT, apportion, cents, in_cents};
    use proptest::prelude::*;

    #[test]
    fn half_a_cent_goes_to_the_even_one() {
        for (nanos, rounded) in
            [(5_000_000, 0), (5_000_001, 1), (15_000_000, 2), (25_000_000, 2), (-5_000_000, 0)]
        {
            assert_eq!(cents(nanos), rounded, "{nanos}");
        }
    }

    proptest! {
        #[test]
        fn parts_in_cents_add_up_and_each_is_within_a_cent(
            parts in prop::collection::vec(-1_000_000_000_000_i64..1_000_000_000_000, 1..60),
        ) {
            let total = cents(parts.iter().sum());
            let rounded = in_cents(&parts, total);
            prop_assert_eq!(rounded.iter().sum::<i64>(), total);
            for (nanos, cents) in parts.iter().zip(&rounded) {
                prop_assert!((nanos - cents * NANOS_PER_CENT).abs() < NANOS_PER_CENT);
            }
        }

        #[test]
        fn what_is_apportioned_adds_up_and_exceeds_no_weight(
            weights in prop::collection::vec(0..i64::MAX / 100, 1..60), permille in 0..=1000_i64,
        ) {
            let total = weights.iter().map(|weight| weight / 1000 * permille).sum();
            let parts = apportion(total, &weights);
            prop_assert_eq!(parts.iter().sum::<i64>(), total);
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!((0..=*weight).contains(part));
            }
        }
    }
}

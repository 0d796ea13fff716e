//! What time costs, in tiers and less a discount: exact, rounded once, however it is cut.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::{Burn, MoneyError, Tariff, Tier, Tiers, TiersError};
use proptest::prelude::*;

const HOUR: i64 = 3_600;

const fn tier(from_seconds: i64, nanos_per_hour: i64) -> Tier {
    Tier { from_seconds, nanos_per_hour }
}

fn tariff(all: &[Tier], discount_bps: u32) -> Tariff {
    let (nanos_per_hour, tiers) = Tiers::split(all).unwrap();
    Tariff { nanos_per_hour, tiers, discount_bps, extra_nanos_per_hour: 0 }
}

#[test]
fn halves_round_to_even() {
    let one = Tariff::flat(1);
    assert_eq!([1_800, 1_801, 5_400].map(|seconds| one.total(seconds).unwrap()), [0, 1, 2]);
}

#[test]
fn each_tier_costs_its_own_price() {
    let stepped = tariff(&[tier(0, 10), tier(730 * HOUR, 8), tier(1_000 * HOUR, 1)], 0);
    let totals = [0, 1, 730, 731, 1_000, 1_001].map(|hours| stepped.total(hours * HOUR).unwrap());
    assert_eq!(totals, [0, 10, 7_300, 7_308, 7_300 + 270 * 8, 7_300 + 270 * 8 + 1]);
    let in_force = [0, 730 * HOUR - 1, 730 * HOUR, 9_999 * HOUR].map(|s| stepped.per_hour_at(s));
    assert_eq!(in_force, [10, 10, 8, 1]);
    // Across an edge: half of it before, half of it after.
    assert_eq!(stepped.ahead(729 * HOUR + 1_800, HOUR), Ok(9));
    assert_eq!(stepped.dearest(HOUR), Ok(10));
    assert_eq!(Tariff::flat(i64::MAX).total(HOUR * 2), Err(MoneyError::TooLarge));
    assert_eq!(Tariff::flat(i64::MAX).total(i64::MAX), Err(MoneyError::TooLarge));
}

#[test]
fn a_discount_is_taken_before_the_one_rounding() {
    let net = tariff(&[tier(0, 3), tier(HOUR, 2)], 5_000);
    // 1.5 and 2.5, half to even each.
    assert_eq!([HOUR, 2 * HOUR].map(|seconds| net.total(seconds).unwrap()), [2, 2]);
    assert_eq!((net.per_hour_at(0), net.tier_at(0).nanos_per_hour), (2, 3));
}

#[test]
fn tiers_begin_at_zero_and_follow_each_other() {
    let many: Vec<_> = (0..11).map(|n| tier(n, 1)).collect();
    assert_eq!(Tiers::split(&many), Err(TiersError::TooMany));
    assert!(Tiers::split(&many[..10]).is_ok());
    assert_eq!(Tiers::split(&[]), Err(TiersError::Late));
    assert_eq!(Tiers::split(&[tier(1, 1)]), Err(TiersError::Late));
    assert_eq!(Tiers::split(&[tier(0, 1), tier(0, 1)]), Err(TiersError::Unsorted(1)));
    let unsorted = [tier(0, 1), tier(5, 1), tier(5, 2)];
    assert_eq!(Tiers::split(&unsorted), Err(TiersError::Unsorted(2)));
}

#[test]
fn tiers_are_a_list_on_the_wire_and_bad_ones_are_not_read() {
    let (_, tiers) = Tiers::split(&[tier(0, 9), tier(5, 7)]).unwrap();
    let text = serde_json::to_string(&tiers).unwrap();
    assert_eq!(text, r#"[{"from_seconds":5,"nanos_per_hour":7}]"#);
    assert_eq!(serde_json::from_str::<Tiers>(&text).unwrap(), tiers);
    let unsorted = text.replace("5", "0");
    assert!(serde_json::from_str::<Tiers>(&unsorted).is_err());
}

#[test]
fn what_comes_on_top_has_no_tier_and_no_discount_and_is_rounded_with_the_rest() {
    // Half a nano of each: rounded apart they would be none, and together they are one.
    let both = Tariff { extra_nanos_per_hour: 1_800, ..Tariff::flat(1_800) };
    assert_eq!((both.total(1), both.total(2), both.per_hour_at(0)), (Ok(1), Ok(2), 3_600));
    let less = Tariff {
        extra_nanos_per_hour: 5 * HOUR,
        ..tariff(&[tier(0, 2 * HOUR), tier(10, HOUR)], 5_000)
    };
    assert_eq!((less.total(10), less.ahead(10, 10)), (Ok(10 + 50), Ok(5 + 50)));
    assert_eq!((less.per_hour_at(9), less.list_per_hour_at(9)), (6 * HOUR, 7 * HOUR));
    assert_eq!((less.dearest(10), less.is_flat(), both.is_flat()), (Ok(60), false, true));
    let mut burn = Burn::default();
    burn.add(less, 0);
    assert_eq!((burn.nanos_per_hour(), burn.lasts(60), burn.cost(10)), (6 * HOUR, Some(10), 60));
}

#[test]
fn money_lasts_by_the_tiers_ahead() {
    let mut burn = Burn::default();
    assert_eq!(burn.lasts(1_000_000), None);
    burn.add(tariff(&[tier(0, 10), tier(10 * HOUR, 5)], 0), 8 * HOUR);
    burn.add(Tariff::flat(5), 77);
    assert_eq!((burn.nanos_per_hour(), burn.is_flat()), (15, false));
    // Two hours at 15, then at 10.
    assert_eq!(burn.lasts(29), Some(29 * HOUR / 15));
    assert_eq!(burn.lasts(50), Some(4 * HOUR));
    assert_eq!(burn.cost(4 * HOUR), 50);
    assert_eq!(burn.lasts(-1), Some(0));
    assert_eq!(burn.lasts(i64::MAX), None);
}

fn tariffs() -> impl Strategy<Value = Tariff> {
    let price = || 1..=1_000_000_000_000_000_i64;
    let later = prop::collection::btree_map(1..500_000_i64, price(), 0..=9);
    let extra = prop_oneof![Just(0), price()];
    (price(), later, 0..10_000_u32, extra).prop_map(
        |(nanos_per_hour, later, discount_bps, extra)| {
            let later: Vec<_> = later.into_iter().map(|(from, nanos)| tier(from, nanos)).collect();
            let tiers = Tiers::try_new(&later).unwrap();
            Tariff { nanos_per_hour, tiers, discount_bps, extra_nanos_per_hour: extra }
        },
    )
}

proptest! {
    #[test]
    fn any_partition_of_an_interval_charges_the_same(
        tariff in tariffs(),
        slices in prop::collection::vec(0..100_000_i64, 1..50),
    ) {
        let whole = tariff.total(slices.iter().sum()).unwrap();
        let (mut seconds, mut charged) = (0, 0);
        for slice in slices {
            let ahead = tariff.ahead(seconds, slice).unwrap();
            prop_assert!((0..=tariff.dearest(slice).unwrap() + 1).contains(&ahead));
            seconds += slice;
            let delta = tariff.total(seconds).unwrap() - charged;
            prop_assert_eq!(delta, ahead);
            charged += delta;
        }
        prop_assert_eq!(charged, whole);
    }

    #[test]
    fn what_goes_on_after_some_seconds_costs_what_it_would_have(
        tariff in tariffs(),
        // Whole hours of either, so that nothing is rounded in between.
        (used, more) in (0..150_i64, 0..150_i64),
    ) {
        let (used, more) = (used * HOUR, more * HOUR);
        let whole = |tiers: &Tiers| {
            let later = tiers.later().iter().map(|t| tier(t.from_seconds * HOUR, t.nanos_per_hour));
            Tiers::try_new(&later.collect::<Vec<_>>()).unwrap()
        };
        let before = Tariff { tiers: whole(&tariff.tiers), discount_bps: 0, ..tariff };
        let (nanos_per_hour, tiers) = before.tiers.after(before.nanos_per_hour, used);
        let after = Tariff { nanos_per_hour, tiers, ..before };
        prop_assert_eq!(after.total(more), before.ahead(used, more));
    }

    #[test]
    fn tiers_cost_the_sum_of_their_parts(tariff in tariffs(), seconds in 0..1_000_000_i64) {
        let tiers: Vec<_> = tariff.all().collect();
        // Whole hours at a price of whole nanos, so that nothing is rounded.
        let whole = |tariff: &Tariff, seconds: i64| tariff.total(seconds * 3_600).unwrap();
        let small = |tier: &Tier| Tier {
            from_seconds: tier.from_seconds * 3_600,
            nanos_per_hour: tier.nanos_per_hour % 1_000_000,
        };
        let all: Vec<_> = tiers.iter().map(small).collect();
        let (nanos_per_hour, later) = Tiers::split(&all).unwrap();
        let list = Tariff { tiers: later, ..Tariff::flat(nanos_per_hour) };
        let ends = tiers.iter().skip(1).map(|tier| tier.from_seconds).chain([i64::MAX]);
        let parts = tiers.iter().zip(ends).zip(&all).map(|((tier, end), small)| {
            (seconds.min(end) - tier.from_seconds).max(0) * small.nanos_per_hour
        });
        prop_assert_eq!(whole(&list, seconds), parts.sum::<i64>());
    }

    #[test]
    fn a_discount_is_between_nothing_and_the_list_price(
        tariff in tariffs(),
        seconds in 0..1_000_000_i64,
    ) {
        let list = Tariff { discount_bps: 0, ..tariff };
        let (list, net) = (list.total(seconds).unwrap(), tariff.total(seconds).unwrap());
        prop_assert!((0..=list).contains(&net), "{net} of {list}");
    }

    #[test]
    fn what_lasts_is_paid_for_and_not_a_second_more(
        tariffs in prop::collection::vec((tariffs(), 0..600_000_i64), 1..5),
        funds in 0..1_000_000_000_000_000_i64,
    ) {
        let mut burn = Burn::default();
        for (tariff, used) in tariffs {
            burn.add(tariff, used);
        }
        if let Some(seconds) = burn.lasts(funds) {
            prop_assert!(burn.cost(seconds) <= funds);
            prop_assert!(burn.cost(seconds + 1) >= funds);
        } else {
            prop_assert!(burn.cost(100 * 365 * 86_400) <= funds);
        }
    }
}

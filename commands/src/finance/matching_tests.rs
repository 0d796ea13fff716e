//! Planted errors of every kind on random days: all found, all named, nothing else, and no nano unexplained.
use std::collections::{BTreeMap, BTreeSet};

use cairn_core::Timestamp;
use cairn_finance::BreakType;
use proptest::prelude::*;

use super::super::rows::{Facts, Item, Leg, Line};
use super::super::{LATE_SECS, Period};
use super::Classified;

const NOON: i64 = 1_790_000_000;

pub(super) fn day() -> Period {
    let (from, until) = (Timestamp::from_secs(NOON), Timestamp::from_secs(NOON + 86_400));
    Period { from, until, now: until.plus_secs(86_400) }
}

pub(super) fn line(n: usize, amount_nanos: i64, fee_nanos: i64, secs: i64) -> Line {
    Line {
        id: format!("txn_{n:03}"),
        content: "a".to_owned(),
        source_id: Some(format!("ch_{n}")),
        category: "charge".to_owned(),
        currency: "USD".to_owned(),
        amount_nanos,
        fee_nanos,
        net_nanos: amount_nanos - fee_nanos,
        created_at: Timestamp::from_secs(NOON + secs),
        mirrored_at: day().now,
    }
}

pub(super) fn leg(
    n: usize,
    kind: &str,
    source_id: String,
    amount_nanos: i64,
    at: Timestamp,
) -> Leg {
    Leg {
        position: i64::try_from(n).unwrap(),
        kind: kind.to_owned(),
        source: if kind == "stripe_fee" { kind } else { "stripe" }.to_owned(),
        source_id,
        reverses: None,
        currency: "USD".to_owned(),
        amount_nanos,
        occurred_at: at,
        posted_at: at,
    }
}

/// A charge of both books, spoilt in one way or none; answers the break that it must be.
pub(super) fn plant(
    facts: &mut Facts,
    n: usize,
    spoil: Option<BreakType>,
    (amount, fee, secs): (i64, i64, i64),
) {
    let mut line = line(n, amount, fee, secs);
    let at = line.created_at;
    let mut legs = vec![leg(2 * n, "top_up", format!("ch_{n}"), amount, at)];
    if fee != 0 {
        legs.push(leg(2 * n + 1, "stripe_fee", line.id.clone(), -fee, at));
    }
    match spoil {
        None => {}
        Some(BreakType::MissingInternal) => legs.clear(),
        Some(BreakType::MissingExternal) => {
            legs.truncate(1);
            facts.legs.extend(legs);
            return;
        }
        Some(BreakType::Amount) => line.amount_nanos += 1,
        Some(BreakType::Currency) => line.currency = "EUR".to_owned(),
        Some(BreakType::Duplicate) => {
            let id = format!("{}_again", line.id);
            facts.lines.push(Line { id, fee_nanos: 0, net_nanos: amount, ..line.clone() });
        }
        Some(BreakType::Fee) => line.fee_nanos += 1,
        Some(BreakType::Late) => legs[0].posted_at = at.plus_secs(LATE_SECS + 1),
        Some(BreakType::Changed) => {
            let (content, mirrored_at) = ("b".to_owned(), line.mirrored_at.plus_secs(1));
            let (amount_nanos, net_nanos) = (amount + 1, amount + 1 - fee);
            let changed = Line { content, mirrored_at, amount_nanos, net_nanos, ..line.clone() };
            facts.lines.push(changed);
        }
        Some(BreakType::PayoutItems) => {
            (line.category, line.amount_nanos) = ("payout".to_owned(), -amount);
            legs[0] = leg(2 * n, "payout", format!("ch_{n}"), -amount, at);
            let item = Item { currency: "USD".to_owned(), net_nanos: amount - 1 };
            facts.items.insert(format!("ch_{n}"), vec![item]);
        }
        // Both books agree; it is the bank that does not, or nobody has booked it.
        Some(
            BreakType::BankMissing
            | BreakType::BankUnexpected
            | BreakType::BankAmount
            | BreakType::UsageLate,
        ) => {}
    }
    line.net_nanos = line.amount_nanos - line.fee_nanos;
    facts.lines.push(line);
    facts.legs.extend(legs);
}

fn spoils() -> impl Strategy<Value = Option<BreakType>> {
    use BreakType::{
        Amount, Changed, Currency, Duplicate, Fee, Late, MissingExternal, MissingInternal,
        PayoutItems,
    };
    let kinds = [
        MissingInternal,
        MissingExternal,
        Amount,
        Currency,
        Duplicate,
        Fee,
        Late,
        Changed,
        PayoutItems,
    ];
    prop_oneof![2 => Just(None), 1 => prop::sample::select(kinds.to_vec()).prop_map(Some)]
}

proptest! {
    #[test]
    fn every_planted_error_is_found_and_nothing_else(
        // Some lines and legs lie before or after the day: they are nobody's alarm today.
        days in prop::collection::vec((spoils(), (1..1_000_000_i64, 0..1_000_i64, -9_000..95_000_i64)), 0..40),
    ) {
        let mut facts = Facts::default();
        let mut planted = vec![];
        let mut lines = 0;
        for (n, (spoil, amounts)) in days.into_iter().enumerate() {
            let before = facts.lines.len();
            plant(&mut facts, n, spoil, amounts);
            if day().contains(Timestamp::from_secs(NOON + amounts.2)) {
                planted.extend(spoil);
                lines += facts.lines.len() - before;
            }
        }
        let period = day();
        let classified = Classified::of(&facts, &BTreeMap::new(), &period);
        let mut found: Vec<_> = classified.breaks.iter().map(|found| found.break_type).collect();
        found.sort();
        planted.sort();
        prop_assert_eq!(&found, &planted);
        let external = planted.iter().filter(|kind| **kind != BreakType::MissingExternal).count();
        prop_assert_eq!((classified.lines, classified.matched), (lines, lines - external));
        prop_assert!(classified.expected.is_empty());

        let mut difference = BTreeMap::<&str, i64>::new();
        // Of a changed line, what it says now.
        let changed: BTreeSet<_> =
            facts.lines.iter().filter(|line| line.content == "b").map(|line| &line.id).collect();
        let stands = |line: &&Line| line.content == "b" || !changed.contains(&line.id);
        let within = facts.lines.iter().filter(|line| period.contains(line.created_at));
        for line in within.filter(stands) {
            *difference.entry(&line.currency).or_default() += line.net_nanos;
        }
        for leg in facts.legs.iter().filter(|leg| period.contains(leg.occurred_at)) {
            *difference.entry(&leg.currency).or_default() -= leg.amount_nanos;
        }
        for (currency, difference) in difference {
            let named = classified.named.get(currency).copied().unwrap_or_default();
            prop_assert_eq!(named.explained(), difference);
            prop_assert_eq!(named.lines - named.legs, difference);
        }
    }
}

//! The rules of discounts.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_catalog::{Discount, DiscountCommand, DiscountEvent, Discounts};
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Decider, DiscountId, OrganisationId, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_000);
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);

fn discount(number: u128, basis_points: u32, sku_id: Option<&str>) -> Discount {
    Discount {
        discount_id: DiscountId::from_bits(number),
        basis_points,
        sku_id: sku_id.map(str::to_owned),
        ends_at: None,
        reason: "a year in advance".to_owned(),
    }
}

const fn give(discount: Discount) -> DiscountCommand {
    DiscountCommand::Give { organisation_id: ORGANISATION, discount, at: NOW }
}

const fn withdraw(number: u128) -> DiscountCommand {
    DiscountCommand::Withdraw { discount_id: DiscountId::from_bits(number), at: NOW }
}

fn fold(commands: impl IntoIterator<Item = DiscountCommand>) -> Discounts {
    commands.into_iter().fold(Discounts::default(), |discounts, command| {
        let events = discounts.decide(command).unwrap();
        events.into_iter().fold(discounts, Discounts::evolve)
    })
}

fn check(history: &[DiscountCommand], command: DiscountCommand) -> When<Discounts> {
    decide_both_ways(fold(history.iter().cloned()), command)
}

fn found(discounts: &Discounts, sku_id: &str, at: Timestamp) -> Option<u128> {
    discounts.discount_at(sku_id, at).map(|discount| discount.discount_id.bits())
}

#[test]
fn what_is_no_discount_is_refused() {
    for basis_points in [0, 9_001, 10_000, u32::MAX] {
        check(&[], give(discount(1, basis_points, None))).then_refused("discount_invalid");
    }
    for basis_points in [1, 9_000] {
        assert_eq!(check(&[], give(discount(1, basis_points, None))).events().len(), 1);
    }
    let over = Discount { ends_at: Some(NOW), ..discount(1, 100, None) };
    check(&[], give(over)).then_refused("discount_invalid");
    let silent = Discount { reason: "  ".to_owned(), ..discount(1, 100, None) };
    check(&[], give(silent)).then_refused("reason_needed");
    check(&[], give(discount(1, 100, Some("No SKU")))).then_refused("sku_id_invalid");
    check(&[], withdraw(1)).then_refused("unknown_discount");
    let full: Vec<_> = (1..=50).map(|number| give(discount(number, 100, None))).collect();
    check(&full, give(discount(51, 100, None))).then_refused("discounts_full");
    let room = [full, vec![withdraw(7)]].concat();
    assert_eq!(check(&room, give(discount(51, 100, None))).events().len(), 1);
}

#[test]
fn a_repeat_changes_nothing_and_an_id_is_used_once() {
    let given = [give(discount(1, 100, None))];
    check(&given, given[0].clone()).then([]);
    check(&given, give(discount(1, 200, None))).then_refused("id_reused");
    check(&given, withdraw(1))
        .then([DiscountEvent::Withdrawn { discount_id: DiscountId::from_bits(1), at: NOW }]);
    check(&[given[0].clone(), withdraw(1)], withdraw(1)).then([]);
}

#[test]
fn the_largest_that_fits_counts_and_they_do_not_add_up() {
    let ends_at = NOW.plus_secs(60);
    let short = Discount { ends_at: Some(ends_at), ..discount(4, 8_000, None) };
    let given = [
        give(discount(1, 1_000, None)),
        give(discount(2, 3_000, Some("small"))),
        give(discount(3, 1_000, None)),
        give(short),
    ];
    let all = fold(given.clone());
    assert_eq!(found(&all, "small", NOW), Some(4));
    assert_eq!(found(&all, "small", ends_at), Some(2), "the other one is over");
    assert_eq!(found(&all, "large", ends_at), Some(1), "of equals the first given");
    let left = fold(given.into_iter().chain([withdraw(1), withdraw(2), withdraw(3), withdraw(4)]));
    assert_eq!(found(&left, "small", NOW), None);
}

//! The rules of a SKU.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_catalog::{DISK_GIB_MAX, DiskPrice, Sku, SkuCommand, SkuError, check_sku_id};
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, Resources, Tier, Tiers, Timestamp};

const AT: Timestamp = Timestamp::from_secs(1_000);
const SMALL: Resources =
    Resources { cpu_millis: 500, memory_bytes: 1 << 28, disk_bytes: 1 << 28, pids_max: 64 };

fn define(sku_id: &str, resources: Resources) -> SkuCommand {
    SkuCommand::Define { sku_id: sku_id.to_owned(), resources, at: AT }
}

fn price(nanos_per_hour: i64, effective: i64) -> SkuCommand {
    let effective_at = Timestamp::from_secs(effective);
    tiered(nanos_per_hour, Tiers::NONE, effective_at)
}

const fn tiered(nanos_per_hour: i64, tiers: Tiers, effective_at: Timestamp) -> SkuCommand {
    SkuCommand::SetPrice { currency: Currency::EUR, nanos_per_hour, tiers, effective_at, at: AT }
}

#[test]
fn a_price_may_have_tiers_and_each_of_them_is_a_price() {
    let known = fold([define("small", SMALL), price(100, 10)]);
    let set = |sku: &Sku, later: &[Tier]| {
        sku.decide(tiered(100, Tiers::try_new(later).unwrap(), AT)).map(|events| events.len())
    };
    let tier = |nanos_per_hour| Tier { from_seconds: 730 * 3_600, nanos_per_hour };
    assert_eq!(set(&known, &[tier(80)]), Ok(1));
    assert_eq!(set(&known, &[]), Ok(0), "it costs that already");
    let over = 1_000_000 * 1_000_000_000 + 1;
    for bad in [0, -1, over] {
        assert_eq!(set(&known, &[tier(bad)]), Err(SkuError::BadPrice));
    }
    let changed = fold([
        define("small", SMALL),
        price(100, 10),
        tiered(100, Tiers::try_new(&[tier(80)]).unwrap(), AT),
    ]);
    assert_eq!(set(&changed, &[tier(80)]), Ok(0));
    let now = changed.price_at(Currency::EUR, AT).unwrap();
    assert_eq!((now.version, now.tariff().total(731 * 3_600)), (2, Ok(73_080)));
}

const RETIRE: SkuCommand = SkuCommand::Retire { at: AT };

fn fold(commands: impl IntoIterator<Item = SkuCommand>) -> Sku {
    commands.into_iter().fold(Sku::default(), |sku, command| {
        let events = sku.decide(command).unwrap();
        events.into_iter().fold(sku, Sku::evolve)
    })
}

fn check(history: &[SkuCommand], command: SkuCommand) -> When<Sku> {
    decide_both_ways(fold(history.to_vec()), command)
}

/// The state after a command that is accepted, and then repeated without effect.
fn twice(history: &[SkuCommand], command: SkuCommand) -> Sku {
    assert_ne!(check(history, command.clone()).events(), [], "it must do something at first");
    let history = [history, std::slice::from_ref(&command)].concat();
    check(&history, command).then([]);
    fold(history)
}

#[test]
fn a_sku_is_defined_priced_and_retired_once() {
    assert_eq!(twice(&[], define("small", SMALL)).for_sale(), Ok(SMALL));
    let priced = twice(&[define("small", SMALL)], price(100, 0));
    assert_eq!(priced.prices.len(), 1);
    assert!(twice(&[define("small", SMALL)], RETIRE).retired);
}

#[test]
fn a_sku_id_is_short_lower_case_and_begins_with_a_letter() {
    for good in ["a", "small-2.x", &"a".repeat(40)] {
        assert_eq!(check_sku_id(good), Ok(()), "{good}");
    }
    for bad in ["", "2small", "Small", "a_b", "a b", "ä", &"a".repeat(41)] {
        check(&[], define(bad, SMALL)).then_refused("sku_id_invalid");
    }
}

#[test]
fn what_nobody_can_use_is_not_for_sale() {
    let none = Resources { cpu_millis: 0, ..SMALL };
    check(&[], define("small", none)).then_refused("sku_resources_invalid");
}

#[test]
fn resources_never_change() {
    let more = Resources { cpu_millis: 501, ..SMALL };
    check(&[define("small", SMALL)], define("small", more)).then_refused("sku_exists");
}

#[test]
fn an_unknown_sku_has_no_price_and_cannot_retire() {
    check(&[], price(1, 0)).then_refused("unknown_sku");
    check(&[], RETIRE).then_refused("unknown_sku");
}

#[test]
fn a_retired_sku_is_neither_priced_nor_defined_again() {
    let retired = [define("small", SMALL), RETIRE];
    check(&retired, price(1, 0)).then_refused("sku_retired");
    check(&retired, define("small", SMALL)).then_refused("sku_retired");
}

#[test]
fn a_price_is_positive_and_not_absurd() {
    let known = [define("small", SMALL)];
    for bad in [i64::MIN, -1, 0, 1_000_000_000_000_001] {
        check(&known, price(bad, 0)).then_refused("price_invalid");
    }
    check(&known, price(1_000_000_000_000_000, 0)).events();
}

#[test]
fn a_rental_pays_the_latest_version_effective_when_it_begins() {
    let sku = fold([define("small", SMALL), price(100, 10), price(200, 20), price(150, 20)]);
    let at = |secs| sku.price_at(Currency::EUR, Timestamp::from_secs(secs));
    assert_eq!(at(9), None);
    assert_eq!(at(10).unwrap().version, 1);
    assert_eq!(at(19).unwrap().nanos_per_hour, 100);
    assert_eq!((at(20).unwrap().version, at(20).unwrap().nanos_per_hour), (3, 150));
    assert_eq!(sku.price_at(Currency::USD, Timestamp::from_secs(99)), None);
}

const fn disk(nanos_per_gib_hour: i64, gib_max: u32, effective: i64) -> SkuCommand {
    let effective_at = Timestamp::from_secs(effective);
    let currency = Currency::EUR;
    let price = DiskPrice { version: 0, currency, nanos_per_gib_hour, gib_max, effective_at };
    SkuCommand::SetDiskPrice { price, at: AT }
}

#[test]
fn additional_disk_is_sold_at_the_price_in_force_and_up_to_its_limit() {
    let known = [define("small", SMALL), disk(100, 10, 10), disk(200, 20, 20)];
    let sku = fold(known.clone());
    let sold = |gib, secs| {
        let sold = sku.additional_disk((gib, Currency::EUR), Timestamp::from_secs(secs));
        sold.map(|price| price.map(|price| (price.version, price.nanos_per_gib_hour)))
    };
    let not_sold = SkuError::DiskNotSold { sku_id: "small".to_owned(), currency: Currency::EUR };
    let beyond = |gib_max, wanted| {
        Err(SkuError::DiskBeyondLimit { sku_id: "small".to_owned(), gib_max, wanted })
    };
    assert_eq!((sold(0, 9), sold(1, 9)), (Ok(None), Err(not_sold)));
    assert_eq!((sold(10, 19), sold(11, 19)), (Ok(Some((1, 100))), beyond(10, 11)));
    assert_eq!((sold(20, 20), sold(21, 20)), (Ok(Some((2, 200))), beyond(20, 21)));
    let dollars = sku.additional_disk((1, Currency::USD), AT);
    assert!(matches!(dollars, Err(SkuError::DiskNotSold { .. })));
    let whole = Resources { disk_bytes: SMALL.disk_bytes + (3 << 30), ..SMALL };
    assert_eq!((sku.resources_with(3), sku.resources_with(0)), (Ok(whole), Ok(SMALL)));
    check(&known, disk(200, 20, 30)).then([]);
    assert_eq!(check(&known, disk(200, 21, 30)).events().len(), 1);
}

#[test]
fn additional_disk_is_sold_no_longer_when_there_may_be_none_of_it() {
    let sku = twice(&[define("small", SMALL), disk(100, 10, 10)], disk(100, 0, 20));
    let price = |secs| sku.disk_price_at(Currency::EUR, Timestamp::from_secs(secs));
    assert_eq!((price(19).map(|price| price.gib_max), price(20)), (Some(10), None));
}

#[test]
fn a_price_of_additional_disk_is_within_limits_and_of_what_is_sold() {
    let known = [define("small", SMALL)];
    for bad in [
        disk(0, 1, 0),
        disk(-1, 1, 0),
        disk(1_000_000_000_000_001, 1, 0),
        disk(1, DISK_GIB_MAX + 1, 0),
    ] {
        check(&known, bad).then_refused("disk_price_invalid");
    }
    check(&known, disk(1_000_000_000_000_000, DISK_GIB_MAX, 0)).events();
    check(&[], disk(1, 1, 0)).then_refused("unknown_sku");
    check(&[define("small", SMALL), RETIRE], disk(1, 1, 0)).then_refused("sku_retired");
}

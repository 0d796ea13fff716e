//! A rental keeps its price until it is moved to another on purpose: what each segment cost, and with which tax.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_compute::{
    Allocation, AllocationCommand as Command, AllocationEvent as Event, Due, PinnedDiscount,
    PinnedDisk, PinnedPrice, Placement, ReleaseReason, Size, Step, SuspensionReason,
};
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    AllocationId, Currency, Decider, DiscountId, HoldId, NodeId, OrganisationId, ProjectId,
    Resources, Tariff, Tax, TaxRate, TaxTreatment, Tier, Tiers, Timestamp,
};
use proptest::prelude::*;

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000 + secs)
}

const fn price(version: u32, nanos_per_hour: i64) -> PinnedPrice {
    PinnedPrice::flat(version, Currency::EUR, nanos_per_hour)
}

fn vat(ppm: u32) -> Tax {
    let rate = TaxRate { jurisdiction: "DE".to_owned(), ppm };
    Tax { rate, name: "VAT".to_owned(), treatment: TaxTreatment::Inclusive, version: 1 }
}

fn request(price: PinnedPrice, tax: Option<Tax>) -> Command {
    Command::Request {
        allocation_id: AllocationId::from_bits(1),
        organisation_id: OrganisationId::from_bits(2),
        sku_id: "small".to_owned(),
        resources: Resources::default(),
        price,
        tax,
        project_id: None,
        ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==".to_owned(),
        node_id: None,
        at: at(-9),
    }
}

/// Active since `at(0)`.
fn active(first: PinnedPrice, tax: Option<Tax>) -> Vec<Command> {
    let (node_id, hold_id) = (NodeId::from_bits(3), HoldId::from_bits(1));
    let steps =
        Step::ALL.map(|step| Command::CompleteStep { step, observed: "ok".to_owned(), at: at(-1) });
    let placement = Placement { node_id, uid: 20_000, hold_id };
    let begin = [
        request(first, tax),
        Command::ConfirmReserved { placement, at: at(-8) },
        Command::StartProvisioning { login: "t20000".to_owned(), at: at(-7) },
    ];
    let activate = Command::Activate { proof: "uid=20000".to_owned(), at: at(0) };
    begin.into_iter().chain(steps).chain([activate]).collect()
}

const fn meter(through: i64) -> Command {
    Command::Meter { through: at(through), unproven_seconds: 0, late_seconds: 0, at: at(through) }
}

const fn reprice(price: PinnedPrice, tax: Option<Tax>, secs: i64) -> Command {
    Command::Reprice { price, tax, at: at(secs) }
}

fn fold(commands: &[Command]) -> Allocation {
    commands.iter().cloned().fold(Allocation::default(), |rental, command| {
        let events = rental.decide(command).unwrap();
        events.into_iter().fold(rental, Allocation::evolve)
    })
}

fn check(history: &[Command], command: Command) -> When<Allocation> {
    decide_both_ways(fold(history), command)
}

#[test]
fn a_project_comes_with_the_request_and_stays() {
    let wanted = ProjectId::from_bits(7);
    let mut begun = active(price(1, 119), Some(vat(190_000)));
    let Some(Command::Request { project_id, .. }) = begun.first_mut() else {
        panic!("it begins with the request");
    };
    *project_id = Some(wanted);
    let events = check(&[], begun[0].clone()).events();
    assert!(
        matches!(&events[..], [Event::Requested { .. }, Event::Taxed { .. }, Event::Assigned { project_id, .. }] if *project_id == wanted)
    );
    begun.push(reprice(price(2, 200), None, 50));
    assert_eq!(fold(&begun).project_id, Some(wanted));
}

#[test]
fn a_tax_comes_with_the_request_and_stays() {
    let events = check(&[], request(price(1, 119), Some(vat(190_000)))).events();
    assert!(
        matches!(&events[..], [Event::Requested { .. }, Event::Taxed { tax, .. }] if *tax == vat(190_000))
    );
    let rental = fold(&active(price(1, 119), Some(vat(190_000))));
    assert_eq!(rental.tax, Some(vat(190_000)));
    assert_eq!(check(&[], request(price(1, 119), None)).events().len(), 1);
}

#[test]
fn each_segment_is_charged_at_its_own_price_and_tax() {
    let begun = [active(price(1, 3_600), None), vec![meter(100)]].concat();
    let moved = [begun.clone(), vec![reprice(price(2, 7_200), Some(vat(190_000)), 110)]].concat();
    check(&begun, moved.last().unwrap().clone()).then([Event::Repriced {
        price: price(2, 7_200),
        tax: Some(vat(190_000)),
        seconds: 100,
        total_nanos: 100,
        at: at(110),
    }]);
    check(&moved, moved.last().unwrap().clone()).then([]);
    let rental = fold(&[moved, vec![meter(150)]].concat());
    assert_eq!(rental.total_nanos(), Ok(200), "100 s at 1 nano, 50 s at 2");
    let due = |price, seconds, total_nanos, tax| Due { price, seconds, total_nanos, tax };
    let dues = [
        due(price(1, 3_600), 100, 100, None),
        due(price(2, 7_200), 150, 200, Some(vat(190_000).rate)),
    ];
    assert_eq!(rental.dues().unwrap(), dues);
}

#[test]
fn what_does_not_run_or_is_sold_in_another_currency_is_not_moved() {
    let running = active(price(1, 3_600), None);
    let dollars = PinnedPrice { currency: Currency::USD, ..price(2, 1) };
    check(&running, reprice(dollars, None, 1)).then_refused("price_in_other_currency");
    let release = Command::RequestRelease { reason: ReleaseReason::Customer, at: at(5) };
    for unfit in [running[..2].to_vec(), [running.clone(), vec![release]].concat()] {
        check(&unfit, reprice(price(2, 1), None, 9)).then_refused("allocation_in_wrong_state");
    }
    check(&[], reprice(price(2, 1), None, 9)).then_refused("unknown_allocation");
    // What is suspended goes on at the new price.
    let suspend =
        Command::RequestSuspension { reason: SuspensionReason::FundsExhausted, at: at(5) };
    let confirm = Command::ConfirmSuspended { evidence: "0".to_owned(), at: at(6) };
    let suspended = [running, vec![suspend, confirm]].concat();
    assert_eq!(check(&suspended, reprice(price(2, 1), None, 9)).events().len(), 1);
}

fn stepped(version: u32, first: i64, later: &[(i64, i64)]) -> PinnedPrice {
    let tier = |(from_seconds, nanos_per_hour): &(i64, i64)| Tier {
        from_seconds: *from_seconds,
        nanos_per_hour: *nanos_per_hour,
    };
    let tiers = Tiers::try_new(&later.iter().map(tier).collect::<Vec<_>>()).unwrap();
    PinnedPrice { tiers, ..price(version, first) }
}

#[test]
fn tiers_count_the_seconds_at_their_own_price() {
    let begun = active(stepped(1, 3_600, &[(100, 1_800)]), None);
    let crossed = [begun, vec![meter(150)]].concat();
    let rental = fold(&crossed);
    assert_eq!((rental.total_nanos(), rental.ahead_nanos(10)), (Ok(125), Ok(Some(5))));
    // Moved to a price with tiers of its own, it begins in the first of them.
    let moved = [crossed, vec![reprice(stepped(2, 7_200, &[(20, 3_600)]), None, 160)]].concat();
    assert_eq!(fold(&moved).ahead_nanos(30), Ok(Some(50)));
    let rental = fold(&[moved, vec![meter(180)]].concat());
    assert_eq!((rental.seconds_at_this_price(), rental.total_nanos()), (30, Ok(125 + 50)));
}

fn with_disk(price: PinnedPrice, gib: u32, nanos_per_gib_hour: i64) -> PinnedPrice {
    let disk = PinnedDisk::try_new(1, gib, nanos_per_gib_hour).unwrap();
    PinnedPrice { disk: (gib > 0).then_some(disk), ..price }
}

#[test]
fn additional_disk_costs_beside_the_tiers_and_the_discount() {
    let discount = PinnedDiscount { discount_id: DiscountId::from_bits(1), basis_points: 5_000 };
    let stepped = PinnedPrice { discount: Some(discount), ..stepped(1, 7_200, &[(100, 3_600)]) };
    let rental = fold(&[active(with_disk(stepped, 3, 3_600), None), vec![meter(150)]].concat());
    // 100 s at 1 and 50 s at 1/2, and 150 s of three GiB at 1.
    assert_eq!(rental.total_nanos(), Ok(100 + 25 + 450));
    assert_eq!(rental.ahead_nanos(10), Ok(Some(5 + 30)));
    assert_eq!(rental.seconds_for(100 + 25 + 450 - 7), Ok(148));
    assert_eq!(rental.additional_disk_gib(), 3);
    assert!(PinnedDisk::try_new(1, u32::MAX, i64::MAX / 2).is_err());
}

fn size(sku_id: &str, price: PinnedPrice, sku_disk: u64) -> Size {
    let more = price.disk.map_or(0, |disk| u64::from(disk.gib) << 30);
    let resources = Resources { disk_bytes: sku_disk + more, ..Resources::default() };
    Size { sku_id: sku_id.to_owned(), resources, price, tax: None }
}

/// Asked for at `secs`, and over at once.
fn resize(size: Size, secs: i64) -> Vec<Command> {
    let at = at(secs);
    vec![
        Command::RequestResize { size, at },
        Command::StartResize { at },
        Command::ConfirmSuspended { evidence: "0".to_owned(), at },
        Command::RequestResume { at },
        Command::ConfirmResumed { proof: "uid=20000".to_owned(), at },
        Command::SettleResize { at },
    ]
}

#[test]
fn more_disk_is_had_without_another_sku_and_less_never() {
    const GIB: u64 = 1 << 30;
    let (plain, two) = (price(1, 3_600), with_disk(price(1, 3_600), 2, 3_600));
    let begun = [active(plain, None), vec![meter(100)]].concat();
    let wish = |size| Command::RequestResize { size, at: at(100) };
    check(&begun, wish(size("small", plain, 0))).then_refused("resize_unchanged");
    let grown = [begun, resize(size("small", two, 0), 100), vec![meter(150)]].concat();
    let rental = fold(&grown);
    assert_eq!((rental.additional_disk_gib(), rental.resources.disk_bytes), (2, 2 * GIB));
    assert_eq!(rental.total_nanos(), Ok(100 + 50 + 2 * 50));
    assert_eq!(rental.segments[0].sku_id, None, "it is the SKU that it was");
    let one = with_disk(price(1, 3_600), 1, 3_600);
    check(&grown, wish(size("small", one, 0))).then_refused("disk_shrinks");
    check(&grown, wish(size("large", one, GIB - 1))).then_refused("disk_shrinks");
    check(&grown, wish(size("small", two, 0))).then_refused("resize_unchanged");
    // Who moves to a larger disk needs less beside it.
    assert_eq!(check(&grown, wish(size("large", one, GIB))).events().len(), 1);
    let moved = [grown, resize(size("large", plain, 2 * GIB), 150)].concat();
    let rental = fold(&moved);
    assert_eq!((rental.additional_disk_gib(), rental.segments.len()), (0, 2));
    assert_eq!(rental.segments[1].sku_id.as_deref(), Some("small"));
}

#[test]
fn tiers_go_on_where_they_were_when_the_sku_stays() {
    let stepped = stepped(1, 7_200, &[(100, 3_600), (300, 1_800)]);
    let after = |seconds| stepped.after(seconds);
    assert_eq!(after(0), stepped);
    assert_eq!((after(100).nanos_per_hour, after(100).tiers.later().len()), (3_600, 1));
    assert_eq!(after(100).tiers.later()[0], Tier { from_seconds: 200, nanos_per_hour: 1_800 });
    assert_eq!(after(301), price(1, 1_800));
}

proptest! {
    #[test]
    fn a_rental_that_crosses_tiers_costs_the_same_in_ticks_and_at_once(
        first in 1..10_000_000_000_i64,
        later in prop::collection::btree_map(1..20_000_i64, 1..10_000_000_000_i64, 0..9),
        ticks in prop::collection::vec(1..5_000_i64, 1..12),
        (gib, per_gib) in (0..2_000_u32, 1..1_000_000_i64),
        basis_points in 0..9_000_u32,
    ) {
        let price = stepped(1, first, &later.into_iter().collect::<Vec<_>>());
        let discount = PinnedDiscount { discount_id: DiscountId::from_bits(1), basis_points };
        let price = with_disk(PinnedPrice { discount: Some(discount), ..price }, gib, per_gib);
        let (mut now, mut often) = (0, active(price, None));
        let mut charged = 0;
        for tick in ticks {
            now += tick;
            often.push(meter(now));
            let due = fold(&often).total_nanos().unwrap();
            prop_assert!(due >= charged);
            charged = due;
        }
        let once = [active(price, None), vec![meter(now)]].concat();
        prop_assert_eq!(Ok(charged), fold(&once).total_nanos());
        prop_assert_eq!(Ok(charged), price.tariff().total(now));
        let without = PinnedPrice { disk: None, ..price }.tariff().total(now).unwrap();
        let disk = Tariff::flat(i64::from(gib) * per_gib).total(now).unwrap();
        prop_assert!((charged - without - disk).abs() <= 1, "rounded once over both");
    }

    #[test]
    fn a_rental_costs_what_its_segments_cost(
        first in 1..10_000_000_000_i64,
        steps in prop::collection::vec((1..5_000_i64, prop::option::of(1..10_000_000_000_i64)), 1..12),
    ) {
        let (mut now, mut history) = (0, active(price(1, first), None));
        let (mut expected, mut segment, mut nanos_per_hour) = (0, 0, first);
        let cost = |nanos_per_hour, secs| Tariff::flat(nanos_per_hour).total(secs).unwrap();
        for (number, (secs, other)) in steps.into_iter().enumerate() {
            now += secs;
            segment += secs;
            history.push(meter(now));
            if let Some(other) = other {
                expected += cost(nanos_per_hour, std::mem::take(&mut segment));
                nanos_per_hour = other;
                let version = u32::try_from(number).unwrap() + 2;
                history.push(reprice(price(version, other), None, now));
            }
            let rental = fold(&history);
            prop_assert_eq!(rental.total_nanos().unwrap(), expected + cost(nanos_per_hour, segment));
            let dues = rental.dues().unwrap();
            prop_assert!(dues.is_sorted_by_key(|due| (due.seconds, due.total_nanos)));
        }
    }
}

//! Taking metered seconds back: never more than are metered at the price of now, with a reason, and in any order the same.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_compute::{
    Allocation, AllocationCommand as Command, AllocationEvent as Event, PinnedPrice, Placement,
    ReleaseReason, Step,
};
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    AllocationId, Currency, Decider, HoldId, NodeId, OrganisationId, Resources, Timestamp,
};
use proptest::prelude::*;

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000 + secs)
}

fn price(version: u32) -> PinnedPrice {
    PinnedPrice::flat(version, Currency::EUR, 3_600 * i64::from(version))
}

/// Ready to log in since second 0.
fn active() -> Vec<Command> {
    let request = Command::Request {
        allocation_id: AllocationId::from_bits(1),
        organisation_id: OrganisationId::from_bits(2),
        sku_id: "small".to_owned(),
        resources: Resources::default(),
        price: price(1),
        tax: None,
        project_id: None,
        ssh_public_key: "ssh-ed25519 AAAA".to_owned(),
        node_id: None,
        at: at(-3),
    };
    let (node_id, hold_id) = (NodeId::from_bits(3), HoldId::from_bits(1));
    let placement = Placement { node_id, uid: 20_000, hold_id };
    let before = [
        request,
        Command::ConfirmReserved { placement, at: at(-2) },
        Command::StartProvisioning { login: "t20000".to_owned(), at: at(-2) },
    ];
    let steps =
        Step::ALL.map(|step| Command::CompleteStep { step, observed: "ok".to_owned(), at: at(-1) });
    let activate = Command::Activate { proof: "uid=20000".to_owned(), at: at(0) };
    before.into_iter().chain(steps).chain([activate]).collect()
}

const fn meter(through: i64, unproven_seconds: i64) -> Command {
    Command::Meter { through: at(through), unproven_seconds, late_seconds: 0, at: at(through) }
}

fn correct(seconds: i64) -> Command {
    Command::CorrectUsage { seconds, reason: "its clock was ahead".to_owned(), at: at(500) }
}

fn with(more: &[Command]) -> Vec<Command> {
    [&active()[..], more].concat()
}

fn fold(commands: &[Command]) -> Allocation {
    commands.iter().cloned().fold(Allocation::default(), |allocation, command| {
        let events = allocation.decide(command).unwrap();
        allocation.evolve_all(events)
    })
}

fn check(history: &[Command], command: Command) -> When<Allocation> {
    decide_both_ways(fold(history), command)
}

#[test]
fn seconds_are_taken_back_and_the_meter_goes_on_from_there() {
    let corrected = with(&[meter(100, 10), correct(30)]);
    let rental = fold(&corrected);
    assert_eq!((rental.metered_seconds(), rental.total_nanos()), (60, Ok(60)));
    assert_eq!((rental.corrected_seconds, rental.unproven_seconds), (30, 10));
    let later = fold(&with(&[meter(100, 10), correct(30), meter(160, 10)]));
    assert_eq!(later.metered_seconds(), 120);
    // What turns out to be unproven afterwards does not eat what was proven before.
    let silent = fold(&with(&[meter(100, 10), correct(30), meter(160, 900)]));
    assert_eq!(silent.metered_seconds(), 60);
}

#[test]
fn no_more_is_taken_back_than_is_metered_and_nothing_is_added() {
    let history = with(&[meter(100, 10)]);
    check(&history, correct(91)).then_refused("correction_exceeds_usage");
    check(&with(&[meter(100, 10), correct(60)]), correct(31))
        .then_refused("correction_exceeds_usage");
    for none in [0, -1, i64::MIN] {
        check(&history, correct(none)).then_refused("correction_not_positive");
    }
    check(&active(), correct(1)).then_refused("correction_exceeds_usage");
    check(&[], correct(1)).then_refused("unknown_allocation");
}

#[test]
fn what_was_metered_at_a_price_before_stays() {
    let reprice = Command::Reprice { price: price(2), tax: None, at: at(100) };
    let moved = with(&[meter(100, 0), reprice, meter(160, 0)]);
    check(&moved, correct(61)).then_refused("correction_exceeds_usage");
    let rental = fold(&[&moved[..], &[correct(60)]].concat());
    assert_eq!((rental.metered_seconds(), rental.total_nanos()), (100, Ok(100)));
}

#[test]
fn a_total_names_its_seconds_also_those_that_a_correction_has_taken() {
    let reprice = Command::Reprice { price: price(2), tax: None, at: at(100) };
    let moved = with(&[meter(100, 0), reprice, meter(160, 0), correct(50)]);
    let rental = fold(&moved);
    assert_eq!((rental.metered_seconds(), rental.total_nanos()), (110, Ok(120)));
    for (total_nanos, seconds) in [(120, 110), (140, 120), (220, 160), (219, 160), (999, 160)] {
        assert_eq!(rental.seconds_for(total_nanos), Ok(seconds), "{total_nanos}");
    }
    let due = rental.due_at(120).unwrap().unwrap();
    assert_eq!((due.seconds, due.total_nanos, due.price), (120, 140, price(2)));
    assert_eq!(rental.due_at(110), Ok(None), "what is metered is due by the rental's own meter");
}

#[test]
fn a_reason_is_needed() {
    for reason in [String::new(), " ".to_owned(), "x".repeat(501)] {
        let wish = Command::CorrectUsage { seconds: 1, reason, at: at(500) };
        check(&with(&[meter(100, 0)]), wish).then_refused("reason_needed");
    }
}

#[test]
fn a_rental_that_is_over_is_corrected_too() {
    let over = [
        meter(100, 0),
        Command::RequestRelease { reason: ReleaseReason::Customer, at: at(100) },
        Command::VerifyTeardown { evidence: "nothing left".to_owned(), at: at(110) },
        Command::ConfirmReleased { charged_nanos: 100, at: at(111) },
    ];
    let why = "its clock was ahead".to_owned();
    let expected = Event::UsageCorrected { seconds: 40, why, at: at(500) };
    check(&with(&over), correct(40)).then([expected]);
    let rental = fold(&with(&[&over[..], &[correct(40)]].concat()));
    assert_eq!(rental.total_nanos(), Ok(60));
    assert_eq!(rental.status, cairn_compute::AllocationStatus::Released);
}

proptest! {
    #[test]
    fn readings_and_corrections_in_any_order_bill_what_is_left(
        readings in prop::collection::vec((1..400_i64, 0..20_i64), 1..12),
        corrections in prop::collection::vec(1..60_i64, 0..6),
        order in any::<prop::sample::Index>(),
    ) {
        let mut wishes: Vec<Command> = vec![];
        let (mut through, mut unproven) = (0, 0);
        for (seconds, silent) in readings {
            (through, unproven) = (through + seconds, unproven + silent.min(seconds));
            wishes.push(meter(through, unproven));
        }
        for seconds in &corrections {
            let place = 1 + order.index(wishes.len());
            wishes.insert(place.min(wishes.len()), correct(*seconds));
        }
        let mut rental = fold(&active());
        let mut taken = 0;
        for wish in wishes {
            let before = rental.metered_seconds();
            if let Ok(events) = rental.decide(wish.clone()) {
                rental = rental.evolve_all(events);
                if let Command::CorrectUsage { seconds, .. } = wish {
                    taken += seconds;
                    prop_assert_eq!(rental.metered_seconds(), before - seconds);
                } else {
                    prop_assert!(rental.metered_seconds() >= before, "a reading takes nothing back");
                }
            }
        }
        prop_assert_eq!(rental.metered_seconds(), through - unproven - taken);
    }
}

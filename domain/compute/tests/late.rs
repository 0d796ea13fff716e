//! What is proven after a rental was settled is billed then: once, and no more than was unproven.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_compute::{
    Allocation, AllocationCommand as Command, AllocationEvent as Event, PinnedPrice, ReleaseReason,
};
use cairn_core::{Currency, Decider, Timestamp};

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000 + secs)
}

fn metered(through: i64, unproven_seconds: i64) -> Event {
    Event::Metered { through: at(through), unproven_seconds, late_seconds: 0, at: at(through) }
}

fn released() -> Event {
    Event::ReleaseRequested { reason: ReleaseReason::Customer, at: at(500) }
}

fn after(more: &[Event]) -> Allocation {
    let activated = Event::Activated { proof: "uid=20000".to_owned(), at: at(0) };
    Allocation::fold([&[activated, metered(100, 0)], more].concat())
}

/// Seconds that an outage adds, by the events that it leads to.
fn prove(rental: &mut Allocation, (since, until): (i64, i64), paused_seconds: i64) -> i64 {
    let (since, until) = (at(since), at(until));
    let prove = Command::ProveLate { since, until, paused_seconds, at: until };
    let events = rental.decide(prove).unwrap();
    *rental = events.iter().cloned().fold(rental.clone(), Allocation::evolve);
    match events[..] {
        [] => 0,
        [Event::LateUsageProven { seconds, .. }] => seconds,
        _ => panic!("{events:?}"),
    }
}

#[test]
fn what_was_settled_before_it_was_proven_is_billed_once() {
    let settled = after(&[released(), metered(500, 400)]);
    assert_eq!(settled.metered_seconds(), 100);
    for (outage, paused, wanted) in [
        ((100, 900), 0, 400),
        ((100, 900), 30, 370),
        ((100, 900), 700, 0),
        ((300, 900), 0, 200),
        ((100, 150), 0, 50),
        ((500, 900), 0, 0),
        ((20, 90), 0, 0),
    ] {
        let mut rental = settled.clone();
        assert_eq!(prove(&mut rental, outage, paused), wanted, "{outage:?} but for {paused}");
        assert_eq!(rental.metered_seconds(), 100 + wanted);
        assert_eq!((rental.unproven_seconds, rental.late_seconds), (400 - wanted, wanted));
        if wanted > 0 {
            assert_eq!(prove(&mut rental, outage, 0), 0, "{outage:?} once");
        }
    }
}

#[test]
fn what_nobody_pays_for_of_an_outage_is_told_before_and_after_the_meter_passes_it() {
    let unpaid = |history: &[Event], (since, until): (i64, i64), paused_seconds| {
        after(history).unpaid_in((at(since), at(until)), paused_seconds)
    };
    let settled = [released(), metered(500, 400)];
    for (history, outage, paused, wanted) in [
        (&settled[..], (100, 900), 0, Some((400, at(500)))),
        (&settled, (100, 900), 30, Some((370, at(500)))),
        (&settled, (100, 900), 400, None),
        (&settled, (500, 900), 0, None),
        (&settled, (20, 90), 0, None),
        // It stands, and its meter waits where the outage began.
        (&[], (100, 900), 0, Some((800, at(900)))),
        (&[], (200, 900), 100, Some((600, at(900)))),
        (&[metered(950, 800)], (100, 900), 0, Some((800, at(900)))),
        // Its end was asked for in the outage, and it is not metered up to it yet.
        (&[released()], (100, 900), 0, Some((400, at(500)))),
        (&[metered(200, 40), metered(300, 40), released()], (300, 900), 0, Some((200, at(500)))),
    ] {
        assert_eq!(unpaid(history, outage, paused), wanted, "{history:?} {outage:?} {paused}");
    }
    assert_eq!(Allocation::default().unpaid_in((at(0), at(9)), 0), None, "it was never there");
}

#[test]
fn two_outages_count_each_for_itself_and_in_any_order() {
    let metered = [metered(200, 50), metered(300, 50), released(), metered(500, 130)];
    let outages = [(150, 200), (420, 700)];
    let billed = |order: [usize; 2]| {
        let mut rental = after(&metered);
        let seconds = order.map(|turn| prove(&mut rental, outages[turn], 0));
        (seconds.iter().sum::<i64>(), rental.metered_seconds())
    };
    assert_eq!(billed([0, 1]), (130, 500));
    assert_eq!(billed([1, 0]), billed([0, 1]));
}

#[test]
fn a_rental_whose_meter_may_pass_the_outage_adds_nothing() {
    for history in [vec![metered(500, 400)], vec![metered(400, 300), released()]] {
        assert_eq!(prove(&mut after(&history), (100, 900), 0), 0, "{history:?}");
    }
}

#[test]
fn what_was_unproven_at_another_price_stays_unpaid() {
    let price = PinnedPrice::flat(2, Currency::EUR, 7_200);
    let (seconds, total_nanos) = (100, 100);
    let moved = Event::Repriced { price, tax: None, seconds, total_nanos, at: at(450) };
    let first = Event::Repriced { price, tax: None, seconds: 0, total_nanos: 0, at: at(0) };
    let history = [first, metered(400, 300), moved, released(), metered(500, 350)];
    assert_eq!(prove(&mut after(&history), (100, 900), 0), 50);
}

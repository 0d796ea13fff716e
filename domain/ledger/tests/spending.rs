//! Spending limits: what may be set aside in a month, what is told, and that what was used is charged all the same.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::{Currency, Decider, HoldId, Month, Nanos, OrganisationId, PaymentId, Timestamp};
use cairn_ledger::{
    CaptureHold, PlaceHold, SpendingLimit, SpendingLimits, TopUp, Wallet, WalletCommand,
    WalletError, WalletEvent,
};
use proptest::prelude::*;

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);

/// The last hour of October 2026, and the first of November.
const OCTOBER: i64 = 1_793_487_600;
const NOVEMBER: i64 = 1_793_491_200;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn hold(number: u128) -> HoldId {
    HoldId::from_bits(number)
}

fn limits(warn_nanos: Option<Nanos>, stop_nanos: Option<Nanos>, secs: i64) -> WalletCommand {
    WalletCommand::SetSpendingLimits {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        limits: SpendingLimits { warn_nanos, stop_nanos },
        at: at(secs),
    }
}

fn top_up(amount_nanos: Nanos) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        payment_id: PaymentId::from_bits(4),
        amount_nanos,
        charge_id: "ch_1".to_owned(),
        at: at(OCTOBER),
    })
}

fn place(number: u128, amount_nanos: Nanos, secs: i64) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: hold(number),
        purpose: format!("alloc_{number}"),
        project_id: None,
        amount_nanos,
        expires_at: at(secs + 10_000_000),
        at: at(secs),
    })
}

fn capture(number: u128, total_nanos: Nanos, keep_nanos: Nanos, secs: i64) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: hold(number),
        total_nanos,
        seconds: total_nanos,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos,
        expires_at: at(secs + 10_000_000),
        at: at(secs),
    })
}

fn after(commands: impl IntoIterator<Item = WalletCommand>) -> Wallet {
    commands.into_iter().fold(Wallet::default(), |wallet, command| {
        let events = wallet.decide(command).unwrap();
        wallet.evolve_all(events)
    })
}

/// What was told: which limit, and what was used then.
fn told(events: &[WalletEvent]) -> Vec<(SpendingLimit, Nanos)> {
    let told = |event: &WalletEvent| match event {
        WalletEvent::SpendingReached { limit, spent_nanos, .. } => Some((*limit, *spent_nanos)),
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

fn refused(events: &[WalletEvent]) -> Option<(Nanos, Nanos)> {
    events.iter().find_map(|event| match event {
        WalletEvent::HoldExtensionRefused { wanted_nanos, available_nanos, .. } => {
            Some((*wanted_nanos, *available_nanos))
        }
        _ => None,
    })
}

#[test]
fn no_more_is_set_aside_than_the_stop_leaves_room_for() {
    let wallet = after([top_up(1_000), limits(None, Some(100), OCTOBER), place(1, 60, OCTOBER)]);
    let more = wallet.decide(place(2, 41, OCTOBER));
    let (room, wanted) = ("0.00000004".to_owned(), "0.000000041".to_owned());
    assert_eq!(more, Err(WalletError::SpendingLimitReached { room, wanted }));
    assert!(wallet.decide(place(2, 40, OCTOBER)).is_ok());
    assert!(after([top_up(1_000), place(1, 1_000, OCTOBER)]).room_at(at(OCTOBER)).is_none());
}

#[test]
fn a_hold_that_may_grow_no_more_says_so_once_and_grows_again_next_month() {
    let wallet = after([top_up(1_000), limits(None, Some(100), OCTOBER), place(1, 60, OCTOBER)]);
    let events = wallet.decide(capture(1, 50, 60, OCTOBER + 1)).unwrap();
    // 50 used, 10 left, 40 more allowed: 10 of what was to be kept are missing, though there is money.
    assert_eq!(refused(&events), Some((10, 900)));
    assert_eq!(told(&events), [(SpendingLimit::Stop, 50)]);
    let wallet = wallet.evolve_all(events);
    let events = wallet.decide(capture(1, 70, 60, OCTOBER + 2)).unwrap();
    assert_eq!(refused(&events), Some((30, 900)));
    assert_eq!(told(&events), []);
    let wallet = wallet.evolve_all(events);
    // Before anything is charged in it, too.
    let (this, next) = (at(OCTOBER + 2), at(NOVEMBER));
    assert_eq!((wallet.room_at(this), wallet.room_at(next)), (Some(0), Some(70)));
    assert!(wallet.decide(place(2, 70, OCTOBER + 2)).is_err());
    assert!(wallet.decide(place(2, 70, NOVEMBER)).is_ok());
    let events = wallet.decide(capture(1, 90, 60, NOVEMBER)).unwrap();
    assert_eq!((refused(&events), told(&events)), (None, vec![]));
    let wallet = wallet.evolve_all(events);
    assert_eq!(wallet.spending.month, Some(Month::of(at(NOVEMBER)).unwrap()));
    assert_eq!(wallet.spending.spent_nanos, 20);
    let late = wallet.decide(capture(1, 95, 0, OCTOBER)).unwrap();
    assert_eq!(wallet.evolve_all(late).spending.spent_nanos, 20);
}

#[test]
fn an_empty_wallet_is_not_called_a_limit() {
    let wallet = after([top_up(60), limits(None, Some(100), OCTOBER), place(1, 60, OCTOBER)]);
    let events = wallet.decide(capture(1, 50, 60, OCTOBER + 1)).unwrap();
    assert_eq!((refused(&events), told(&events)), (Some((50, 0)), vec![]));
}

#[test]
fn what_was_used_is_charged_beyond_every_limit() {
    let wallet = after([top_up(1_000), limits(None, Some(100), OCTOBER), place(1, 60, OCTOBER)]);
    let events = wallet.decide(capture(1, 300, 0, OCTOBER + 1)).unwrap();
    let wallet = wallet.evolve_all(events);
    assert_eq!((wallet.spending.spent_nanos, wallet.room_at(at(OCTOBER))), (300, Some(0)));
}

#[test]
fn a_warning_comes_once_a_month_and_at_once_when_it_is_late() {
    let wallet = after([top_up(1_000), limits(Some(50), None, OCTOBER), place(1, 500, OCTOBER)]);
    let events = wallet.decide(capture(1, 49, 0, OCTOBER)).unwrap();
    assert_eq!(told(&events), []);
    let wallet = wallet.evolve_all(events);
    let events = wallet.decide(capture(1, 51, 0, OCTOBER)).unwrap();
    assert_eq!(told(&events), [(SpendingLimit::Warn, 51)]);
    let wallet = wallet.evolve_all(events);
    assert_eq!(told(&wallet.decide(capture(1, 80, 0, OCTOBER)).unwrap()), []);
    let next = wallet.decide(capture(1, 110, 0, NOVEMBER)).unwrap();
    assert_eq!(told(&next), [(SpendingLimit::Warn, 59)]);
    // Set below what was used: told with it.
    let lower = wallet.decide(limits(Some(20), None, OCTOBER)).unwrap();
    assert_eq!(told(&lower), [(SpendingLimit::Warn, 51)]);
    assert_eq!(wallet.decide(limits(Some(50), None, OCTOBER)).unwrap(), []);
    let stop_too = wallet.decide(limits(Some(50), Some(900), OCTOBER)).unwrap();
    assert_eq!(told(&stop_too), [], "another limit was set: this one was told");
}

#[test]
fn limits_that_make_no_sense_are_refused_and_a_wallet_may_begin_with_them() {
    let empty = Wallet::default();
    let (warn, stop) = ("0.000000009".to_owned(), "0.000000008".to_owned());
    for (wrong, error) in [
        (limits(Some(0), None, OCTOBER), WalletError::AmountNotPositive),
        (limits(None, Some(-1), OCTOBER), WalletError::AmountNotPositive),
        (limits(Some(9), Some(8), OCTOBER), WalletError::WarnAboveStop { warn, stop }),
    ] {
        assert_eq!(empty.decide(wrong), Err(error));
    }
    let wallet = after([limits(None, Some(0), OCTOBER), top_up(10)]);
    assert!(matches!(
        wallet.decide(place(1, 1, OCTOBER)),
        Err(WalletError::SpendingLimitReached { .. })
    ));
    let other = WalletCommand::SetSpendingLimits {
        organisation_id: OrganisationId::from_bits(2),
        currency: Currency::EUR,
        limits: SpendingLimits::default(),
        at: at(OCTOBER),
    };
    assert_eq!(wallet.decide(other), Err(WalletError::IdReused));
}

proptest! {
    #[test]
    fn what_is_used_and_set_aside_stays_within_the_stop_unless_more_was_used_than_was_set_aside(
        stop in 0_i64..300,
        steps in prop::collection::vec((0_u128..3, 0_i64..40, 0_i64..60, 0_i64..5_000), 1..40),
    ) {
        let mut wallet = after([top_up(10_000), limits(None, Some(stop), OCTOBER)]);
        let (mut now, mut totals) = (OCTOBER, [0; 3]);
        for (number, used, keep, later) in steps {
            now += later;
            let index = usize::try_from(number).unwrap();
            let command = match wallet.holds.get(&hold(number).to_string()) {
                None => place(number, used + 1, now),
                // Never more than is set aside.
                Some(it) => {
                    totals[index] += used.min(it.remaining_nanos());
                    capture(number, totals[index], keep, now)
                }
            };
            let Ok(events) = wallet.decide(command) else { continue };
            wallet = wallet.evolve_all(events);
            let held: Nanos = wallet.holds.values().map(cairn_ledger::Hold::remaining_nanos).sum();
            let spent = wallet.spending.spent_at(at(now));
            prop_assert!(spent + held <= stop, "{spent} used and {held} set aside of {stop}");
            prop_assert!(spent <= totals.iter().sum());
        }
    }
}

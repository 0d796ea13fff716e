//! The rules of the wallet, one by one.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, HoldId, OrganisationId, PaymentId, RefundId, Timestamp};
use cairn_ledger::{
    CaptureHold, HoldStatus, LotUse, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand,
    WalletEvent,
};

const UNIT: i64 = 1_000_000_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const HOLD: HoldId = HoldId::from_bits(2);
const OTHER_HOLD: HoldId = HoldId::from_bits(3);
const PAYMENT: PaymentId = PaymentId::from_bits(4);
const OTHER_PAYMENT: PaymentId = PaymentId::from_bits(5);
const REFUND: RefundId = RefundId::from_bits(6);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn top_up(payment_id: PaymentId, amount_nanos: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id,
        amount_nanos,
        charge_id: format!("ch_{payment_id}"),
        at: at(0),
    })
}

fn place(hold_id: HoldId, amount_nanos: i64) -> WalletCommand {
    let purpose = "alloc_1".to_owned();
    WalletCommand::PlaceHold(PlaceHold {
        hold_id,
        purpose,
        project_id: None,
        amount_nanos,
        expires_at: at(100),
        at: at(1),
    })
}

fn tick(total_nanos: i64, keep_nanos: i64, now: i64) -> CaptureHold {
    CaptureHold {
        hold_id: HOLD,
        total_nanos,
        seconds: now,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos,
        expires_at: at(now + 100),
        at: at(now),
    }
}

fn capture(total_nanos: i64, keep_nanos: i64, now: i64) -> WalletCommand {
    WalletCommand::CaptureHold(tick(total_nanos, keep_nanos, now))
}

fn reserve(payment_id: PaymentId, amount_nanos: i64) -> WalletCommand {
    let reason = "asked".to_owned();
    WalletCommand::ReserveRefund(ReserveRefund {
        refund_id: REFUND,
        payment_id,
        amount_nanos,
        reason,
        at: at(2),
    })
}

const RELEASE: WalletCommand =
    WalletCommand::ReleaseHold { hold_id: HOLD, at: Timestamp::from_secs(1_000_070) };

fn give_back(refund_id: RefundId) -> WalletCommand {
    WalletCommand::ReturnRefund { refund_id, at: at(3) }
}

/// The facts of commands that are all accepted.
fn after(commands: impl IntoIterator<Item = WalletCommand>) -> Vec<WalletEvent> {
    let mut history: Vec<WalletEvent> = vec![];
    for command in commands {
        history.extend(Wallet::fold(history.clone()).decide(command).unwrap());
    }
    history
}

fn check(history: impl IntoIterator<Item = WalletCommand>, command: WalletCommand) -> When<Wallet> {
    decide_both_ways(Wallet::fold(after(history)), command)
}

fn refused(history: impl IntoIterator<Item = WalletCommand>, command: WalletCommand, code: &str) {
    check(history, command).then_refused(code);
}

/// The state after a command that is accepted, and then repeated without effect.
fn twice(history: impl IntoIterator<Item = WalletCommand>, command: WalletCommand) -> Wallet {
    let mut history: Vec<_> = history.into_iter().collect();
    let events = check(history.clone(), command.clone()).events();
    assert!(!events.is_empty(), "it must do something the first time");
    history.push(command.clone());
    check(history.clone(), command).then([]);
    Wallet::fold(after(history))
}

#[test]
fn a_top_up_becomes_a_lot_and_is_credited_once() {
    let wallet = twice([], top_up(PAYMENT, 10 * UNIT));
    assert_eq!((wallet.posted_nanos, wallet.available_nanos()), (10 * UNIT, 10 * UNIT));
    assert_eq!(wallet.lots.len(), 1);
}

#[test]
fn a_top_up_of_nothing_is_refused() {
    refused([], top_up(PAYMENT, 0), "amount_not_positive");
    refused([], top_up(PAYMENT, -1), "amount_not_positive");
}

#[test]
fn a_payment_credits_one_wallet_with_one_amount() {
    refused([top_up(PAYMENT, UNIT)], top_up(PAYMENT, 2 * UNIT), "id_reused");
    for (organisation_id, currency) in
        [(OrganisationId::from_bits(9), Currency::USD), (ORGANISATION, Currency::EUR)]
    {
        let foreign = TopUp {
            organisation_id,
            currency,
            payment_id: PAYMENT,
            amount_nanos: UNIT,
            charge_id: "ch_1".to_owned(),
            at: at(0),
        };
        refused([top_up(PAYMENT, UNIT)], WalletCommand::TopUp(foreign), "id_reused");
    }
}

#[test]
fn a_wallet_never_counts_past_what_the_ledger_can_hold() {
    let full = top_up(PAYMENT, i64::MAX);
    refused([full.clone()], top_up(OTHER_PAYMENT, 1), "amount_too_large");
    let cents = 10_000_000;
    let refilled = [full, reserve(PAYMENT, cents), top_up(OTHER_PAYMENT, cents)];
    refused(refilled, give_back(REFUND), "amount_too_large");
}

#[test]
fn a_hold_is_placed_once_and_shrinks_what_is_available() {
    let wallet = twice([top_up(PAYMENT, 10 * UNIT)], place(HOLD, 4 * UNIT));
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (4 * UNIT, 6 * UNIT));
}

#[test]
fn a_hold_needs_an_amount_and_the_money() {
    refused([], place(HOLD, UNIT), "insufficient_funds");
    refused([top_up(PAYMENT, UNIT)], place(HOLD, 0), "amount_not_positive");
    let held = [top_up(PAYMENT, UNIT), place(HOLD, UNIT)];
    refused(held, place(OTHER_HOLD, 1), "insufficient_funds");
}

#[test]
fn a_hold_id_serves_one_purpose() {
    let other = PlaceHold {
        hold_id: HOLD,
        purpose: "alloc_2".to_owned(),
        project_id: None,
        amount_nanos: 1,
        expires_at: at(100),
        at: at(1),
    };
    let history = [top_up(PAYMENT, UNIT), place(HOLD, 1)];
    refused(history, WalletCommand::PlaceHold(other), "id_reused");
}

#[test]
fn an_expired_hold_makes_room_for_a_new_one() {
    let late = PlaceHold {
        hold_id: OTHER_HOLD,
        purpose: "alloc_2".to_owned(),
        project_id: None,
        amount_nanos: UNIT,
        expires_at: at(300),
        at: at(100),
    };
    let history = [top_up(PAYMENT, UNIT), place(HOLD, UNIT)];
    let wallet = twice(history, WalletCommand::PlaceHold(late));
    assert_eq!(wallet.held_nanos, UNIT);
    assert_eq!(wallet.holds[&HOLD.to_string()].status, HoldStatus::Expired);
}

#[test]
fn usage_is_captured_from_the_hold_and_consumes_the_oldest_lot_first() {
    let history =
        [top_up(PAYMENT, 2 * UNIT), top_up(OTHER_PAYMENT, 2 * UNIT), place(HOLD, 3 * UNIT)];
    let events = check(history.clone(), capture(3 * UNIT, 0, 10)).events();
    let [WalletEvent::UsageCaptured { lots, amount_nanos, journal, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*amount_nanos, 3 * UNIT);
    assert_eq!(
        lots[..],
        [
            LotUse { payment_id: PAYMENT, amount_nanos: 2 * UNIT },
            LotUse { payment_id: OTHER_PAYMENT, amount_nanos: UNIT },
        ]
    );
    assert_eq!(journal.source_id, format!("{HOLD}:{}", 3 * UNIT));
    let wallet = twice(history, capture(3 * UNIT, 0, 10));
    assert_eq!((wallet.posted_nanos, wallet.held_nanos), (UNIT, 0));
}

#[test]
fn a_capture_fills_the_hold_up_again() {
    let wallet =
        twice([top_up(PAYMENT, 10 * UNIT), place(HOLD, 2 * UNIT)], capture(UNIT, 2 * UNIT, 60));
    let hold = &wallet.holds[&HOLD.to_string()];
    assert_eq!((hold.remaining_nanos(), hold.expires_at), (2 * UNIT, at(160)));
}

#[test]
fn a_hold_that_cannot_be_extended_is_reported_once_and_still_covers_the_winding_down() {
    let wallet = twice([top_up(PAYMENT, UNIT), place(HOLD, UNIT)], capture(UNIT / 4, UNIT, 60));
    let hold = &wallet.holds[&HOLD.to_string()];
    assert_eq!(hold.remaining_nanos(), UNIT * 3 / 4);
    assert_eq!(hold.expires_at, at(160), "what is left of it lasts as long as the usage");
    assert_eq!(hold.refused_nanos, Some((UNIT / 4, 0)));
}

#[test]
fn a_hold_is_extended_by_what_there_is_and_the_rest_is_refused() {
    let history = [top_up(PAYMENT, 2 * UNIT), place(HOLD, UNIT)];
    let events = check(history.clone(), capture(UNIT / 2, 4 * UNIT, 60)).events();
    let [
        WalletEvent::UsageCaptured { .. },
        WalletEvent::HoldExtended { amount_nanos, expires_at, .. },
        WalletEvent::HoldExtensionRefused {
            wanted_nanos, available_nanos, remaining_nanos, ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*amount_nanos, *expires_at), (UNIT, at(160)));
    assert_eq!((*wanted_nanos, *available_nanos), (4 * UNIT - UNIT * 3 / 2, 0));
    assert_eq!(*remaining_nanos, UNIT * 3 / 2);
    let wallet = twice(history, capture(UNIT / 2, 4 * UNIT, 60));
    assert_eq!(wallet.available_nanos(), 0);
}

#[test]
fn usage_beyond_the_hold_takes_what_is_available_and_the_rest_is_owed() {
    let wallet = twice([top_up(PAYMENT, 3 * UNIT), place(HOLD, UNIT)], capture(5 * UNIT, 0, 60));
    let hold = &wallet.holds[&HOLD.to_string()];
    assert_eq!((wallet.posted_nanos, wallet.held_nanos), (0, 0));
    assert_eq!((hold.captured_nanos, hold.overrun_nanos), (3 * UNIT, 2 * UNIT));
}

#[test]
fn late_usage_of_an_expired_hold_is_still_charged() {
    let history =
        [top_up(PAYMENT, 3 * UNIT), place(HOLD, UNIT), WalletCommand::SweepExpired { at: at(100) }];
    let wallet = twice(history, capture(UNIT / 2, 0, 110));
    assert_eq!(wallet.posted_nanos, 3 * UNIT - UNIT / 2);
    assert_eq!(wallet.holds[&HOLD.to_string()].captured_nanos, UNIT / 2);
}

#[test]
fn an_old_tick_neither_charges_nor_shortens_nor_reopens_a_hold() {
    let open = [top_up(PAYMENT, 10 * UNIT), place(HOLD, UNIT), capture(UNIT, 2 * UNIT, 60)];
    check(open.clone(), capture(UNIT / 2, 3 * UNIT, 30)).then([]);
    check(open.clone(), capture(-1, 3 * UNIT, 30)).then([]);
    let refilled = check(open.clone(), capture(UNIT, 3 * UNIT, 30)).events();
    let extended = WalletEvent::HoldExtended {
        hold_id: HOLD,
        amount_nanos: UNIT,
        promotional_nanos: 0,
        expires_at: at(160),
    };
    assert_eq!(refilled, [extended], "the later expiry stays");
    let expired = [&open[..], &[WalletCommand::SweepExpired { at: at(500) }]].concat();
    check(expired, capture(UNIT, 2 * UNIT, 60)).then([]);
}

#[test]
fn a_newer_tick_sets_money_aside_again_even_before_the_first_charge() {
    let expired =
        [top_up(PAYMENT, 3 * UNIT), place(HOLD, UNIT), WalletCommand::SweepExpired { at: at(100) }];
    let wallet = twice(expired, capture(0, UNIT, 110));
    let hold = &wallet.holds[&HOLD.to_string()];
    assert_eq!((hold.remaining_nanos(), hold.expires_at), (UNIT, at(210)));
}

#[test]
fn an_unknown_hold_is_neither_captured_nor_released() {
    refused([], capture(1, 0, 1), "unknown_hold");
    refused([top_up(PAYMENT, UNIT)], capture(1, 0, 1), "unknown_hold");
    refused([], RELEASE, "unknown_hold");
}

#[test]
fn a_released_hold_gives_back_the_rest_and_charges_nothing_new() {
    let history = [top_up(PAYMENT, 3 * UNIT), place(HOLD, 2 * UNIT), capture(UNIT, 0, 60)];
    let wallet = twice(history.clone(), RELEASE);
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (0, 2 * UNIT));
    let released = [&history[..], &[RELEASE]].concat();
    check(released.clone(), capture(UNIT, 0, 60)).then([]);
    refused(released, capture(UNIT + 1, 0, 61), "hold_closed");
}

#[test]
fn a_hold_expires_when_its_time_is_over_and_not_before() {
    let history = [top_up(PAYMENT, UNIT), place(HOLD, UNIT)];
    check(history.clone(), WalletCommand::SweepExpired { at: at(99) }).then([]);
    let wallet = twice(history, WalletCommand::SweepExpired { at: at(100) });
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (0, UNIT));
}

#[test]
fn a_hold_in_use_outlives_its_time_whatever_else_is_asked_of_the_wallet() {
    let in_use = [top_up(PAYMENT, 3 * UNIT), place(HOLD, 2 * UNIT), capture(UNIT, 0, 60)];
    check(in_use.clone(), WalletCommand::SweepExpired { at: at(5_000) }).then([]);
    let other = WalletCommand::PlaceHold(PlaceHold {
        hold_id: HoldId::from_bits(99),
        purpose: "other".to_owned(),
        project_id: None,
        amount_nanos: UNIT + 1,
        expires_at: at(9_000),
        at: at(5_000),
    });
    refused(in_use.clone(), other, "insufficient_funds");
    let late = twice(in_use, capture(2 * UNIT, 0, 5_000));
    let hold = &late.holds[&HOLD.to_string()];
    assert_eq!((hold.captured_nanos, hold.overrun_nanos), (2 * UNIT, 0), "its own money pays");
}

#[test]
fn a_refund_comes_out_of_its_own_lot_once() {
    let history = [top_up(PAYMENT, 2 * UNIT), top_up(OTHER_PAYMENT, 2 * UNIT)];
    let wallet = twice(history, reserve(OTHER_PAYMENT, UNIT));
    assert_eq!(wallet.posted_nanos, 3 * UNIT);
    assert_eq!((wallet.lots[0].remaining_nanos, wallet.lots[1].remaining_nanos), (2 * UNIT, UNIT));
}

#[test]
fn a_refund_never_exceeds_its_lot_its_wallet_or_whole_cents() {
    let credit = top_up(PAYMENT, 2 * UNIT);
    refused([credit.clone()], reserve(PAYMENT, 0), "amount_not_positive");
    refused([credit.clone()], reserve(OTHER_PAYMENT, UNIT), "unknown_payment");
    refused([credit.clone()], reserve(PAYMENT, 3 * UNIT), "exceeds_refundable");
    refused([credit.clone()], reserve(PAYMENT, 1), "not_whole_minor_units");
    let held = [credit.clone(), place(HOLD, 2 * UNIT)];
    refused(held, reserve(PAYMENT, UNIT), "insufficient_funds");
    refused([credit, reserve(PAYMENT, UNIT)], reserve(PAYMENT, 2 * UNIT), "id_reused");
}

#[test]
fn a_failed_refund_comes_back_into_its_lot_once() {
    let wallet = twice([top_up(PAYMENT, 2 * UNIT), reserve(PAYMENT, UNIT)], give_back(REFUND));
    assert_eq!((wallet.posted_nanos, wallet.lots[0].remaining_nanos), (2 * UNIT, 2 * UNIT));
    refused([top_up(PAYMENT, UNIT)], give_back(REFUND), "unknown_refund");
}

#[test]
fn a_returned_refund_reverses_its_reservation_in_the_books() {
    let history = after([top_up(PAYMENT, 2 * UNIT), reserve(PAYMENT, UNIT), give_back(REFUND)]);
    let Some(WalletEvent::RefundReturned { journal, .. }) = history.last() else {
        panic!("{history:?}");
    };
    assert_eq!(journal.reverses, Some(format!("refund/{REFUND}")));
}

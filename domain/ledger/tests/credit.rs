//! The rules of promotional credit, one by one.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    CreditId, Currency, Decider, HoldId, OrganisationId, PaymentId, Posting, RefundId, StoredEvent,
    Timestamp, chart,
};
use cairn_ledger::{
    CaptureHold, CreditUse, GrantCredit, LotUse, PlaceHold, ReserveRefund, TopUp, Wallet,
    WalletCommand, WalletEvent,
};
use serde_json::json;

const UNIT: i64 = 1_000_000_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const HOLD: HoldId = HoldId::from_bits(2);
const PAYMENT: PaymentId = PaymentId::from_bits(4);
const CREDIT: CreditId = CreditId::from_bits(7);
const OTHER_CREDIT: CreditId = CreditId::from_bits(8);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn grant_of(credit_id: CreditId, amount_nanos: i64, expires: i64) -> GrantCredit {
    GrantCredit {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        credit_id,
        amount_nanos,
        expires_at: at(expires),
        reason: "welcome".to_owned(),
        at: at(0),
    }
}

fn grant(credit_id: CreditId, amount_nanos: i64, expires: i64) -> WalletCommand {
    WalletCommand::GrantCredit(grant_of(credit_id, amount_nanos, expires))
}

fn top_up(amount_nanos: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PAYMENT,
        amount_nanos,
        charge_id: "ch_1".to_owned(),
        at: at(0),
    })
}

fn place(amount_nanos: i64, now: i64) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: HOLD,
        purpose: "alloc_1".to_owned(),
        project_id: None,
        amount_nanos,
        expires_at: at(now + 1_000),
        at: at(now),
    })
}

fn capture(total_nanos: i64, keep_nanos: i64, now: i64) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: HOLD,
        total_nanos,
        seconds: now,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos,
        expires_at: at(now + 1_000),
        at: at(now),
    })
}

fn release(now: i64) -> WalletCommand {
    WalletCommand::ReleaseHold { hold_id: HOLD, at: at(now) }
}

fn sweep(now: i64) -> WalletCommand {
    WalletCommand::SweepExpired { at: at(now) }
}

fn after(commands: impl IntoIterator<Item = WalletCommand>) -> Wallet {
    commands.into_iter().fold(Wallet::default(), |wallet, command| {
        let events = wallet.decide(command).unwrap();
        wallet.evolve_all(events)
    })
}

fn check(history: &[WalletCommand], command: WalletCommand) -> When<Wallet> {
    decide_both_ways(after(history.to_vec()), command)
}

/// The state after a command that is accepted, and then repeated without effect.
fn twice(history: &[WalletCommand], command: WalletCommand) -> Wallet {
    let events = check(history, command.clone()).events();
    assert!(!events.is_empty(), "it must do something the first time");
    let history = [history, std::slice::from_ref(&command)].concat();
    check(&history, command).then([]);
    after(history)
}

/// Available of paid money and of credit.
fn available(wallet: &Wallet) -> (i64, i64) {
    (wallet.paid_available_nanos(), wallet.promotional.available_nanos())
}

#[test]
fn credit_opens_a_wallet_and_is_given_once() {
    let wallet = twice(&[], grant(CREDIT, 5 * UNIT, 100));
    assert_eq!(available(&wallet), (0, 5 * UNIT));
    assert_eq!(wallet.available_nanos(), 5 * UNIT);
    assert_eq!(wallet.owner, Some((ORGANISATION, Currency::USD)));
}

#[test]
fn credit_that_is_nothing_over_foreign_or_too_much_is_refused() {
    check(&[], grant(CREDIT, 0, 100)).then_refused("amount_not_positive");
    check(&[], grant(CREDIT, -1, 100)).then_refused("amount_not_positive");
    check(&[], grant(CREDIT, 1, 0)).then_refused("credit_expiry_invalid");
    let known = [grant(CREDIT, UNIT, 100)];
    check(&known, grant(CREDIT, 2 * UNIT, 100)).then_refused("id_reused");
    check(&known, grant(CREDIT, UNIT, 101)).then_refused("id_reused");
    let foreign =
        GrantCredit { organisation_id: OrganisationId::from_bits(9), ..grant_of(CREDIT, 1, 9) };
    check(&known, WalletCommand::GrantCredit(foreign)).then_refused("id_reused");
    check(&[top_up(i64::MAX)], grant(CREDIT, 1, 100)).then_refused("amount_too_large");
    let full = [grant(CREDIT, i64::MAX - UNIT, 100), top_up(UNIT)];
    check(&full, grant(OTHER_CREDIT, 1, 100)).then_refused("amount_too_large");
}

#[test]
fn a_hold_sets_credit_aside_first_and_says_how_much() {
    let history = [top_up(5 * UNIT), grant(CREDIT, 2 * UNIT, 100)];
    let events = check(&history, place(3 * UNIT, 1)).events();
    let [WalletEvent::HoldPlaced { amount_nanos, promotional_nanos, .. }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((amount_nanos, promotional_nanos), (3 * UNIT, 2 * UNIT));
    let wallet = twice(&history, place(3 * UNIT, 1));
    assert_eq!(available(&wallet), (4 * UNIT, 0));
    let entry = wallet.book_entry(&events[0]).unwrap();
    let rows: Vec<_> =
        entry.hold_changes().map(|row| (row.account.clone(), row.reserved_nanos)).collect();
    let paid = chart::wallet_paid(ORGANISATION, Currency::USD);
    let promo = chart::wallet_promo(ORGANISATION, Currency::USD);
    assert_eq!(rows, [(paid, UNIT), (promo, 2 * UNIT)], "each share on its own account");
}

#[test]
fn usage_consumes_credit_first_the_earliest_to_expire_before_the_others() {
    let history = [
        top_up(5 * UNIT),
        grant(CREDIT, 2 * UNIT, 200),
        grant(OTHER_CREDIT, UNIT, 100),
        place(4 * UNIT, 1),
    ];
    let events = check(&history, capture(4 * UNIT, 0, 10)).events();
    let [WalletEvent::UsageCaptured { credits, lots, journal, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(
        credits[..],
        [
            CreditUse { credit_id: OTHER_CREDIT, amount_nanos: UNIT },
            CreditUse { credit_id: CREDIT, amount_nanos: 2 * UNIT },
        ]
    );
    assert_eq!(lots[..], [LotUse { payment_id: PAYMENT, amount_nanos: UNIT }]);
    let leg = |account, amount_nanos| Posting { account, amount_nanos };
    assert_eq!(
        journal.postings,
        [
            leg(chart::wallet_promo(ORGANISATION, Currency::USD), 3 * UNIT),
            leg(chart::wallet_paid(ORGANISATION, Currency::USD), UNIT),
            leg(chart::usage("compute", Currency::USD), -4 * UNIT),
        ]
    );
    let wallet = twice(&history, capture(4 * UNIT, 0, 10));
    assert_eq!(available(&wallet), (4 * UNIT, 0));
}

#[test]
fn credit_that_comes_later_pays_before_the_paid_money_that_a_hold_keeps() {
    let history = [
        top_up(10 * UNIT),
        place(6 * UNIT, 1),
        grant(CREDIT, 3 * UNIT, 1_000),
        capture(UNIT, 6 * UNIT, 60),
        capture(2 * UNIT, 6 * UNIT, 120),
        capture(3 * UNIT, 6 * UNIT, 180),
    ];
    let wallet = after(history);
    assert_eq!(wallet.posted_nanos, 9 * UNIT, "paid money paid for the first tick only");
    assert_eq!(wallet.promotional.posted_nanos(), UNIT);
}

#[test]
fn usage_beyond_the_hold_takes_credit_before_paid_money() {
    let history = [top_up(2 * UNIT), place(UNIT, 1), grant(CREDIT, UNIT, 1_000)];
    let wallet = twice(&history, capture(5 * UNIT, 0, 60));
    assert_eq!((wallet.posted_nanos, wallet.promotional.posted_nanos()), (0, 0));
    let hold = &wallet.holds[&HOLD.to_string()];
    assert_eq!((hold.captured_nanos, hold.overrun_nanos), (3 * UNIT, 2 * UNIT));
    assert_eq!(hold.promotional.captured_nanos, UNIT);
}

#[test]
fn credit_is_never_refunded() {
    let refund = |amount_nanos| {
        WalletCommand::ReserveRefund(ReserveRefund {
            refund_id: RefundId::from_bits(6),
            payment_id: PAYMENT,
            amount_nanos,
            reason: "asked".to_owned(),
            at: at(2),
        })
    };
    let credit_alone = [grant(CREDIT, 5 * UNIT, 100)];
    check(&credit_alone, refund(UNIT)).then_refused("unknown_payment");
    // The hold keeps paid money; that there is credit does not free it.
    let kept = [top_up(2 * UNIT), place(2 * UNIT, 1), grant(CREDIT, 5 * UNIT, 100)];
    check(&kept, refund(UNIT)).then_refused("insufficient_funds");
    assert_eq!(after(kept).paid_available_at(at(3)), 0);
    let free = [top_up(2 * UNIT), grant(CREDIT, 5 * UNIT, 100), place(5 * UNIT, 1)];
    let wallet = twice(&free, refund(2 * UNIT));
    assert_eq!((wallet.posted_nanos, wallet.promotional.posted_nanos()), (0, 5 * UNIT));
}

#[test]
fn credit_expires_when_its_time_is_over_and_not_before() {
    let history = [top_up(UNIT), grant(CREDIT, 5 * UNIT, 100)];
    check(&history, sweep(99)).then([]);
    let wallet = after(history.clone());
    assert_eq!(wallet.available_at(at(99)), 6 * UNIT);
    assert_eq!(wallet.available_at(at(100)), UNIT, "swept or not");
    let events = check(&history, sweep(100)).events();
    let [WalletEvent::CreditExpired { amount_nanos, journal, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*amount_nanos, 5 * UNIT);
    let promo = chart::promo(Currency::USD);
    assert_eq!(journal.postings[1].account, promo, "back to the expense that it came from");
    assert_eq!(available(&twice(&history, sweep(100))), (UNIT, 0));
}

#[test]
fn expired_credit_pays_for_nothing_new() {
    let history = [grant(CREDIT, 5 * UNIT, 100)];
    check(&history, place(UNIT, 100)).then_refused("insufficient_funds");
    let wallet = twice(&[top_up(UNIT), history[0].clone()], place(UNIT, 100));
    assert_eq!((available(&wallet), wallet.held_nanos), ((0, 0), UNIT));
    check(&[top_up(UNIT), history[0].clone()], place(2 * UNIT, 100))
        .then_refused("insufficient_funds");
}

#[test]
fn what_a_hold_keeps_of_expired_credit_pays_for_its_rental_and_expires_when_it_is_given_back() {
    let history = [grant(CREDIT, 5 * UNIT, 100), place(3 * UNIT, 1), sweep(100)];
    let wallet = after(history.clone());
    assert_eq!(wallet.promotional.posted_nanos(), 3 * UNIT, "only what is free expired");
    let used = [&history[..], &[capture(UNIT, 0, 150)]].concat();
    let wallet = after(used.clone());
    assert_eq!(wallet.holds[&HOLD.to_string()].promotional.remaining_nanos(), 2 * UNIT);
    let events = check(&used, release(160)).events();
    let [
        WalletEvent::HoldReleased { .. },
        WalletEvent::CreditExpired { amount_nanos, journal, .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(*amount_nanos, 2 * UNIT);
    assert_eq!(journal.source_id, format!("{CREDIT}:{}", 4 * UNIT), "each part has its own name");
    assert_eq!(available(&twice(&used, release(160))), (0, 0));
}

#[test]
fn a_hold_that_expires_unused_takes_its_expired_credit_along() {
    let history = [grant(CREDIT, 5 * UNIT, 100), place(5 * UNIT, 1)];
    let events = check(&history, sweep(1_001)).events();
    assert!(matches!(
        events[..],
        [WalletEvent::HoldExpired { .. }, WalletEvent::CreditExpired { .. }]
    ));
    assert_eq!(after(history.clone()).available_at(at(1_001)), 0);
    assert_eq!(available(&twice(&history, sweep(1_001))), (0, 0));
}

#[test]
fn holds_keep_what_expires_first() {
    let history = [
        grant(CREDIT, 2 * UNIT, 200),
        place(UNIT, 1),
        grant(OTHER_CREDIT, 2 * UNIT, 100),
        sweep(100),
    ];
    let wallet = after(history);
    let left: Vec<_> =
        wallet.promotional.credits.iter().map(|one| (one.credit_id, one.remaining_nanos)).collect();
    assert_eq!(left, [(OTHER_CREDIT, UNIT), (CREDIT, 2 * UNIT)]);
}

#[test]
fn facts_from_before_there_was_credit_are_read_as_all_paid() {
    let text = |value: &serde_json::Value| value.to_string();
    let hold = HOLD.to_string();
    let placed = json!({ "type": "wallet.hold_placed", "hold_id": hold, "purpose": "p",
        "amount_nanos": 5, "expires_at": at(9) });
    let read = WalletEvent::from_text("wallet.hold_placed", 1, &text(&placed)).unwrap();
    assert!(matches!(read, WalletEvent::HoldPlaced { amount_nanos: 5, promotional_nanos: 0, .. }));
    for name in ["wallet.hold_released", "wallet.hold_expired"] {
        let ended = json!({ "type": name, "hold_id": hold, "amount_nanos": 5 });
        let read = WalletEvent::from_text(name, 1, &text(&ended)).unwrap();
        let (WalletEvent::HoldReleased { promotional_nanos, .. }
        | WalletEvent::HoldExpired { promotional_nanos, .. }) = read
        else {
            panic!("{read:?}");
        };
        assert_eq!(promotional_nanos, 0);
        assert!(WalletEvent::from_text(name, 2, &text(&ended)).is_err(), "now it must be said");
    }
    let state = json!({ "owner": null, "posted_nanos": 7, "held_nanos": 0, "lots": [],
        "holds": {}, "refunds": {} });
    let remembered: Wallet = serde_json::from_value(state).unwrap();
    assert_eq!((remembered.available_nanos(), remembered.promotional.posted_nanos()), (7, 0));
}

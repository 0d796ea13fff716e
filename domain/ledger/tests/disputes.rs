//! What a dispute does to a wallet, in whatever order the wallet is told.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    CreditId, Currency, Decider, DisputeId, HoldId, OrganisationId, PaymentId, RefundId, Timestamp,
    chart,
};
use cairn_ledger::{
    DisputeLoss, GrantCredit, LotUse, OPEN_END, PlaceHold, ReserveRefund, TopUp, Wallet,
    WalletCommand, WalletEvent, hold_of_dispute,
};

const UNIT: i64 = 1_000_000_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const OLDER: PaymentId = PaymentId::from_bits(4);
const PAYMENT: PaymentId = PaymentId::from_bits(5);
const DISPUTE: DisputeId = DisputeId::from_bits(6);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn top_up(payment_id: PaymentId, units: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id,
        amount_nanos: units * UNIT,
        charge_id: format!("ch_{payment_id}"),
        at: at(0),
    })
}

fn place(units: i64) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: HoldId::from_bits(2),
        purpose: "alloc_1".to_owned(),
        project_id: None,
        amount_nanos: units * UNIT,
        expires_at: at(1_000),
        at: at(1),
    })
}

fn hold(units: i64) -> WalletCommand {
    let (dispute_id, payment_id, amount_nanos) = (DISPUTE, PAYMENT, units * UNIT);
    WalletCommand::HoldDisputed { dispute_id, payment_id, amount_nanos, at: at(2) }
}

fn lose(units: i64) -> WalletCommand {
    let (dispute_id, payment_id, amount_nanos) = (DISPUTE, PAYMENT, units * UNIT);
    WalletCommand::LoseDisputed(DisputeLoss { dispute_id, payment_id, amount_nanos, at: at(3) })
}

const WON: WalletCommand = WalletCommand::ReleaseDisputed { dispute_id: DISPUTE };

fn refund() -> WalletCommand {
    WalletCommand::ReserveRefund(ReserveRefund {
        refund_id: RefundId::from_bits(7),
        payment_id: PAYMENT,
        amount_nanos: UNIT,
        reason: "asked".to_owned(),
        at: at(4),
    })
}

fn after(commands: &[WalletCommand]) -> Wallet {
    commands.iter().cloned().fold(Wallet::default(), |wallet, command| {
        let events = wallet.decide(command).unwrap();
        wallet.evolve_all(events)
    })
}

fn check(history: &[WalletCommand], command: WalletCommand) -> When<Wallet> {
    decide_both_ways(after(history), command)
}

fn twice(history: &[WalletCommand], command: WalletCommand) -> Wallet {
    assert!(!check(history, command.clone()).events().is_empty(), "it must do something");
    let history = [history, std::slice::from_ref(&command)].concat();
    check(&history, command).then([]);
    after(&history)
}

#[test]
fn what_is_left_of_a_disputed_payment_and_free_is_set_aside() {
    let history = [top_up(OLDER, 3), top_up(PAYMENT, 10)];
    let wallet = twice(&history, hold(10));
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (10 * UNIT, 3 * UNIT));
    let kept = &wallet.holds[&hold_of_dispute(DISPUTE).to_string()];
    assert_eq!(kept.purpose, DISPUTE.to_string());
    // A rental keeps what it has; the rest is set aside.
    let busy = [top_up(PAYMENT, 10), place(7)];
    assert_eq!(twice(&busy, hold(10)).held_nanos, 10 * UNIT);
    let gone = [top_up(PAYMENT, 10), place(10)];
    assert_eq!(twice(&gone, hold(10)).held_nanos, 10 * UNIT, "nothing was free");
}

#[test]
fn the_end_of_a_hold_that_has_none_can_be_written_and_read() {
    assert_eq!(OPEN_END.to_string(), "9999-01-01T00:00:00.000000Z");
    assert_eq!(OPEN_END.to_string().parse(), Ok(OPEN_END));
}

#[test]
fn a_disputed_payment_is_not_refunded_until_it_is_won() {
    let disputed = [top_up(PAYMENT, 10), hold(5)];
    check(&disputed, refund()).then_refused("payment_disputed");
    let won = [&disputed[..], &[WON]].concat();
    assert_eq!(twice(&won, refund()).posted_nanos, 9 * UNIT);
}

#[test]
fn a_won_dispute_gives_everything_back() {
    let wallet = twice(&[top_up(PAYMENT, 10), hold(10)], WON);
    assert_eq!((wallet.held_nanos, wallet.available_nanos()), (0, 10 * UNIT));
}

#[test]
fn a_lost_dispute_takes_its_own_payment_first_then_the_oldest_and_the_rest_is_owed() {
    let history = [top_up(OLDER, 3), top_up(PAYMENT, 10), hold(10)];
    let events = check(&history, lose(12)).events();
    let [WalletEvent::DisputeLost { amount_nanos, owed_nanos, lots, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((*amount_nanos, *owed_nanos), (12 * UNIT, 0));
    let used = |payment_id, units: i64| LotUse { payment_id, amount_nanos: units * UNIT };
    assert_eq!(lots[..], [used(PAYMENT, 10), used(OLDER, 2)]);
    let wallet = twice(&history, lose(20));
    assert_eq!((wallet.posted_nanos, wallet.held_nanos), (0, 0));
    let events = check(&history, lose(20)).events();
    let [WalletEvent::DisputeLost { owed_nanos, journal, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*owed_nanos, 7 * UNIT);
    let owed = chart::receivable_customer(ORGANISATION, Currency::USD);
    assert!(journal.is_balanced() && journal.postings.iter().any(|leg| leg.account == owed));
}

#[test]
fn a_lost_dispute_takes_no_credit_and_nothing_that_a_rental_has() {
    let grant = WalletCommand::GrantCredit(GrantCredit {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        credit_id: CreditId::from_bits(8),
        amount_nanos: 5 * UNIT,
        expires_at: at(9_000),
        reason: "welcome".to_owned(),
        at: at(0),
    });
    let wallet = twice(&[top_up(PAYMENT, 10), place(4), grant], lose(10));
    assert_eq!((wallet.posted_nanos, wallet.held_nanos), (4 * UNIT, 4 * UNIT));
    assert_eq!(wallet.promotional.available_nanos(), 5 * UNIT);
}

#[test]
fn once_it_has_ended_nothing_is_set_aside_or_taken_any_more() {
    for ended in [WON, lose(10)] {
        let history = [top_up(OLDER, 3), top_up(PAYMENT, 10), ended];
        for late in [hold(10), lose(10), WON] {
            check(&history, late).then([]);
        }
    }
}

#[test]
fn whose_a_lost_dispute_was_is_known_whatever_was_heard_of_first() {
    for history in [vec![top_up(PAYMENT, 10)], vec![top_up(PAYMENT, 10), hold(10)]] {
        let wallet = twice(&history, lose(10));
        assert_eq!(wallet.disputes[&DISPUTE.to_string()].payment_id, Some(PAYMENT));
    }
}

#[test]
fn only_a_payment_of_the_wallet_is_disputed_and_only_by_an_amount() {
    check(&[top_up(OLDER, 3)], hold(1)).then_refused("unknown_payment");
    // Another payment would pay for it, and its own would stay.
    check(&[top_up(OLDER, 3)], lose(1)).then_refused("unknown_payment");
    check(&[top_up(PAYMENT, 3)], hold(0)).then_refused("amount_not_positive");
    check(&[top_up(PAYMENT, 3)], lose(0)).then_refused("amount_not_positive");
}

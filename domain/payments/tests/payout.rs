//! Payouts: each line of a book counts once, and what is in transit is what has left and is nowhere.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use std::collections::BTreeMap;

use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, PayoutId, Timestamp};
use cairn_payments::{BankLine, PayOut, Payout, PayoutCommand};

const UNIT: i64 = 1_000_000_000;
const TRANSIT: &str = "clearing:payout_in_transit:USD";
const STRIPE: &str = "stripe:pending:USD";

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn pay_out(line: &str, units: i64) -> PayoutCommand {
    PayoutCommand::PayOut(PayOut {
        payout_id: PayoutId::from_bits(1),
        provider_id: "po_1".to_owned(),
        transaction_id: line.to_owned(),
        currency: Currency::USD,
        amount_nanos: units * UNIT,
        at: at(0),
    })
}

fn fee(units: i64) -> PayoutCommand {
    let transaction_id = "txn_1".to_owned();
    PayoutCommand::RecordFee { transaction_id, fee_nanos: units * UNIT, at: at(0) }
}

fn come_back(line: &str, units: i64) -> PayoutCommand {
    let transaction_id = line.to_owned();
    PayoutCommand::Return { transaction_id, amount_nanos: units * UNIT, at: at(5) }
}

fn bank_line(id: &str, account: &str, units: i64) -> BankLine {
    let (bank_line_id, account) = (id.to_owned(), account.to_owned());
    BankLine { bank_line_id, account, amount_nanos: units * UNIT, at: at(9) }
}

fn arrive(id: &str, units: i64) -> PayoutCommand {
    PayoutCommand::Arrive(bank_line(id, "main", units))
}

fn take_back(id: &str, account: &str) -> PayoutCommand {
    PayoutCommand::TakeBack(bank_line(id, account, 20))
}

fn after(history: &[PayoutCommand]) -> Payout {
    history.iter().cloned().fold(Payout::default(), |payout, command| {
        let events = payout.decide(command).unwrap();
        payout.evolve_all(events)
    })
}

fn check(history: &[PayoutCommand], command: PayoutCommand) -> When<Payout> {
    decide_both_ways(after(history), command)
}

/// The accounts after these, in units; every command is sent twice.
fn books(commands: &[PayoutCommand]) -> BTreeMap<String, i64> {
    let (mut payout, mut books) = (Payout::default(), BTreeMap::new());
    for command in commands.iter().flat_map(|command| [command.clone(), command.clone()]) {
        for event in payout.decide(command).unwrap() {
            payout = payout.evolve(event.clone());
            let journal = payout.book_entry(&event).and_then(|entry| entry.journal).unwrap();
            assert!(journal.is_balanced());
            for leg in journal.postings {
                *books.entry(leg.account).or_default() += leg.amount_nanos / UNIT;
            }
        }
    }
    books.retain(|_, units| *units != 0);
    books
}

fn accounts<const N: usize>(of: [(&str, i64); N]) -> BTreeMap<String, i64> {
    of.into_iter().map(|(code, units)| (code.to_owned(), units)).collect()
}

#[test]
fn what_was_paid_out_is_in_transit_until_the_bank_has_it() {
    let on_its_way = [pay_out("txn_1", 20), fee(1)];
    let fees = ("stripe_fees:USD", 1);
    assert_eq!(books(&on_its_way), accounts([(TRANSIT, 20), (STRIPE, -21), fees]));
    assert!(after(&on_its_way).is_in_transit());
    let there = [pay_out("txn_1", 20), fee(1), arrive("main:USD:a", 20)];
    assert_eq!(books(&there), accounts([("bank:main:USD", 20), (STRIPE, -21), fees]));
    assert!(!after(&there).is_in_transit());
}

#[test]
fn what_comes_back_is_at_the_provider_again_whether_the_bank_had_it_or_not() {
    let failed = [pay_out("txn_1", 20), come_back("txn_2", 20)];
    assert_eq!(books(&failed), accounts([]));
    assert!(!after(&failed).is_in_transit());
    let bounced = [
        pay_out("txn_1", 20),
        arrive("main:USD:a", 20),
        come_back("txn_2", 20),
        take_back("main:USD:b", "main"),
    ];
    assert_eq!(books(&bounced), accounts([]));
    let [paid, there, back, off] = bounced.clone();
    assert_eq!(books(&[paid, back, there, off]), accounts([]), "whoever is heard of first");
    assert_eq!(books(&bounced[..3]), accounts([("bank:main:USD", 20), (TRANSIT, -20)]));
}

#[test]
fn what_does_not_fit_is_refused() {
    check(&[], arrive("a", 20)).then_refused("unknown_payout");
    check(&[], come_back("txn_2", 20)).then_refused("unknown_payout");
    check(&[], pay_out("txn_1", 0)).then_refused("amount_not_positive");
    let paid = [pay_out("txn_1", 20)];
    check(&paid, pay_out("txn_9", 20)).then_refused("id_reused");
    check(&paid, pay_out("txn_1", 21)).then_refused("id_reused");
    check(&paid, arrive("a", 19)).then_refused("provider_amount_mismatch");
    check(&paid, come_back("txn_2", 19)).then_refused("provider_amount_mismatch");
    check(&paid, fee(0)).then_refused("amount_not_positive");
    check(&paid, take_back("a", "main")).then_refused("payout_in_wrong_state");
    for name in ["", "Main", "a:b", "a b", &"a".repeat(33)] {
        let line = PayoutCommand::Arrive(bank_line("a", name, 20));
        check(&paid, line).then_refused("bank_account_invalid");
    }
    let there = [pay_out("txn_1", 20), arrive("a", 20)];
    check(&there, arrive("b", 20)).then_refused("payout_in_wrong_state");
    check(&there, take_back("b", "main")).then_refused("payout_in_wrong_state");
    let back = [pay_out("txn_1", 20), come_back("txn_2", 20)];
    check(&back, come_back("txn_3", 20)).then_refused("payout_in_wrong_state");
    let bounced = [pay_out("txn_1", 20), arrive("a", 20), come_back("txn_2", 20)];
    check(&bounced, take_back("b", "savings")).then_refused("payout_in_wrong_state");
}

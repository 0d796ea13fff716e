//! Disputes: each report counts once, and their order changes nothing.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use std::collections::BTreeMap;

use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, DisputeId, OrganisationId, PaymentId, Timestamp};
use cairn_payments::{Dispute, DisputeCommand, DisputeOutcome, OpenDispute};

const UNIT: i64 = 1_000_000_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn open(provider_id: &str) -> DisputeCommand {
    DisputeCommand::Open(OpenDispute {
        dispute_id: DisputeId::from_bits(1),
        provider_id: provider_id.to_owned(),
        payment_id: PaymentId::from_bits(2),
        organisation_id: OrganisationId::from_bits(3),
        currency: Currency::USD,
        amount_nanos: 20 * UNIT,
        charge_id: "ch_1".to_owned(),
        reason: "fraudulent".to_owned(),
        at: at(0),
    })
}

fn withdraw(units: i64) -> DisputeCommand {
    DisputeCommand::Withdraw { amount_nanos: units * UNIT, at: at(1) }
}

fn reinstate(units: i64) -> DisputeCommand {
    DisputeCommand::Reinstate { amount_nanos: units * UNIT, at: at(2) }
}

fn fee(line: &str, units: i64) -> DisputeCommand {
    let (balance_transaction_id, fee_nanos) = (line.to_owned(), units * UNIT);
    DisputeCommand::RecordFee { balance_transaction_id, fee_nanos, at: at(1) }
}

const fn close(outcome: DisputeOutcome) -> DisputeCommand {
    DisputeCommand::Close { outcome, at: Timestamp::from_secs(1_000_003) }
}

fn check(history: &[DisputeCommand], command: DisputeCommand) -> When<Dispute> {
    let dispute = history.iter().cloned().fold(Dispute::default(), |dispute, command| {
        let events = dispute.decide(command).unwrap();
        dispute.evolve_all(events)
    });
    decide_both_ways(dispute, command)
}

/// The accounts after these, in units; every command is sent twice.
fn books(commands: &[DisputeCommand]) -> BTreeMap<String, i64> {
    let (mut dispute, mut books) = (Dispute::default(), BTreeMap::new());
    for command in commands.iter().flat_map(|command| [command.clone(), command.clone()]) {
        for event in dispute.decide(command).unwrap() {
            dispute = dispute.evolve(event.clone());
            let journal = dispute.book_entry(&event).and_then(|entry| entry.journal);
            assert!(journal.iter().all(cairn_core::JournalTransaction::is_balanced));
            for leg in journal.into_iter().flat_map(|journal| journal.postings) {
                *books.entry(leg.account).or_insert(0) += leg.amount_nanos / UNIT;
            }
        }
    }
    books.retain(|_, units| *units != 0);
    books
}

fn permutations(of: &[DisputeCommand]) -> Vec<Vec<DisputeCommand>> {
    if of.is_empty() {
        return vec![vec![]];
    }
    let mut all = vec![];
    for first in 0..of.len() {
        let mut rest = of.to_vec();
        let taken = rest.remove(first);
        for mut tail in permutations(&rest) {
            tail.insert(0, taken.clone());
            all.push(tail);
        }
    }
    all
}

#[test]
fn any_order_and_number_of_reports_gives_the_same_books() {
    let won = [
        withdraw(20),
        fee("txn_1", 15),
        reinstate(20),
        fee("txn_2", -15),
        close(DisputeOutcome::Won),
    ];
    let lost = [withdraw(20), fee("txn_1", 15), close(DisputeOutcome::Lost)];
    let told = |account: &str, units| (format!("{account}:USD"), units);
    let owed = BTreeMap::from([
        told("receivable:dispute", 20),
        told("dispute_fees", 15),
        told("stripe:pending", -35),
    ]);
    for (reports, expected) in [(&won[..], BTreeMap::new()), (&lost[..], owed)] {
        let orders = permutations(reports);
        assert!(orders.len() >= 6);
        for order in orders {
            assert_eq!(books(&[&[open("du_1")], &order[..]].concat()), expected, "{order:?}");
        }
    }
}

#[test]
fn a_dispute_is_opened_once_and_about_one_payment() {
    check(&[open("du_1")], open("du_1")).then([]);
    check(&[open("du_1")], open("du_2")).then_refused("id_reused");
}

#[test]
fn nothing_is_said_of_a_dispute_that_was_never_opened() {
    for command in [withdraw(1), reinstate(1), fee("txn_1", 1), close(DisputeOutcome::Won)] {
        check(&[], command).then_refused("unknown_dispute");
    }
}

#[test]
fn its_money_moves_once_in_each_direction_and_by_an_amount() {
    let history = [open("du_1"), withdraw(20), reinstate(20)];
    check(&history, withdraw(19)).then_refused("provider_amount_mismatch");
    check(&history, reinstate(21)).then_refused("provider_amount_mismatch");
    check(&history[..1], withdraw(0)).then_refused("amount_not_positive");
    check(&history, fee("txn_3", 0)).then([]);
}

#[test]
fn it_is_decided_once() {
    let lost = [open("du_1"), close(DisputeOutcome::Lost)];
    check(&lost, close(DisputeOutcome::Lost)).then([]);
    check(&lost, close(DisputeOutcome::Won)).then_refused("dispute_in_wrong_state");
}

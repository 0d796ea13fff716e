//! The rules of the case of a break.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways, given};
use cairn_core::{Currency, Decider, Timestamp, chart};
use cairn_finance::{
    Account, BreakCase, BreakCommand, BreakEvent, BreakType, CORRECTION_ACCOUNTS, Disagreement,
    Means, Resolution, Status, Transfer, break_id,
};
use proptest::prelude::*;

const UNIT: i64 = 1_000_000_000;

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn item(difference_nanos: i64) -> Disagreement {
    Disagreement {
        break_type: BreakType::MissingInternal,
        transaction_id: Some("txn_1".to_owned()),
        source_id: Some("po_1".to_owned()),
        reference: None,
        currency: "USD".to_owned(),
        provider_nanos: Some(difference_nanos),
        books_nanos: None,
        difference_nanos,
        occurred_at: at(1),
        message: "our books have no place for 'payout'".to_owned(),
    }
}

fn found(difference_nanos: i64) -> BreakEvent {
    BreakEvent::Found { item: item(difference_nanos), at: at(10) }
}

fn find(difference_nanos: i64, secs: i64) -> BreakCommand {
    BreakCommand::Find { item: item(difference_nanos), at: at(secs) }
}

fn transfer(debit: &str, credit: &str, amount_nanos: i64) -> Transfer {
    let account = |code: &str| Account::try_new(code).unwrap();
    Transfer { debit: account(debit), credit: account(credit), amount_nanos }
}

fn payout(amount_nanos: i64) -> Means {
    Means::Post(transfer("bank:main:USD", "stripe:pending:USD", amount_nanos))
}

fn resolve(by: Means, actor: &str, limit_nanos: i64) -> BreakCommand {
    let (cause, actor) = ("a payout".to_owned(), actor.to_owned());
    BreakCommand::Resolve { by, cause, actor, limit_nanos, at: at(20) }
}

fn approve(actor: &str) -> BreakCommand {
    let (actor, reason) = (actor.to_owned(), "the bank has it".to_owned());
    BreakCommand::Approve { actor, reason, at: at(30) }
}

fn after(history: &[BreakCommand]) -> BreakCase {
    history.iter().cloned().fold(BreakCase::default(), |state, command| {
        let events = state.decide(command).unwrap();
        state.evolve_all(events)
    })
}

fn ask(history: &[BreakCommand], command: BreakCommand) -> When<BreakCase> {
    decide_both_ways(after(history), command)
}

#[test]
fn finding_the_same_twice_is_one_case() {
    given::<BreakCase>([]).when(find(-UNIT, 10)).then([found(-UNIT)]);
    given::<BreakCase>([found(-UNIT)]).when(find(-UNIT, 11)).then([]);
    assert_eq!(item(1).id(), item(2).id(), "the amount does not make another case");
    let other = break_id(BreakType::Duplicate, Some("txn_1"), None);
    assert!(other != item(1).id() && break_id(BreakType::Duplicate, None, Some("txn_1")) != other);
}

#[test]
fn another_amount_restates_the_case_and_voids_what_was_proposed() {
    let proposed = [find(-UNIT, 10), resolve(payout(UNIT), "ada", 0)];
    assert_eq!(after(&proposed).status, Status::Proposed);
    let restated = BreakEvent::Restated { item: item(-2 * UNIT), at: at(40) };
    ask(&proposed, find(-2 * UNIT, 40)).then([restated]);
    let restated = [&proposed[..], &[find(-2 * UNIT, 40)]].concat();
    ask(&restated, approve("grace")).then_refused("break_nothing_proposed");
}

#[test]
fn what_is_not_found_any_more_clears_and_comes_back_as_the_same_case() {
    let clear = BreakCommand::Clear { at: at(11) };
    ask(&[find(-UNIT, 10)], clear.clone()).then([BreakEvent::Cleared { at: at(11) }]);
    let cleared = [find(-UNIT, 10), clear.clone()];
    ask(&cleared, clear).then([]);
    let again = BreakEvent::Reopened { item: item(-UNIT), at: at(12) };
    ask(&cleared, find(-UNIT, 12)).then([again]);
    ask(&[], BreakCommand::Clear { at: at(1) }).then_refused("unknown_break");
}

#[test]
fn a_run_that_looked_before_the_case_turned_changes_nothing() {
    let resolved = [find(-UNIT, 10), resolve(payout(UNIT), "ada", UNIT)];
    ask(&resolved, find(-UNIT, 19)).then([]);
    ask(&resolved, find(-UNIT, 20)).then([]);
    ask(&resolved, find(-UNIT, 21)).then([BreakEvent::Reopened { item: item(-UNIT), at: at(21) }]);
    ask(&[find(-UNIT, 10)], BreakCommand::Clear { at: at(10) }).then([]);
}

#[test]
fn a_correction_is_the_book_entry_of_the_resolution() {
    let events = ask(&[find(-UNIT, 10)], resolve(payout(UNIT), "ada", UNIT)).events();
    let state = after(&[find(-UNIT, 10)]).evolve(events[0].clone());
    let journal = state.book_entry(&events[0]).unwrap().journal.unwrap();
    assert_eq!((journal.kind.as_str(), journal.source.as_str()), ("break_correction", "break"));
    assert_eq!(journal.source_id, format!("{}:1", item(0).id()));
    assert!(journal.is_balanced() && journal.occurred_at == at(20));
    assert_eq!((state.status, state.postings), (Status::Posted, 1));
    // Should it be found once more, the next correction has a number of its own.
    let again = state.evolve(BreakEvent::Reopened { item: item(-1), at: at(30) });
    let events = again.decide(resolve(payout(1), "ada", UNIT)).unwrap();
    let journal = again.book_entry(&events[0]).unwrap().journal.unwrap();
    assert_eq!(journal.source_id, format!("{}:2", item(0).id()));
}

#[test]
fn above_the_limit_another_person_approves() {
    let by_ada = [find(-UNIT, 10), resolve(payout(UNIT), "ada", UNIT - 1)];
    assert!(after(&by_ada).proposal.is_some());
    ask(&by_ada, approve("ada")).then_refused("break_approver_is_proposer");
    let events = ask(&by_ada, approve("grace")).events();
    let BreakEvent::Resolved { resolved_by, approved_by, journal, .. } = &events[0] else {
        panic!()
    };
    assert_eq!((resolved_by.as_str(), approved_by.as_deref()), ("ada", Some("grace")));
    assert_eq!(journal.as_ref().unwrap().occurred_at, at(30), "posted when it is approved");
    let proposal = after(&[find(-UNIT, 10)]).decide(by_ada[1].clone()).unwrap();
    assert!(after(&[find(-UNIT, 10)]).book_entry(&proposal[0]).is_none(), "a wish moves no money");
    ask(&[find(-UNIT, 10)], approve("grace")).then_refused("break_nothing_proposed");
    ask(&[], approve("grace")).then_refused("unknown_break");
    let approved = [&by_ada[..], &[approve("grace")]].concat();
    ask(&approved, approve("grace")).then_refused("break_nothing_proposed");
}

#[test]
fn a_small_correction_or_a_word_is_no_way_around_the_limit() {
    for by in [payout(1), Means::Explain, Means::WriteOff] {
        let state = after(&[find(-UNIT, 10), resolve(by.clone(), "ada", UNIT - 1)]);
        assert_eq!(state.status, Status::Proposed, "{by:?}");
    }
    // Nor is a large correction of a small difference.
    let state = after(&[find(-1, 10), resolve(payout(UNIT), "ada", UNIT - 1)]);
    assert_eq!(state.status, Status::Proposed);
}

#[test]
fn a_write_off_takes_the_whole_difference_in_its_direction() {
    let (stripe, loss) = (chart::stripe(Currency::USD), chart::write_offs(Currency::USD));
    for (difference, debit) in [(-UNIT, &loss), (UNIT, &stripe)] {
        let events = ask(&[find(difference, 10)], resolve(Means::WriteOff, "ada", UNIT)).events();
        let BreakEvent::Resolved { resolution, journal: Some(journal), .. } = &events[0] else {
            panic!()
        };
        assert_eq!(
            (*resolution, journal.kind.as_str()),
            (Resolution::WrittenOff, "break_write_off")
        );
        let debited = journal.postings.iter().find(|leg| leg.amount_nanos > 0).unwrap();
        assert_eq!((&debited.account, debited.amount_nanos), (debit, UNIT));
    }
    ask(&[find(0, 10)], resolve(Means::WriteOff, "ada", 0))
        .then_refused("break_nothing_to_write_off");
}

#[test]
fn what_was_explained_stays_so_until_it_says_something_else() {
    let explained = [find(-UNIT, 10), resolve(Means::Explain, "ada", UNIT)];
    ask(&explained, find(-UNIT, 50)).then([]);
    ask(&explained, find(-2 * UNIT, 50))
        .then([BreakEvent::Reopened { item: item(-2 * UNIT), at: at(50) }]);
    ask(&explained, resolve(Means::Explain, "ada", UNIT)).then_refused("break_not_open");
    ask(&explained, approve("grace")).then_refused("break_nothing_proposed");
}

#[test]
fn only_accounts_that_no_customer_owns_stand_against_the_providers() {
    let refused = |by: Transfer| {
        ask(&[find(-UNIT, 10)], resolve(Means::Post(by), "ada", UNIT))
            .then_refused("break_accounts_not_allowed");
    };
    let wallet = "wallet:paid:org_00000000000000000000000001:USD";
    refused(transfer(wallet, "stripe:pending:USD", 1));
    refused(transfer("bank:main:USD", "suspense:USD", 1));
    refused(transfer("bank:main:EUR", "stripe:pending:USD", 1));
    refused(transfer("stripe:pending:USD", "stripe:pending:USD", 1));
}

#[test]
fn every_account_of_the_list_may_be_debited_and_credited() {
    for group in CORRECTION_ACCOUNTS {
        let (code, stripe) = (format!("{group}:USD"), chart::stripe(Currency::USD));
        assert!(transfer(&code, &stripe, 1).is_allowed(), "{group}");
        assert!(transfer(&stripe, &code, 1).is_allowed(), "{group}");
        assert!(!transfer(&format!("{group}s:USD"), &stripe, 1).is_allowed(), "{group}");
        assert!(!transfer(&format!("{group}:a b:USD"), &stripe, 1).is_allowed(), "{group}");
    }
}

#[test]
fn a_correction_is_in_the_currency_of_the_break() {
    let euro = Means::Post(transfer("bank:main:EUR", "stripe:pending:EUR", 1));
    ask(&[find(-UNIT, 10)], resolve(euro.clone(), "ada", UNIT))
        .then_refused("break_currency_differs");
    let other = Disagreement { break_type: BreakType::Currency, ..item(-UNIT) };
    let find_other = BreakCommand::Find { item: other, at: at(10) };
    assert_eq!(ask(&[find_other], resolve(euro, "ada", UNIT)).events().len(), 1);
    let yen = Disagreement { currency: "JPY".to_owned(), ..item(-UNIT) };
    let find_yen = [BreakCommand::Find { item: yen, at: at(10) }];
    ask(&find_yen, resolve(Means::WriteOff, "ada", UNIT))
        .then_refused("break_currency_without_books");
    ask(&find_yen, resolve(payout(1), "ada", UNIT)).then_refused("break_currency_without_books");
    assert_eq!(ask(&find_yen, resolve(Means::Explain, "ada", UNIT)).events().len(), 1);
    ask(&[find(-UNIT, 10)], resolve(payout(0), "ada", UNIT)).then_refused("break_amount_invalid");
}

#[test]
fn a_break_of_the_bank_is_only_explained() {
    for break_type in [BreakType::BankMissing, BreakType::BankUnexpected, BreakType::BankAmount] {
        let of_bank = Disagreement { break_type, ..item(UNIT) };
        let find = [BreakCommand::Find { item: of_bank, at: at(10) }];
        ask(&find, resolve(Means::WriteOff, "ada", UNIT)).then_refused("break_of_bank");
        ask(&find, resolve(payout(1), "ada", UNIT)).then_refused("break_of_bank");
        assert_eq!(ask(&find, resolve(Means::Explain, "ada", UNIT)).events().len(), 1);
    }
}

#[test]
fn late_usage_is_only_explained_and_by_two_when_it_is_much() {
    let late = Disagreement { break_type: BreakType::UsageLate, ..item(UNIT) };
    let find = [BreakCommand::Find { item: late, at: at(10) }];
    ask(&find, resolve(Means::WriteOff, "ada", UNIT)).then_refused("break_of_usage");
    ask(&find, resolve(payout(1), "ada", UNIT)).then_refused("break_of_usage");
    for (limit_nanos, wanted) in [(UNIT, Status::Explained), (UNIT - 1, Status::Proposed)] {
        let waive = resolve(Means::Explain, "ada", limit_nanos);
        assert_eq!(after(&[find[0].clone(), waive]).status, wanted);
    }
}

#[test]
fn a_case_has_an_owner_and_a_day_by_which_it_is_due() {
    let assign = |owner: &str, due: i64, reason: &str| {
        let (owner, reason) = (owner.to_owned(), reason.to_owned());
        BreakCommand::Assign { owner, due_at: at(due), reason, at: at(15) }
    };
    let open = [find(-UNIT, 10)];
    assert_eq!(ask(&open, assign("grace", 90, "on call")).events().len(), 1);
    let assigned = [find(-UNIT, 10), assign("grace", 90, "on call")];
    ask(&assigned, assign("grace", 90, "again")).then([]);
    ask(&open, assign("", 90, "on call")).then_refused("break_owner_needed");
    ask(&open, assign("grace", 90, " ")).then_refused("reason_needed");
    ask(&open, assign("grace", 14, "on call")).then_refused("break_due_in_the_past");
    ask(&[], assign("grace", 90, "on call")).then_refused("unknown_break");
    let cleared = [find(-UNIT, 10), BreakCommand::Clear { at: at(12) }];
    ask(&cleared, assign("grace", 90, "on call")).then_refused("break_not_open");
}

#[test]
fn words_are_needed_and_not_endless() {
    let said = |cause: String| {
        let (by, actor) = (Means::Explain, "ada".to_owned());
        BreakCommand::Resolve { by, cause, actor, limit_nanos: UNIT, at: at(20) }
    };
    ask(&[find(-UNIT, 10)], said(" ".to_owned())).then_refused("break_cause_needed");
    ask(&[find(-UNIT, 10)], said("x".repeat(501))).then_refused("break_cause_needed");
}

proptest! {
    /// Whatever is found and settled in whatever order: money moves only with a resolution, what it moves is balanced, and above
    /// the limit two people have said so.
    #[test]
    fn no_order_of_things_lets_one_person_move_more_than_the_limit(
        steps in proptest::collection::vec((0_u8..6, -5_i64..5, 0_usize..2), 1..40),
    ) {
        let mut case = BreakCase::default();
        for (n, (step, amount, who)) in (0_i64..).zip(steps) {
            let (now, actor) = (at(100 + n), ["ada", "grace"][who].to_owned());
            let settle = |by| BreakCommand::Resolve {
                by, cause: "so".to_owned(), actor: actor.clone(), limit_nanos: 2, at: now,
            };
            let command = match step {
                0 => BreakCommand::Find { item: item(amount), at: now },
                1 => BreakCommand::Clear { at: now },
                2 => settle(payout(amount.abs() + 1)),
                3 => settle(Means::WriteOff),
                4 => settle(Means::Explain),
                _ => BreakCommand::Approve { actor: actor.clone(), reason: "so".to_owned(), at: now },
            };
            let Ok(events) = case.decide(command) else { continue };
            for event in events {
                let before = case.clone();
                case = case.evolve(event.clone());
                let moved = case.book_entry(&event).and_then(|entry| entry.journal);
                prop_assert!(moved.as_ref().is_none_or(cairn_core::JournalTransaction::is_balanced));
                let BreakEvent::Resolved { resolved_by, approved_by, .. } = &event else {
                    prop_assert!(moved.is_none());
                    continue;
                };
                let difference = before.item.unwrap().difference_nanos.abs();
                let amount = moved.map_or(0, |moved| moved.postings[0].amount_nanos.abs());
                if amount.max(difference) > 2 {
                    prop_assert!(approved_by.as_ref().is_some_and(|other| other != resolved_by));
                }
            }
        }
    }
}

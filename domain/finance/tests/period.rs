//! The rules of a period.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Decider, Month, Refusal as _, Timestamp};
use cairn_finance::period::{Block, Books, Check, Item};
use cairn_finance::{Period, PeriodCommand, PeriodEvent};

const AT: Timestamp = Timestamp::from_secs(1_800_000_000);

fn month() -> Month {
    "2026-10".parse().unwrap()
}

fn checks() -> Vec<Check> {
    let says = || "looked at".to_owned();
    Item::ALL.map(|item| Check { item, says: says(), against: vec![] }).to_vec()
}

fn books() -> Books {
    Books { position: 7, block: None, accounts: 2, balances_sha256: "ab".repeat(32) }
}

fn close(checks: Vec<Check>) -> PeriodCommand {
    PeriodCommand::Close { month: month(), checks, books: books(), actor: "ada".to_owned(), at: AT }
}

fn reopen(later: &[&str], reason: &str) -> PeriodCommand {
    let later = later.iter().map(|month| month.parse().unwrap()).collect();
    let (reason, actor) = (reason.to_owned(), "grace".to_owned());
    PeriodCommand::Reopen { month: month(), later, reason, actor, at: AT }
}

fn after(history: &[PeriodCommand]) -> Period {
    history.iter().cloned().fold(Period::default(), |state, command| {
        let events = state.decide(command).unwrap();
        state.evolve_all(events)
    })
}

fn ask(history: &[PeriodCommand], command: PeriodCommand) -> When<Period> {
    decide_both_ways(after(history), command)
}

#[test]
fn a_month_whose_checklist_holds_is_closed_under_its_seal() {
    let events = ask(&[], close(checks())).events();
    let [PeriodEvent::Closed { seal, closed_by, books: counted, .. }] = &events[..] else {
        panic!()
    };
    assert_eq!((seal, closed_by.as_str(), counted), (&books().seal(month()), "ada", &books()));
    let entry = after(&[close(checks())]).book_entry(&events[0]).unwrap();
    let change = entry.period.unwrap();
    assert!(entry.journal.is_none() && entry.hold.is_none());
    assert_eq!((change.month, change.closed, change.counted_position), (month(), true, 7));
    ask(&[close(checks())], close(vec![])).then([]);
}

#[test]
fn whatever_item_does_not_hold_refuses_the_close_and_names_itself() {
    let codes = [
        "period_not_over",
        "period_earlier_open",
        "period_usage_unrated",
        "period_not_reconciled",
        "period_breaks_open",
        "period_clearing_open",
        "period_unbalanced",
    ];
    for (item, code) in Item::ALL.into_iter().zip(codes) {
        let mut found = checks();
        let check = found.iter_mut().find(|check| check.item == item).unwrap();
        check.against = vec!["this".to_owned(), "that".to_owned()];
        let refused = Period::default().decide(close(found)).unwrap_err();
        assert_eq!(refused.code(), code);
        assert!(refused.to_string().contains("this; that"), "{refused}");
    }
}

#[test]
fn an_item_that_nobody_looked_at_is_none_that_holds() {
    for left_out in Item::ALL {
        let found: Vec<_> = checks().into_iter().filter(|check| check.item != left_out).collect();
        ask(&[], close(found)).then_refused("period_checklist_incomplete");
    }
    let twice = [checks(), checks()].concat();
    ask(&[], close(twice)).then_refused("period_checklist_incomplete");
    ask(&[], close(vec![])).then_refused("period_checklist_incomplete");
}

#[test]
fn the_last_closed_month_is_reopened_for_a_reason_and_closed_again() {
    ask(&[], reopen(&[], "forgotten")).then_refused("period_not_closed");
    let closed = [close(checks())];
    ask(&closed, reopen(&["2026-11", "2026-12"], "forgotten")).then_refused("period_later_closed");
    ask(&closed, reopen(&[], " ")).then_refused("reason_needed");
    let events = ask(&closed, reopen(&[], "forgotten")).events();
    let opened = after(&closed).evolve(events[0].clone());
    let change = opened.book_entry(&events[0]).unwrap().period.unwrap();
    assert!(!change.closed && !opened.closed);
    let again = [close(checks()), reopen(&[], "forgotten"), close(checks())];
    assert_eq!((after(&again).times, after(&again).closed), (2, true));
}

#[test]
fn the_seal_is_of_the_month_the_log_and_the_balances() {
    let seal = books().seal(month());
    assert_eq!(seal.len(), 64);
    let others = [
        books().seal(month().next()),
        Books { position: 8, ..books() }.seal(month()),
        Books { balances_sha256: "ac".repeat(32), ..books() }.seal(month()),
        Books { block: Some(Block { number: 1, root: "7".to_owned() }), ..books() }.seal(month()),
    ];
    assert!(!others.contains(&seal));
    // Of a sealed log the block counts, and not where its end was.
    let sealed = |position| {
        let block = Some(Block { number: 3, root: "cd".repeat(32) });
        Books { position, block, ..books() }.seal(month())
    };
    assert_eq!(sealed(1), sealed(2));
}

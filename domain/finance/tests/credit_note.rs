//! The rules of credit notes: never more than is left, and what they say adds up.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, OrganisationId, Timestamp};
use cairn_finance::credit_note::{Correction, Creditable, CreditableLine, IssueCreditNote, Wanted};
use cairn_finance::{CreditNote, CreditNoteCommand, CreditNoteEvent, CreditNoteSeries, Issuer};
use proptest::prelude::*;

const CENT: i64 = 10_000_000;
/// 2027-01-15.
const AT: Timestamp = Timestamp::from_secs(1_800_000_000);

fn invoice(lines: &[(i64, i64)], prepaid_nanos: i64) -> Creditable {
    let line = |&(net_nanos, tax): &(i64, i64)| CreditableLine {
        product: "compute".to_owned(),
        net_nanos,
        taxes: if tax == 0 { vec![] } else { vec![("CH".to_owned(), tax)] },
        tax: None,
    };
    Creditable {
        number: "CN-2027-000001".to_owned(),
        month: "2026-12".parse().unwrap(),
        prepaid_nanos,
        lines: lines.iter().map(line).collect(),
    }
}

fn wish(invoice: &Creditable, line: Option<u32>, amount_nanos: Option<i64>) -> CreditNoteCommand {
    CreditNoteCommand::Issue(Box::new(IssueCreditNote {
        series: "CN".to_owned(),
        issuer: Issuer {
            code: "main".to_owned(),
            name: "Cairn Compute".to_owned(),
            address: "Main Street 1".to_owned(),
            tax_id: String::new(),
        },
        organisation_id: OrganisationId::from_bits(7),
        customer: None,
        currency: Currency::CHF,
        invoice: invoice.clone(),
        wanted: Wanted { line, amount_nanos },
        correction: None,
        reason: "the node was slow".to_owned(),
        at: AT,
    }))
}

fn after(history: &[CreditNoteCommand]) -> CreditNoteSeries {
    history.iter().cloned().fold(CreditNoteSeries::default(), |state, command| {
        let events = state.decide(command).unwrap();
        state.evolve_all(events)
    })
}

fn ask(history: &[CreditNoteCommand], command: CreditNoteCommand) -> When<CreditNoteSeries> {
    decide_both_ways(after(history), command)
}

fn issued(history: &[CreditNoteCommand], command: CreditNoteCommand) -> CreditNote {
    let events = ask(history, command).events();
    let [CreditNoteEvent::Issued { credit_note }] = &events[..] else { panic!() };
    (**credit_note).clone()
}

#[test]
fn a_part_of_a_line_and_then_the_rest_of_the_invoice() {
    let invoice = invoice(&[(100 * CENT, 8 * CENT), (50 * CENT + 1, 4 * CENT)], 162 * CENT + 1);
    let part = wish(&invoice, Some(1), Some(54 * CENT));
    let first = issued(&[], part.clone());
    assert_eq!(first.number, "CN-C-2027-000001");
    assert_eq!((first.totals.net.cents, first.totals.tax.cents), (50, 4));
    assert_eq!((first.lines.len(), first.lines[0].line), (1, 1));
    let rest = wish(&invoice, None, None);
    let second = issued(std::slice::from_ref(&part), rest.clone());
    assert_eq!(second.number, "CN-C-2027-000002");
    assert_eq!(second.totals.gross.nanos, 108 * CENT + 1);
    assert_eq!(second.lines.len(), 2);
    // As it is shown, in cents, means all that is left.
    let shown = issued(std::slice::from_ref(&part), wish(&invoice, None, Some(108 * CENT)));
    assert_eq!(shown.totals, second.totals);
    let history = [part, rest];
    for again in [wish(&invoice, None, None), wish(&invoice, Some(2), Some(CENT))] {
        ask(&history, again).then_refused("credit_exceeds_invoice");
    }
}

#[test]
fn what_cannot_be_credited_is_refused_by_its_code() {
    let invoice = invoice(&[(100 * CENT, 0)], 60 * CENT);
    let mut silent = wish(&invoice, None, None);
    let CreditNoteCommand::Issue(inner) = &mut silent;
    inner.reason = " ".to_owned();
    for (command, code) in [
        (wish(&invoice, None, Some(0)), "amount_not_positive"),
        (wish(&invoice, None, Some(CENT + 1)), "not_whole_minor_units"),
        // The rest was paid with promotional credit, or is owed.
        (wish(&invoice, None, Some(61 * CENT)), "credit_exceeds_invoice"),
        (wish(&invoice, Some(2), None), "unknown_invoice_line"),
        (wish(&invoice, Some(0), None), "unknown_invoice_line"),
        (silent, "reason_needed"),
    ] {
        ask(&[], command).then_refused(code);
    }
    assert_eq!(issued(&[], wish(&invoice, None, None)).totals.gross.nanos, 60 * CENT);
}

/// The note of a correction of a line.
fn about(
    invoice: &Creditable,
    entry: &str,
    (net, tax, owed): (i64, i64, i64),
) -> CreditNoteCommand {
    let CreditNoteCommand::Issue(mut wish) = wish(invoice, Some(1), None);
    wish.correction = Some(Correction {
        entry: entry.to_owned(),
        line: 1,
        net_nanos: net,
        taxes: if tax == 0 { vec![] } else { vec![("CH".to_owned(), tax)] },
        owed_nanos: owed,
    });
    CreditNoteCommand::Issue(wish)
}

#[test]
fn a_correction_is_on_paper_once_and_to_the_nano() {
    let invoice = invoice(&[(100 * CENT, 8 * CENT), (50 * CENT, 0)], 158 * CENT);
    let command = about(&invoice, "hold:1", (1_234_567, 98_765, 0));
    let note = issued(&[], command.clone());
    assert_eq!((note.number.as_str(), note.lines.len()), ("CN-C-2027-000001", 1));
    assert_eq!((note.totals.net.nanos, note.totals.tax.nanos), (1_234_567, 98_765));
    assert_eq!(note.totals.net.cents + note.totals.tax.cents, note.totals.gross.cents);
    ask(std::slice::from_ref(&command), command.clone()).then([]);
    let next = about(&invoice, "hold:2", (CENT, 0, 0));
    assert_eq!(issued(&[command], next).number, "CN-C-2027-000002", "another one is another note");
}

#[test]
fn a_correction_says_what_was_owed_too_and_never_more_than_is_left() {
    // Of 108, 60 was paid and 30 is owed; the rest was promotional credit.
    let invoice = invoice(&[(100 * CENT, 8 * CENT)], 60 * CENT);
    let all = issued(&[], about(&invoice, "e", (83 * CENT, 7 * CENT, 30 * CENT)));
    assert_eq!(all.totals.gross.nanos, 90 * CENT);
    for beyond in [(61 * CENT, 0, 0), (88 * CENT, 3 * CENT, 30 * CENT), (108 * CENT, 1, 60 * CENT)]
    {
        ask(&[], about(&invoice, "e", beyond)).then_refused("credit_exceeds_invoice");
    }
    ask(&[], about(&invoice, "e", (0, 0, 0))).then_refused("amount_not_positive");
    // What was owed was not paid back: as much as was paid is still left.
    let owed = about(&invoice, "e", (28 * CENT, 2 * CENT, 30 * CENT));
    let rest = wish(&invoice, None, Some(60 * CENT));
    assert_eq!(issued(std::slice::from_ref(&owed), rest.clone()).totals.gross.nanos, 60 * CENT);
    ask(&[owed, rest], about(&invoice, "f", (CENT, 0, 0))).then_refused("credit_exceeds_invoice");
}

#[test]
fn what_an_earlier_note_rounded_away_is_taken_of_the_other_part() {
    let invoice = invoice(&[(100 * CENT, 8 * CENT)], 108 * CENT);
    let first = wish(&invoice, Some(1), Some(CENT));
    let given = issued(&[], first.clone()).totals;
    let (net, tax) = (100 * CENT - given.net.nanos + 5, 8 * CENT - given.tax.nanos - 5);
    let rest = issued(&[first], about(&invoice, "e", (net, tax, 0)));
    assert_eq!(rest.totals.gross.nanos, 107 * CENT);
    assert_eq!(rest.totals.net.nanos + given.net.nanos, 100 * CENT);
}

proptest! {
    #[test]
    fn no_history_gives_back_more_than_was_paid_or_than_a_line_has(
        lines in prop::collection::vec((1..10_000_000_000_i64, 0..900_000_000_i64), 1..8),
        paid_permille in 0..=1_000_i64,
        wishes in prop::collection::vec((prop::option::of(1..10_u32), prop::option::of(1..300_i64)), 1..12),
    ) {
        let all: i64 = lines.iter().map(|(net, tax)| net + tax).sum();
        let invoice = invoice(&lines, all / 1_000 * paid_permille);
        let mut history = vec![];
        let (mut given, mut of_lines) = (0, vec![(0, 0); lines.len()]);
        for (line, cents) in wishes {
            let command = wish(&invoice, line, cents.map(|cents| cents * CENT));
            let Ok(events) = after(&history).decide(command.clone()) else { continue };
            let CreditNoteEvent::Issued { credit_note } = &events[0];
            let totals = credit_note.totals;
            prop_assert!(totals.gross.nanos > 0);
            prop_assert_eq!(totals.net.cents + totals.tax.cents, totals.gross.cents);
            let shown: i64 = credit_note.lines.iter().map(|line| line.gross.cents).sum();
            prop_assert_eq!(shown, totals.gross.cents);
            given += totals.gross.nanos;
            for line in &credit_note.lines {
                let sum = &mut of_lines[line.line as usize - 1];
                sum.0 += line.net.nanos;
                sum.1 += line.taxes.iter().map(|tax| tax.amount.nanos).sum::<i64>();
            }
            history.push(command);
        }
        prop_assert!(given <= invoice.prepaid_nanos);
        for (sum, line) in of_lines.iter().zip(&lines) {
            prop_assert!(sum.0 <= line.0 && sum.1 <= line.1);
        }
    }
}

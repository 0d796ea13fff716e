//! The rules of invoices, of who issues them and of whom they are made out to.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{Currency, Decider, OrganisationId, Subject, Timestamp};
use cairn_finance::billing::is_country;
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, Numbers, PaidFrom, parse_number};
use cairn_finance::paper::Charged;
use cairn_finance::rounding::cents;
use cairn_finance::{
    Billing, BillingCommand, Customer, Invoice, InvoiceCommand, InvoiceEvent, InvoiceSeries,
    Issuer, LegalEntity, LegalEntityCommand,
};
use proptest::prelude::*;

/// 2027-01-15.
const AT: Timestamp = Timestamp::from_secs(1_800_000_000);
const YEAR: i64 = 365 * 86_400;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(7);

fn issuer(code: &str) -> Issuer {
    let (name, address) = ("Cairn Compute".to_owned(), "Main Street 1\n8000 Zurich".to_owned());
    Issuer { code: code.to_owned(), name, address, tax_id: "CHE-123.456.789".to_owned() }
}

fn customer() -> Customer {
    Customer {
        name: "Example".to_owned(),
        address: "Side Street 2".to_owned(),
        country: "CH".to_owned(),
        tax_id: String::new(),
        email: "invoices@example.com".to_owned(),
    }
}

fn charged(net_nanos: i64, taxes: &[(&str, i64)]) -> Charged {
    Charged {
        product: "compute".to_owned(),
        resource: "alloc_1".to_owned(),
        sku_id: None,
        from: AT.plus_secs(-7_200),
        to: AT,
        seconds: 7_200,
        nanos_per_hour: Some(net_nanos / 2),
        discount_bps: Some(1_250),
        tax: None,
        net_nanos,
        taxes: taxes.iter().map(|(at, nanos)| ((*at).to_owned(), *nanos)).collect(),
    }
}

fn issue_of(charged: Vec<Charged>, at: Timestamp) -> IssueInvoice {
    let gross = charged.iter().map(|one| one.net_nanos + one.taxes.values().sum::<i64>()).sum();
    IssueInvoice {
        series: "CN".to_owned(),
        issuer: issuer("main"),
        organisation_id: ORGANISATION,
        customer: Some(customer()),
        currency: Currency::CHF,
        month: "2026-12".parse().unwrap(),
        charged,
        paid_from: PaidFrom { prepaid_nanos: gross, ..PaidFrom::default() },
        balance: Balance { opening_nanos: gross, closing_nanos: 0 },
        counted: Counted { part: 1, after_position: 0, position: 9 },
        at,
    }
}

fn issue(wish: IssueInvoice) -> InvoiceCommand {
    InvoiceCommand::Issue(Box::new(wish))
}

fn ask(history: &[IssueInvoice], wish: IssueInvoice) -> When<InvoiceSeries> {
    let state = history.iter().cloned().fold(InvoiceSeries::default(), |state, wish| {
        let events = state.decide(issue(wish)).unwrap();
        state.evolve_all(events)
    });
    decide_both_ways(state, issue(wish))
}

fn issued(history: &[IssueInvoice], wish: IssueInvoice) -> Invoice {
    let events = ask(history, wish).events();
    let [InvoiceEvent::Issued { invoice }] = &events[..] else { panic!() };
    (**invoice).clone()
}

#[test]
fn numbers_follow_each_other_and_begin_anew_with_the_year() {
    let wish = |secs| issue_of(vec![charged(1_000, &[])], AT.plus_secs(secs));
    let mut history = vec![];
    for (secs, wanted) in [
        (0, "CN-2027-000001"),
        (1, "CN-2027-000002"),
        (YEAR, "CN-2028-000001"),
        // A clock that goes back opens no old year again.
        (2, "CN-2028-000002"),
    ] {
        assert_eq!(issued(&history, wish(secs)).number, wanted);
        history.push(wish(secs));
    }
    let state = history.iter().cloned().fold(InvoiceSeries::default(), |state, wish| {
        let events = state.decide(issue(wish)).unwrap();
        state.evolve_all(events)
    });
    assert_eq!(state.subject(), Some(Subject::organisation(ORGANISATION)));
    for (at, sequence) in
        [((2027, 2), Some(2)), ((2028, 2), Some(4)), ((2028, 3), None), ((2027, 0), None)]
    {
        assert_eq!(state.numbers.sequence(at), sequence, "{at:?}");
    }
    assert_eq!(Numbers::default().sequence((2027, 1)), None);
}

#[test]
fn a_number_is_read_as_it_is_written() {
    assert_eq!(parse_number("CN-2026-000001"), Some(("CN", (2026, 1))));
    assert_eq!(parse_number("CN-C-2026-1234567"), Some(("CN-C", (2026, 1_234_567))));
    for wrong in ["", "CN", "CN-2026-1", "CN-2026-+00001", "2026-000001", "CN-26-000001"] {
        assert_eq!(parse_number(wrong), None, "{wrong}");
    }
}

#[test]
fn lines_and_taxes_add_up_to_the_total_that_is_shown() {
    // Each a third of a cent too little or too much.
    let lines = vec![charged(3_333_333, &[("CH", 270_000)]); 3];
    let invoice = issued(&[], issue_of(lines, AT));
    assert_eq!((invoice.totals.gross.nanos, invoice.totals.gross.cents), (10_809_999, 1));
    assert_eq!((invoice.totals.net.cents, invoice.totals.tax.cents), (1, 0));
    assert_eq!(invoice.lines.iter().map(|line| line.gross.cents).sum::<i64>(), 1);
    assert_eq!((invoice.taxes[0].rate_basis_points, invoice.taxes.len()), (810, 1));
    assert_eq!(invoice.paid.prepaid, invoice.totals.gross);
}

#[test]
fn what_cannot_be_issued_is_refused_by_its_code() {
    let one = || issue_of(vec![charged(1_000, &[])], AT);
    let of_other = IssueInvoice { issuer: issuer("other"), ..one() };
    let unpaid = IssueInvoice { paid_from: PaidFrom::default(), ..one() };
    for (history, wish, code) in [
        (vec![one()], of_other, "series_taken"),
        (vec![], issue_of(vec![], AT), "nothing_to_invoice"),
        (vec![], unpaid, "invoice_not_paid_for"),
        (vec![], IssueInvoice { series: "c-n".to_owned(), ..one() }, "legal_entity_invalid"),
    ] {
        ask(&history, wish).then_refused(code);
    }
}

#[test]
fn a_legal_entity_is_set_and_the_same_again_is_nothing_new() {
    let set = |issuer: Issuer, series: &str| LegalEntityCommand::Set {
        issuer,
        series: series.to_owned(),
        at: AT,
    };
    let first = LegalEntity::default().decide(set(issuer("main"), "CN")).unwrap();
    let state = LegalEntity::fold(first);
    assert_eq!((&state.issuer, state.series.as_str()), (&Some(issuer("main")), "CN"));
    decide_both_ways(state.clone(), set(issuer("main"), "CN")).then([]);
    assert_eq!(decide_both_ways(state, set(issuer("main"), "CX")).events().len(), 1);
    let nameless = Issuer { name: " ".to_owned(), ..issuer("main") };
    for (who, series) in [
        (nameless, "CN"),
        (issuer("Main"), "CN"),
        (issuer("main"), "cn"),
        (issuer("main"), "1N"),
        (issuer("main"), "TOOLONGAS"),
        (Issuer { address: String::new(), ..issuer("main") }, "CN"),
        (Issuer { tax_id: "x".repeat(51), ..issuer("main") }, "CN"),
    ] {
        decide_both_ways(LegalEntity::default(), set(who, series))
            .then_refused("legal_entity_invalid");
    }
}

#[test]
fn billing_details_are_checked_and_are_the_organisations_own() {
    let set = |customer| BillingCommand::Set { organisation_id: ORGANISATION, customer, at: AT };
    let state = Billing::fold(Billing::default().decide(set(customer())).unwrap());
    assert_eq!(state.subject(), Some(Subject::organisation(ORGANISATION)));
    decide_both_ways(state, set(customer())).then([]);
    for wrong in [
        Customer { name: String::new(), ..customer() },
        Customer { name: "a\tb".to_owned(), ..customer() },
        Customer { address: "x".repeat(501), ..customer() },
        Customer { country: "XX".to_owned(), ..customer() },
        Customer { country: "ch".to_owned(), ..customer() },
        Customer { email: "nobody".to_owned(), ..customer() },
        Customer { email: "a@b..c".to_owned(), ..customer() },
    ] {
        decide_both_ways(Billing::default(), set(wrong)).then_refused("billing_details_invalid");
    }
    assert!(is_country("GB") && !is_country("G") && !is_country("GB CH"));
}

proptest! {
    #[test]
    fn every_column_and_every_line_adds_up(
        lines in prop::collection::vec(
            (1..1_000_000_000_000_i64, 0..90_000_000_000_i64, 0..9_000_000_000_i64), 1..40),
        promotional in 0..1_000_i64,
    ) {
        let lines: Vec<_> = lines.into_iter().map(|(net, ch, de)| {
            let taxes = [("CH", ch), ("DE", de)];
            charged(net, &taxes.into_iter().filter(|tax| tax.1 != 0).collect::<Vec<_>>())
        }).collect();
        let mut wish = issue_of(lines.clone(), AT);
        let gross = wish.paid_from.prepaid_nanos;
        let promotional_nanos = gross / 1_000 * promotional;
        wish.paid_from = PaidFrom { prepaid_nanos: gross - promotional_nanos, promotional_nanos, owed_nanos: 0 };
        let invoice = issued(&[], wish);
        let totals = invoice.totals;
        prop_assert_eq!(totals.gross.cents, cents(gross));
        prop_assert_eq!(totals.net.cents + totals.tax.cents, totals.gross.cents);
        prop_assert_eq!(totals.net.nanos + totals.tax.nanos, gross);
        prop_assert_eq!(invoice.lines.iter().map(|line| line.gross.cents).sum::<i64>(), totals.gross.cents);
        prop_assert_eq!(invoice.lines.iter().map(|line| line.net.cents).sum::<i64>(), totals.net.cents);
        prop_assert_eq!(invoice.taxes.iter().map(|tax| tax.amount.cents).sum::<i64>(), totals.tax.cents);
        for (line, exact) in invoice.lines.iter().zip(&lines) {
            let taxes: i64 = line.taxes.iter().map(|tax| tax.amount.cents).sum();
            prop_assert_eq!(line.net.cents + taxes, line.gross.cents);
            prop_assert_eq!(&line.charged(), exact);
        }
        let paid = invoice.paid;
        prop_assert_eq!(paid.prepaid.cents + paid.promotional.cents + paid.owed.cents, totals.gross.cents);
        prop_assert_eq!(parse_number(&invoice.number), Some(("CN", (2027, 1))));
    }
}

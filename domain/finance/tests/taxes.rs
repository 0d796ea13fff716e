//! What papers say of taxes: the rate of the table, and who owes what is not charged.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::{Currency, Decider, OrganisationId, Tax, TaxRate, TaxTreatment, Timestamp};
use cairn_finance::credit_note::{Creditable, IssueCreditNote, Wanted};
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom};
use cairn_finance::paper::{Charged, Line, TaxTotal};
use cairn_finance::{
    CreditNote, CreditNoteCommand, CreditNoteEvent, CreditNoteSeries, Invoice, InvoiceCommand,
    InvoiceEvent, InvoiceSeries, Issuer, ReverseCharge,
};

const AT: Timestamp = Timestamp::from_secs(1_800_000_000);
const UNIT: i64 = 1_000_000_000;

fn tax(jurisdiction: &str, ppm: u32, treatment: TaxTreatment) -> Tax {
    let rate = TaxRate { jurisdiction: jurisdiction.to_owned(), ppm };
    Tax { rate, name: "VAT".to_owned(), treatment, version: 1 }
}

/// So much was used, of which the customer paid some.
fn charged(tax: Option<Tax>, (used_nanos, paid_nanos): (i64, i64)) -> Charged {
    let due = tax.as_ref().and_then(Tax::due);
    let taxes = due.map(|rate| (rate.jurisdiction.clone(), rate.within(paid_nanos)));
    Charged {
        product: "compute".to_owned(),
        resource: "alloc_1".to_owned(),
        sku_id: Some("small".to_owned()),
        from: AT.plus_secs(-3_600),
        to: AT,
        seconds: 3_600,
        nanos_per_hour: Some(used_nanos),
        discount_bps: None,
        net_nanos: used_nanos - taxes.as_ref().map_or(0, |(_, nanos)| *nanos),
        tax,
        taxes: taxes.into_iter().collect(),
    }
}

fn issuer() -> Issuer {
    let (code, name) = ("main".to_owned(), "Cairn Compute".to_owned());
    Issuer { code, name, address: "Main Street 1".to_owned(), tax_id: String::new() }
}

fn invoice(charged: Vec<Charged>) -> Invoice {
    let gross = charged.iter().map(|one| one.net_nanos + one.taxes.values().sum::<i64>()).sum();
    let wish = IssueInvoice {
        series: "CN".to_owned(),
        issuer: issuer(),
        organisation_id: OrganisationId::from_bits(7),
        customer: None,
        currency: Currency::EUR,
        month: "2026-12".parse().unwrap(),
        charged,
        paid_from: PaidFrom { prepaid_nanos: gross, ..PaidFrom::default() },
        balance: Balance::default(),
        counted: Counted { part: 1, after_position: 0, position: 9 },
        at: AT,
    };
    let events = InvoiceSeries::default().decide(InvoiceCommand::Issue(Box::new(wish))).unwrap();
    let [InvoiceEvent::Issued { invoice }] = &events[..] else { panic!() };
    (**invoice).clone()
}

fn note(invoice: &Invoice, line: u32) -> CreditNote {
    let wish = IssueCreditNote {
        series: "CN".to_owned(),
        issuer: issuer(),
        organisation_id: invoice.organisation_id,
        customer: None,
        currency: invoice.currency,
        invoice: Creditable::of(invoice),
        wanted: Wanted { line: Some(line), amount_nanos: None },
        correction: None,
        reason: "the node was slow".to_owned(),
        at: AT,
    };
    let issue = CreditNoteCommand::Issue(Box::new(wish));
    let events = CreditNoteSeries::default().decide(issue).unwrap();
    let [CreditNoteEvent::Issued { credit_note }] = &events[..] else { panic!() };
    (**credit_note).clone()
}

fn rates(taxes: &[TaxTotal]) -> Vec<(String, i64)> {
    taxes.iter().map(|tax| (tax.percent(), tax.base.nanos)).collect()
}

#[test]
fn a_rate_has_the_decimals_of_the_table_where_tax_and_net_agree_with_it() {
    let known = || Some(tax("US-NY", 88_750, TaxTreatment::Exclusive));
    let all = charged(known(), (10 * UNIT + 7, 10 * UNIT + 7));
    // Nothing says so of an older line, and credit paid for half of another.
    let before = Some(tax("US-NY", 81_000, TaxTreatment::Exclusive));
    let old = Charged { tax: None, ..charged(before, (10 * UNIT, 10 * UNIT)) };
    let half = charged(known(), (10 * UNIT, 5 * UNIT));
    let invoice = invoice(vec![all.clone(), old.clone(), half.clone(), all.clone()]);
    let base = |one: &Charged| one.net_nanos;
    let wanted = [
        ("4.25".to_owned(), base(&half)),
        ("8.10".to_owned(), base(&old)),
        ("8.875".to_owned(), 2 * base(&all)),
    ];
    assert_eq!(rates(&invoice.taxes), wanted);
    assert_eq!(invoice.taxes[2].rate_basis_points, 888, "to the nearest");
    let sum: i64 = invoice.taxes.iter().map(|tax| tax.amount.cents).sum();
    assert_eq!(sum, invoice.totals.tax.cents);
    assert_eq!(rates(&note(&invoice, 1).taxes)[0].0, "8.875", "a credit note says the same");
    let again: Vec<_> = invoice.lines.iter().map(Line::charged).collect();
    assert_eq!(again, [all.clone(), old, half, all]);
}

#[test]
fn a_tax_that_the_customer_owes_itself_is_on_what_it_is_on_and_nowhere_else() {
    let reversed = || Some(tax("DE", 190_000, TaxTreatment::ReverseCharge));
    let kept = Some(tax("DE", 190_000, TaxTreatment::Inclusive));
    let used = (UNIT, UNIT);
    let lines = [charged(reversed(), used), charged(kept, used), charged(reversed(), used)];
    let invoice = invoice(lines.to_vec());
    let [owed] = &invoice.reverse_charges()[..] else { panic!("one") };
    let ReverseCharge { jurisdiction, name, base } = owed;
    assert_eq!((jurisdiction.as_str(), name.as_str(), base.nanos), ("DE", "VAT", 2 * UNIT));
    assert_eq!(base.cents, 200);
    assert_eq!(invoice.totals.tax.nanos, invoice.lines[1].taxes[0].amount.nanos);
    let says = "Reverse charge: VAT (DE) is owed by the customer";
    assert_eq!(owed.says(None), says);
    assert_eq!(owed.says(Some("")), says);
    assert_eq!(owed.says(Some("DE123")), format!("{says}, tax id DE123"));
    assert_eq!(note(&invoice, 3).reverse_charges()[0].base.nanos, UNIT);
    assert_eq!(note(&invoice, 2).reverse_charges(), []);
}

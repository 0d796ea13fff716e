//! The story of what is sent to customers: who issues it, to whom, and what stands on it.
use cairn_core::{Currency, HoldId, OrganisationId, PaymentId};
use cairn_finance::credit_note::{Creditable, IssueCreditNote, Wanted};
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom};
use cairn_finance::paper::Charged;
use cairn_finance::{
    Billing, BillingCommand, CreditNoteCommand, CreditNoteSeries, Customer, InvoiceCommand,
    InvoiceEvent, InvoiceSeries, Issuer, LegalEntity, LegalEntityCommand,
};

use cairn_core::Decider as _;
use cairn_ledger::{CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id};

use super::story::{Teller, at};

/// To whom.
const BILLED: OrganisationId = OrganisationId::from_bits(5);
const CENT: i64 = 10_000_000;

fn issuer() -> Issuer {
    Issuer {
        code: "main".to_owned(),
        name: "Cairn Compute".to_owned(),
        address: "Main Street 1\n8000 Zurich".to_owned(),
        tax_id: "CHE-123.456.789".to_owned(),
    }
}

fn customer() -> Customer {
    Customer {
        name: "Example".to_owned(),
        address: "Side Street 2\n1000 Lausanne".to_owned(),
        country: "CH".to_owned(),
        tax_id: String::new(),
        email: "invoices@example.com".to_owned(),
    }
}

/// Somebody says who issues.
fn legal_entity() -> [LegalEntityCommand; 1] {
    [LegalEntityCommand::Set { issuer: issuer(), series: "CN".to_owned(), at: at(2_000_300) }]
}

/// And a customer to whom.
fn billing() -> [BillingCommand; 1] {
    let at = at(2_000_301);
    [BillingCommand::Set { organisation_id: BILLED, customer: customer(), at }]
}

fn charged(n: u128, net_nanos: i64) -> Charged {
    Charged {
        product: "compute".to_owned(),
        resource: cairn_core::AllocationId::from_bits(n).to_string(),
        sku_id: Some("small".to_owned()),
        from: at(0),
        to: at(3_600),
        seconds: 3_600,
        nanos_per_hour: Some(net_nanos),
        discount_bps: Some(2_000).filter(|_| net_nanos % 2 == 0),
        tax: None,
        net_nanos,
        taxes: [("CH".to_owned(), net_nanos / 1_000 * 81)].into(),
    }
}

fn issue(customer: Option<Customer>, part: u32) -> InvoiceCommand {
    let charged = vec![charged(1, 333_333_333), charged(2, 50 * CENT)];
    let gross: i64 = charged.iter().map(|one| one.net_nanos + one.taxes["CH"]).sum();
    InvoiceCommand::Issue(Box::new(IssueInvoice {
        series: "CN".to_owned(),
        issuer: issuer(),
        organisation_id: BILLED,
        customer,
        currency: Currency::USD,
        month: "2023-11".parse().unwrap(),
        charged,
        paid_from: PaidFrom {
            prepaid_nanos: gross - 10 * CENT,
            promotional_nanos: 7 * CENT,
            owed_nanos: 3 * CENT,
        },
        balance: Balance { opening_nanos: 2 * gross, closing_nanos: gross },
        counted: Counted { part, after_position: 0, position: 1_000_000 },
        at: at(2_000_302),
    }))
}

/// An invoice to somebody, and one to nobody in particular.
fn invoices() -> [InvoiceCommand; 2] {
    [issue(Some(customer()), 1), issue(None, 2)]
}

/// A part of a line is given back, and then the rest of the invoice.
fn credit_notes() -> [CreditNoteCommand; 2] {
    let events = InvoiceSeries::default().decide(issue(Some(customer()), 1)).unwrap();
    let [InvoiceEvent::Issued { invoice }] = &events[..] else { panic!() };
    let credit = |wanted, customer, secs| {
        CreditNoteCommand::Issue(Box::new(IssueCreditNote {
            series: "CN".to_owned(),
            issuer: issuer(),
            organisation_id: BILLED,
            customer,
            currency: Currency::USD,
            invoice: Creditable::of(invoice),
            wanted,
            correction: None,
            reason: "the node was slow".to_owned(),
            at: at(secs),
        }))
    };
    let part = Wanted { line: Some(2), amount_nanos: Some(10 * CENT) };
    let rest = Wanted { line: None, amount_nanos: None };
    [credit(part, Some(customer()), 2_000_303), credit(rest, None, 2_000_304)]
}

/// What was used is given back in the wallet.
fn in_the_wallet() -> Vec<WalletCommand> {
    let top_up = WalletCommand::TopUp(TopUp {
        organisation_id: BILLED,
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(90),
        amount_nanos: 100 * CENT,
        charge_id: "ch_90".to_owned(),
        at: at(2_000_305),
    });
    let (hold_id, expires_at) = (HoldId::from_bits(90), at(2_009_000));
    let place = PlaceHold {
        hold_id,
        purpose: "alloc_90".to_owned(),
        project_id: None,
        amount_nanos: 50 * CENT,
        expires_at,
        at: at(2_000_306),
    };
    let capture = CaptureHold {
        hold_id,
        total_nanos: 50 * CENT,
        seconds: 3_600,
        product: "compute".to_owned(),
        keep_nanos: 0,
        expires_at,
        tax: None,
        at: at(2_000_307),
    };
    let credit = WalletCommand::CreditUsage {
        note: "CN-C-2023-000001".to_owned(),
        debits: vec![("usage:compute:USD".to_owned(), 10 * CENT)],
        at: at(2_000_308),
    };
    vec![top_up, WalletCommand::PlaceHold(place), WalletCommand::CaptureHold(capture), credit]
}

/// All of it.
pub fn papers(teller: &mut Teller) {
    teller.tell::<LegalEntity>("main", legal_entity());
    teller.tell::<Billing>(&BILLED.to_string(), billing());
    teller.tell::<InvoiceSeries>("CN", invoices());
    teller.tell::<CreditNoteSeries>("CN-C", credit_notes());
    teller.tell::<Wallet>(&wallet_id(BILLED, Currency::USD), in_the_wallet());
}

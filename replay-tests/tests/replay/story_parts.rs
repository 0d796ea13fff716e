//! An invoice with a line for each part of a rental, of which a customer owes a tax itself; some of its last line comes back, and a note says of which.
use cairn_core::{
    AllocationId, Currency, Decider as _, HoldId, OrganisationId, PaymentId, Tax, TaxRate,
    TaxTreatment,
};
use cairn_finance::credit_note::{Creditable, IssueCreditNote, Wanted};
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom};
use cairn_finance::paper::Charged;
use cairn_finance::{
    CreditNoteCommand, CreditNoteSeries, InvoiceCommand, InvoiceEvent, InvoiceSeries, Issuer,
};
use cairn_ledger::{
    CaptureHold, CorrectCharge, Invoiced, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id,
};

use super::story::{Teller, at, text};

const UNIT: i64 = 1_000_000_000;
const OWNER: OrganisationId = OrganisationId::from_bits(67);
const HOLD: HoldId = HoldId::from_bits(67);

pub fn tell(teller: &mut Teller) {
    teller.tell::<InvoiceSeries>("PT", [issue()]);
    teller.tell::<Wallet>(&wallet_id(OWNER, Currency::USD), in_the_wallet());
    teller.tell::<CreditNoteSeries>("PT-C", [credit()]);
}

fn issuer() -> Issuer {
    Issuer {
        code: text("main"),
        name: text("Cairn Compute"),
        address: text("Main Street 1"),
        tax_id: text(""),
    }
}

/// What was used as an SKU at so many units an hour, an hour each; with a tax that is charged, or one that is not.
fn part((sku_id, units): (&str, i64), hour: i64, treatment: TaxTreatment) -> Charged {
    let rate = TaxRate { jurisdiction: text("DE"), ppm: 190_000 };
    let tax = Tax { rate, name: text("VAT"), treatment, version: 2 };
    let taxes = tax.due().map(|rate| (text("DE"), rate.within(units * UNIT)));
    Charged {
        product: text("compute"),
        resource: AllocationId::from_bits(67).to_string(),
        sku_id: Some(text(sku_id)),
        from: at(3_600 * (hour - 1)),
        to: at(3_600 * hour),
        seconds: 3_600,
        nanos_per_hour: Some(units * UNIT),
        discount_bps: None,
        net_nanos: units * UNIT - taxes.as_ref().map_or(0, |(_, nanos)| *nanos),
        tax: Some(tax),
        taxes: taxes.into_iter().collect(),
    }
}

fn issue() -> InvoiceCommand {
    let charged = vec![
        part(("small", 1), 1, TaxTreatment::Inclusive),
        part(("small", 2), 2, TaxTreatment::Inclusive),
        part(("large", 4), 3, TaxTreatment::ReverseCharge),
    ];
    InvoiceCommand::Issue(Box::new(IssueInvoice {
        series: text("PT"),
        issuer: issuer(),
        organisation_id: OWNER,
        customer: None,
        currency: Currency::USD,
        month: "2023-11".parse().unwrap(),
        charged,
        paid_from: PaidFrom { prepaid_nanos: 7 * UNIT, ..PaidFrom::default() },
        balance: Balance { opening_nanos: 9 * UNIT, closing_nanos: 2 * UNIT },
        counted: Counted { part: 1, after_position: 0, position: 1_000_000 },
        at: at(2_000_400),
    }))
}

fn in_the_wallet() -> Vec<WalletCommand> {
    let invoiced = Invoiced { invoice: text("PT-2026-000001"), seconds: 900, line: Some(3) };
    vec![
        WalletCommand::TopUp(TopUp {
            organisation_id: OWNER,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(67),
            amount_nanos: 9 * UNIT,
            charge_id: text("ch_67"),
            at: at(0),
        }),
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HOLD,
            purpose: AllocationId::from_bits(67).to_string(),
            project_id: None,
            amount_nanos: 8 * UNIT,
            expires_at: at(20_000),
            at: at(1),
        }),
        WalletCommand::CaptureHold(CaptureHold {
            hold_id: HOLD,
            total_nanos: 7 * UNIT,
            seconds: 10_800,
            product: text("compute"),
            tax: None,
            keep_nanos: 0,
            expires_at: at(20_000),
            at: at(10_800),
        }),
        WalletCommand::CorrectCharge(CorrectCharge {
            hold_id: HOLD,
            total_nanos: 6 * UNIT,
            seconds: 9_900,
            product: text("compute"),
            charged_at: None,
            invoiced: Some(invoiced),
            at: at(2_000_401),
        }),
    ]
}

fn credit() -> CreditNoteCommand {
    let events = InvoiceSeries::default().decide(issue()).unwrap();
    let [InvoiceEvent::Issued { invoice }] = &events[..] else { panic!() };
    CreditNoteCommand::Issue(Box::new(IssueCreditNote {
        series: text("PT"),
        issuer: issuer(),
        organisation_id: OWNER,
        customer: None,
        currency: Currency::USD,
        invoice: Creditable::of(invoice),
        wanted: Wanted { line: Some(3), amount_nanos: Some(UNIT) },
        correction: None,
        reason: text("900 s of it were not used"),
        at: at(2_000_402),
    }))
}

//! A rental in the story that was charged too much for a month that is invoiced: the wallet gives it back, and a note says so.
use cairn_core::{
    AllocationId, Currency, Decider as _, HoldId, OrganisationId, PaymentId, TaxRate,
};
use cairn_finance::credit_note::{Correction, Creditable, CreditableLine, IssueCreditNote, Wanted};
use cairn_finance::{CreditNoteCommand, CreditNoteSeries, Issuer};
use cairn_ledger::{
    CaptureHold, CorrectCharge, Invoiced, OffInvoice, PlaceHold, TopUp, Wallet, WalletCommand,
    off_invoice, wallet_id,
};

use super::story::{Teller, at, text};

const UNIT: i64 = 1_000_000_000;
const INVOICED: OrganisationId = OrganisationId::from_bits(62);
const HOLD: HoldId = HoldId::from_bits(62);

pub fn tell(teller: &mut Teller) {
    teller.tell::<Wallet>(&wallet_id(INVOICED, Currency::USD), in_the_wallet());
    teller.tell::<CreditNoteSeries>("IN-C", [on_paper()]);
}

/// What is not on the invoice comes back first, then some of what is.
fn in_the_wallet() -> Vec<WalletCommand> {
    let capture = |units: i64, secs| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id: HOLD,
            total_nanos: units * UNIT,
            seconds: units * 100,
            product: text("compute"),
            tax: Some(TaxRate { jurisdiction: text("DE"), ppm: 190_000 }),
            keep_nanos: 0,
            expires_at: at(9_000),
            at: at(secs),
        })
    };
    let correct = |units: i64, invoiced, secs| {
        WalletCommand::CorrectCharge(CorrectCharge {
            hold_id: HOLD,
            total_nanos: units * UNIT,
            seconds: units * 100,
            product: text("compute"),
            charged_at: None,
            invoiced,
            at: at(secs),
        })
    };
    let invoiced = Invoiced { invoice: text("IN-2023-000001"), seconds: 200, line: None };
    vec![
        WalletCommand::TopUp(TopUp {
            organisation_id: INVOICED,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(62),
            amount_nanos: 9 * UNIT,
            charge_id: text("ch_62"),
            at: at(6_000),
        }),
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HOLD,
            purpose: AllocationId::from_bits(62).to_string(),
            project_id: None,
            amount_nanos: 8 * UNIT,
            expires_at: at(9_000),
            at: at(6_001),
        }),
        capture(6, 6_100),
        capture(8, 6_200),
        correct(6, None, 6_300),
        correct(4, Some(invoiced), 6_300),
    ]
}

/// By what the wallet says that it has taken off.
fn on_paper() -> CreditNoteCommand {
    let mut wallet = Wallet::default();
    let mut off: Option<OffInvoice> = None;
    for command in in_the_wallet() {
        let events = wallet.decide(command).unwrap();
        off = events.iter().find_map(off_invoice).or(off);
        wallet = wallet.evolve_all(events);
    }
    let OffInvoice { entry, net_nanos, tax, owed_nanos, .. } = off.unwrap();
    let taxes: Vec<_> = tax.into_iter().collect();
    let correction = Correction { entry, line: 1, net_nanos, taxes, owed_nanos };
    let amount_nanos = Some(correction.gross_nanos());
    CreditNoteCommand::Issue(Box::new(IssueCreditNote {
        series: text("IN"),
        issuer: Issuer {
            code: text("main"),
            name: text("Cairn Compute"),
            address: text("Main Street 1"),
            tax_id: text(""),
        },
        organisation_id: INVOICED,
        customer: None,
        currency: Currency::USD,
        invoice: Creditable {
            number: text("IN-2023-000001"),
            month: "2023-11".parse().unwrap(),
            prepaid_nanos: 6 * UNIT,
            lines: vec![CreditableLine {
                product: text("compute"),
                net_nanos: 5 * UNIT,
                taxes: vec![(text("DE"), UNIT)],
                tax: None,
            }],
        },
        wanted: Wanted { line: Some(1), amount_nanos },
        correction: Some(correction),
        reason: text("200 s of it were metered and not used"),
        at: at(6_301),
    }))
}

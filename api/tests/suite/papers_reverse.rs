//! A paper about what its customer owes the tax of itself says so in each of its forms, and one about another rate has all of its decimals.
use std::collections::BTreeMap;

use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_core::{Currency, Month, Tax, TaxRate, TaxTreatment, Timestamp};
use cairn_finance::credit_note::Wanted;
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom};
use cairn_finance::paper::Charged;
use cairn_finance::{Customer, InvoiceCommand, InvoiceSeries, Issuer};
use cairn_identity::Role;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::papers::{details, put};
use crate::papers_documents::{file, words};
use crate::support::{Caller, Stage};

const UNIT: i64 = 1_000_000_000;
/// 2026-10-31.
const AT: Timestamp = Timestamp::from_secs(1_793_450_000);
const SAYS: &str = "Reverse charge: VAT (DE) is owed by the customer";

fn part((sku_id, units): (&str, i64), tax: Tax) -> Charged {
    let due = tax.due().map(|rate| (rate.jurisdiction.clone(), units * 88_750_000));
    Charged {
        product: "compute".to_owned(),
        resource: "alloc_1".to_owned(),
        sku_id: Some(sku_id.to_owned()),
        from: AT.plus_secs(-3_600),
        to: AT,
        seconds: 3_600,
        nanos_per_hour: Some(units * UNIT),
        discount_bps: None,
        tax: Some(tax),
        net_nanos: units * UNIT,
        taxes: due.into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// Eight with a tax of 8.875 %, and then ten whose tax the customer owes.
fn wish(owner: &Caller) -> IssueInvoice {
    let tax = |jurisdiction: &str, ppm, treatment| {
        let rate = TaxRate { jurisdiction: jurisdiction.to_owned(), ppm };
        Tax { rate, name: "VAT".to_owned(), treatment, version: 1 }
    };
    let charged = vec![
        part(("small", 8), tax("US-NY", 88_750, TaxTreatment::Exclusive)),
        part(("large", 10), tax("DE", 190_000, TaxTreatment::ReverseCharge)),
    ];
    let (code, name) = ("main".to_owned(), "Cairn Compute".to_owned());
    IssueInvoice {
        series: "CN".to_owned(),
        issuer: Issuer { code, name, address: "Main Street 1".to_owned(), tax_id: String::new() },
        organisation_id: owner.organisation_id,
        customer: Some(Customer {
            name: "Example".to_owned(),
            address: "Side Street 2".to_owned(),
            country: "DE".to_owned(),
            tax_id: "DE123456789".to_owned(),
            email: String::new(),
        }),
        currency: Currency::USD,
        month: Month::of(AT).unwrap(),
        charged,
        paid_from: PaidFrom { prepaid_nanos: 18_710_000_000, ..PaidFrom::default() },
        balance: Balance::default(),
        counted: Counted { part: 1, after_position: 0, position: 1 },
        at: AT,
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_tax_that_the_customer_owes_stands_on_every_form_of_its_papers(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let mut who = details("DE");
    who["tax_id"] = json!("DE123456789");
    assert_eq!(put(&owner, &who).await.status, 200);
    let issue = InvoiceCommand::Issue(Box::new(wish(&owner)));
    let (executor, context) = (&stage.commands.executor, stage.context());
    let done = executor.execute::<InvoiceSeries>("CN", issue, &context, Value::Null).await;
    assert_eq!(done.unwrap().sequence, 1);
    let wanted = Wanted { line: Some(2), amount_nanos: Some(2 * UNIT) };
    let reason = "the node was slow".to_owned();
    let credit = Credit { invoice: "CN-2026-000001".to_owned(), wanted, reason };
    let (note, done) =
        credit_notes::issue(&stage.commands, &stage.context(), credit).await.unwrap();

    let query = format!("min_position={}", done.position);
    let paper = owner.get(&format!("/v1/invoices/CN-2026-000001?{query}")).await;
    let owed = |base: &str| {
        json!([{
            "statement": SAYS, "jurisdiction": "DE", "name": "VAT", "tax_id": "DE123456789",
            "base": { "amount": base, "exact": base },
        }])
    };
    assert_eq!(paper.body["reverse_charges"], owed("10.00"), "{}", paper.body);
    assert_eq!(
        (paper.text("/taxes/0/rate"), paper.text("/tax/amount")),
        ("8.875".to_owned(), "0.71".to_owned())
    );
    let lines =
        |at: &str| [paper.text(&format!("/lines/0/{at}")), paper.text(&format!("/lines/1/{at}"))];
    assert_eq!(
        (lines("sku_id"), lines("per_hour")),
        (["small", "large"].map(str::to_owned), ["8.00", "10.00"].map(str::to_owned))
    );
    let given = owner.get(&format!("/v1/invoices/{}", note.number)).await;
    assert_eq!(given.body["reverse_charges"], owed("2.00"), "{}", given.body);

    let with_id = format!("{SAYS}, tax id DE123456789");
    for (number, base) in [("CN-2026-000001", "10.00"), (note.number.as_str(), "2.00")] {
        let path = format!("/v1/invoices/{number}/document");
        let said = words(&file(&owner, &path).await.3);
        assert!(said.contains(&format!("{with_id}. It is on {base}.")), "{said}");
        let csv = String::from_utf8(file(&owner, &format!("{path}?format=csv")).await.3).unwrap();
        let (header, rows) = csv.split_once('\n').unwrap();
        assert!(header.trim_end().ends_with(",currency,reverse_charge"), "{header}");
        let says: Vec<_> = rows.lines().map(|row| row.contains(&with_id)).collect();
        assert_eq!(says.iter().filter(|says| **says).count(), 1, "{rows}");
        assert_eq!(says.last(), Some(&true), "the line that it is on: {rows}");
        for format in ["xlsx", "parquet"] {
            assert_eq!(file(&owner, &format!("{path}?format={format}")).await.0, 200, "{format}");
        }
    }
    stage.strike().await;
}

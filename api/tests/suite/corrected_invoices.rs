//! An operator takes seconds back of which some are on an invoice: the money comes back once, what is not invoiced first, and a credit note says
//! what of the invoice it was.
use std::collections::BTreeMap;

use cairn_api::charges::ChargeProof;
use cairn_commands::CommandContext;
use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_core::{Currency, Month, Timestamp};
use cairn_finance::credit_note::Wanted;
use cairn_finance::invoice::{Balance, Counted, IssueInvoice, PaidFrom, invoice_command};
use cairn_finance::paper::Charged;
use cairn_finance::{InvoiceCommand, InvoiceSeries, Issuer};
use cairn_identity::Role;
use cairn_seal::{KeyDirectory, PublicKeys};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::charges::proof;
use crate::corrections::{nanos, released};
use crate::support::{Caller, Stage, answer};

/// What a second costs.
const SECOND: i64 = 1_000_000;

/// An invoice of the month that an instant is in, about some seconds of a rental.
async fn invoice(stage: &Stage, owner: &Caller, (resource, seconds): (&str, i64)) -> String {
    let now: i64 = sqlx::query_scalar("SELECT extract(epoch FROM now())::bigint")
        .fetch_one(stage.commands.executor.log().pool())
        .await
        .unwrap();
    let at = Timestamp::from_secs(now);
    let (month, whose) = (Month::of(at).unwrap(), (owner.organisation_id, Currency::USD));
    let charged = Charged {
        product: "compute".to_owned(),
        resource: resource.to_owned(),
        sku_id: Some("small".to_owned()),
        from: at.plus_secs(-seconds),
        to: at,
        seconds,
        nanos_per_hour: None,
        discount_bps: None,
        tax: None,
        net_nanos: seconds * SECOND,
        taxes: BTreeMap::new(),
    };
    let issue = InvoiceCommand::Issue(Box::new(IssueInvoice {
        series: "CN".to_owned(),
        issuer: Issuer {
            code: "main".to_owned(),
            name: "Cairn Compute".to_owned(),
            address: "Main Street 1".to_owned(),
            tax_id: String::new(),
        },
        organisation_id: owner.organisation_id,
        customer: None,
        currency: Currency::USD,
        month,
        charged: vec![charged],
        paid_from: PaidFrom { prepaid_nanos: seconds * SECOND, ..PaidFrom::default() },
        balance: Balance::default(),
        counted: Counted { part: 1, after_position: 0, position: 1 },
        at,
    }));
    let command_id = invoice_command(month, whose, 1);
    let context = CommandContext { command_id, ..stage.context() };
    let executor = &stage.commands.executor;
    let done = executor.execute::<InvoiceSeries>("CN", issue, &context, Value::Null).await;
    assert_eq!(done.unwrap().sequence, 1);
    format!("CN-{}-000001", &month.to_string()[..4])
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_on_an_invoice_is_given_back_once_and_a_credit_note_says_so(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set_among(options.clone(), |parts| {
        parts.runner.settings.tick_lag_seconds = 0;
        parts.runner.settings.watch_seconds = 1;
    })
    .await;
    let (owner, operator) =
        (stage.caller(Role::Owner).await, stage.caller(Role::PlatformOperator).await);
    let finance = stage.caller(Role::PlatformFinance).await;
    let (path, rental) = released(&stage, &owner, &operator).await;
    let seconds = rental["active_seconds"].as_i64().unwrap();
    let id = rental["allocation_id"].as_str().unwrap();
    // All but one second.
    let number = invoice(&stage, &owner, (id, seconds - 1)).await;

    let (url, wish) =
        (format!("{path}/corrections"), json!({ "seconds": 2, "reason": "its clock" }));
    let asked = finance.request(Method::POST, &format!("{url}?preview=true"));
    let asked = answer(asked.header("if-match", "*").json(&wish)).await;
    assert_eq!(
        (asked.status, &asked.body["costs"]["charged"]),
        (200, &json!("-0.002")),
        "{}",
        asked.body
    );
    let nothing = |page: &Value| page["items"].as_array().unwrap().len() < 2;
    let papers = owner.get("/v1/invoices").await.body;
    assert!(nothing(&papers), "nothing is done yet: {papers}");

    let done = finance.post_upon("*", &url, &wish).await;
    assert_eq!(done.status, 202, "{}", done.body);
    let papers = owner.until("/v1/invoices", |page| !nothing(page)).await;
    let note = owner
        .get(&format!("/v1/invoices/{}", papers["items"][0]["number"].as_str().unwrap()))
        .await;
    for (pointer, text) in
        [("/kind", "credit_note"), ("/gross/exact", "0.001"), ("/invoice", number.as_str())]
    {
        assert_eq!(note.text(pointer), text, "{pointer}: {}", note.body);
    }
    assert_eq!(note.text("/reason"), format!("1 s of {id} were metered and not used"));

    let is_first = |page: &Value| page["items"][0]["kind"] == "invoice_corrected";
    let lines = owner.until("/v1/statement", is_first).await;
    let kinds: Vec<_> = (0..3).map(|at| lines["items"][at]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["invoice_corrected", "usage_corrected", "usage"], "what is open first");
    for at in 0..2 {
        let line = &lines["items"][at];
        assert_eq!(nanos(&line["amount"]), SECOND, "{line}");
        proven(&stage, &owner, line).await;
    }
    // The month has used what it was invoiced for, and the second that was open is gone from it.
    let used = owner.get("/v1/usage?range=24h&by=hour").await;
    let of_month = &used.body["currencies"][0];
    assert_eq!(nanos(&of_month["cost"]), (seconds - 1) * SECOND, "{of_month}");
    assert_eq!(of_month["resources"][0]["seconds"], seconds - 1, "{of_month}");
    let rental = owner.until(&path, |now| now["corrected_seconds"] == 2).await;
    assert_eq!(nanos(&rental["charged"]), (seconds - 2) * SECOND);
    refused(&stage, (&finance, &url), number).await;
    stage.strike().await;
}

/// Who has been given back all that the invoice was paid with gets nothing of it again.
async fn refused(stage: &Stage, (finance, url): (&Caller, &str), invoice: String) {
    let wanted = Wanted { line: None, amount_nanos: None };
    let rest = Credit { invoice, wanted, reason: "the node was slow".to_owned() };
    credit_notes::issue(&stage.commands, &stage.context(), rest).await.unwrap();
    let wish = json!({ "seconds": 1, "reason": "its clock" });
    let again = finance.post_upon("*", url, &wish).await;
    // Of the only invoice, or of the only money that was used: whichever is gone first.
    assert!(
        ["credit_exceeds_invoice", "credit_exceeds_usage"].contains(&again.code()),
        "{}",
        again.body
    );
}

/// The sum of each entry can be done again.
async fn proven(stage: &Stage, owner: &Caller, line: &Value) {
    let given = proof(owner, line).await;
    assert_eq!(given.status, 200, "{}", given.body);
    let proven = ChargeProof::from_json(&given.body.to_string()).unwrap();
    let keys = PublicKeys::read(&KeyDirectory::at(stage.path("keys")).public_path()).unwrap();
    assert_eq!(proven.check(&keys), Ok(()));
    let charge = &proven.charge;
    assert_eq!(charge.paid_nanos, -SECOND);
    assert_eq!(charge.before_nanos + charge.paid_nanos, charge.total_nanos);
}

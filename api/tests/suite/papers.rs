//! Billing details and papers over HTTP: a customer's own, opened for it alone, and in no table readable.
use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_commands::finance::{entity, invoices};
use cairn_commands::privacy;
use cairn_core::{Currency, HoldId, Month, PaymentId, Subject, TaxRate, Timestamp};
use cairn_finance::credit_note::Wanted;
use cairn_finance::period::{Books, Check, Item};
use cairn_finance::{Issuer, Period, PeriodCommand};
use cairn_identity::Role;
use cairn_ledger::{CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::support::{Answer, Caller, Stage, answer};

const UNIT: i64 = 1_000_000_000;
pub const NAME: &str = "Analytical Engines Ltd";

pub fn details(country: &str) -> Value {
    json!({ "name": NAME, "address": "12 Example Street\nLondon", "country": country, "email": "invoices@example.com" })
}

pub async fn put(caller: &Caller, body: &Value) -> Answer {
    let key = format!("papers-{}", body["country"].as_str().unwrap());
    let request = caller.request(Method::PUT, "/v1/organisation/billing");
    answer(request.header("idempotency-key", key).json(body)).await
}

/// The month before this one, by the database's clock.
async fn last_month(pool: &PgPool) -> Month {
    let now: i64 = sqlx::query_scalar("SELECT extract(epoch FROM now())::bigint")
        .fetch_one(pool)
        .await
        .unwrap();
    let first = Month::of(Timestamp::from_secs(now)).unwrap().starts_at();
    Month::of(first.plus_secs(-1)).unwrap()
}

impl Stage {
    /// Something was used in a month.
    async fn used(&self, (owner, n): (&Caller, u128), month: Month) {
        let (at, expires_at) = (month.starts_at().plus_secs(60), month.ends_at());
        let (hold_id, currency) = (HoldId::from_bits(n), Currency::USD);
        let top_up = WalletCommand::TopUp(TopUp {
            organisation_id: owner.organisation_id,
            currency,
            payment_id: PaymentId::from_bits(n),
            amount_nanos: 20 * UNIT,
            charge_id: format!("ch_{n}"),
            at,
        });
        let place = WalletCommand::PlaceHold(PlaceHold {
            hold_id,
            purpose: "alloc".to_owned(),
            project_id: None,
            amount_nanos: 5 * UNIT,
            expires_at,
            at,
        });
        let capture = WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: 5 * UNIT,
            seconds: 5_000,
            product: "compute".to_owned(),
            keep_nanos: 0,
            expires_at,
            tax: Some(TaxRate { jurisdiction: "DE".to_owned(), ppm: 190_000 }),
            at: at.plus_secs(5_000),
        });
        let wallet = wallet_id(owner.organisation_id, currency);
        let executor = &self.commands.executor;
        for command in [top_up, place, capture] {
            let context = self.context();
            executor.execute::<Wallet>(&wallet, command, &context, Value::Null).await.unwrap();
        }
    }

    /// Whatever stands against it: that is not what is looked at here.
    async fn close_month(&self, month: Month) {
        let executor = &self.commands.executor;
        let checks = Item::ALL.map(|item| Check { item, says: "fine".to_owned(), against: vec![] });
        let position = executor.log().head().await.unwrap();
        let books = Books { position, block: None, accounts: 1, balances_sha256: "ab".repeat(32) };
        let (checks, actor, at) = (checks.to_vec(), "ada".to_owned(), month.ends_at());
        let close = PeriodCommand::Close { month, checks, books, actor, at };
        let (stream, context) = (month.to_string(), self.context());
        executor.execute::<Period>(&stream, close, &context, Value::Null).await.unwrap();
    }
}

/// What each of them used last month, invoiced: the numbers in the order of the callers.
pub async fn invoiced(stage: &Stage, owners: &[&Caller]) -> Vec<String> {
    let month = last_month(stage.commands.executor.log().pool()).await;
    for (owner, n) in owners.iter().zip(77..) {
        stage.used((owner, n), month).await;
    }
    stage.close_month(month).await;
    let issuer = Issuer {
        code: "main".to_owned(),
        name: "Cairn Compute".to_owned(),
        address: "Main Street 1\n8000 Zürich".to_owned(),
        tax_id: "CHE-123".to_owned(),
    };
    let (commands, context) = (&stage.commands, stage.context());
    entity::set(commands, &context, (issuer, "CN".to_owned())).await.unwrap();
    // In the order of ids, which are those of time.
    invoices::issue(commands, &stage.context(), month).await.unwrap().numbers
}

#[sqlx::test(migrations = "../migrations")]
async fn billing_details_are_set_by_those_who_may_and_readable_in_no_table(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let owner = stage.caller(Role::Owner).await;
    let nothing = owner.get("/v1/organisation/billing").await;
    assert_eq!((nothing.status, nothing.body.get("details")), (200, None));
    let set = put(&owner, &details("GB")).await;
    assert_eq!((set.status, set.text("/details/name")), (200, NAME.to_owned()), "{}", set.body);
    let wrong = put(&owner, &details("XX")).await;
    assert_eq!((wrong.status, wrong.code()), (422, "billing_details_invalid"), "{}", wrong.body);
    let shown = owner.get("/v1/organisation/billing").await;
    assert_eq!(shown.body, set.body);
    let viewer = stage.caller_of(Role::Viewer, owner.organisation_id).await;
    assert_eq!(viewer.get("/v1/organisation/billing").await.status, 403);
    assert_eq!(put(&viewer, &details("FR")).await.status, 403);
    let stored: String = sqlx::query_scalar(
        "SELECT payload::text FROM events WHERE event_type = 'billing.details_set'",
    )
    .fetch_one(stage.commands.executor.log().pool())
    .await
    .unwrap();
    assert!(stored.contains("personal:1:") && stored.contains("\"GB\""), "{stored}");
    for personal in [NAME, "Example Street", "invoices@example.com"] {
        assert!(!stored.contains(personal), "{stored}");
    }
    stage.strike().await;
}

/// Five of twenty, of which nineteen parts of a hundred and nineteen are tax.
fn is_what_was_used(invoice: &Answer) {
    for (pointer, text) in [
        ("/customer/name", NAME),
        ("/gross/amount", "5.00"),
        ("/gross/exact", "5.00"),
        ("/net/amount", "4.20"),
        ("/taxes/0/jurisdiction", "DE"),
        ("/taxes/0/tax/amount", "0.80"),
        ("/paid/prepaid/amount", "5.00"),
        ("/closing_balance", "15.00"),
    ] {
        assert_eq!(invoice.text(pointer), text, "{pointer}: {}", invoice.body);
    }
    assert_eq!(invoice.body["lines"][0]["seconds"], 5_000);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_customer_sees_its_own_papers_and_nobody_elses(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let stage = Stage::set(options).await;
    let (owner, other) = (stage.caller(Role::Owner).await, stage.caller(Role::Owner).await);
    assert_ne!(owner.organisation_id, other.organisation_id);
    assert_eq!(put(&owner, &details("GB")).await.status, 200);
    let issued = invoiced(&stage, &[&owner, &other]).await;
    let [number, foreign_number] = &issued[..] else { panic!("{issued:?}") };
    let wanted = Wanted { line: Some(1), amount_nanos: Some(2 * UNIT) };
    let reason = "the node was slow".to_owned();
    let credit = Credit { invoice: number.clone(), wanted, reason };
    let (commands, context) = (&stage.commands, stage.context());
    let (note, done) = credit_notes::issue(commands, &context, credit).await.unwrap();

    let list = owner.get(&format!("/v1/invoices?min_position={}", done.position)).await;
    let numbers: Vec<_> =
        list.body["items"].as_array().unwrap().iter().map(|row| row["number"].clone()).collect();
    assert_eq!(numbers, [json!(note.number), json!(number)]);
    let path = format!("/v1/invoices/{number}");
    is_what_was_used(&owner.get(&path).await);
    let credited = owner.get(&format!("/v1/invoices/{}", note.number)).await;
    assert_eq!(
        (credited.text("/kind"), credited.text("/gross/amount")),
        ("credit_note".into(), "2.00".into())
    );
    assert_eq!(credited.text("/reason"), "the node was slow");

    let foreign = other.get(&path).await;
    assert_eq!((foreign.status, foreign.code()), (404, "unknown_invoice"));
    let theirs = other.get("/v1/invoices").await;
    assert_eq!(theirs.body["items"][0]["number"], json!(foreign_number));
    assert_eq!(theirs.body["items"].as_array().unwrap().len(), 1);
    // All of them are in one stream: an export has only those of its subject.
    for caller in [&owner, &other] {
        let subject = Subject::organisation(caller.organisation_id);
        let executor = &stage.commands.executor;
        let export = privacy::export(executor.log(), executor.personal(), &subject).await.unwrap();
        let own = export.events.iter().filter(|event| event.event_type == "invoice.issued");
        let own: Vec<_> = own.map(|event| &event.payload["invoice"]["organisation_id"]).collect();
        assert_eq!(own, [&json!(caller.organisation_id)]);
    }
    let finance = stage.caller(Role::PlatformFinance).await;
    assert_eq!(finance.get(&path).await.text("/customer/name"), NAME);
    owner.until("/v1/balance", |page| page["items"][0]["posted"] == "17.00").await;
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn who_issues_is_said_on_the_command_line_and_a_slip_is_told_in_words(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let shell = Shell::new(&options);
    let set = "finance entity set main --name Cairn --address Street --series";
    assert_eq!(shell.json(&format!("{set} CN")).await["series"], "CN");
    assert_eq!(shell.json("finance entity list").await[0]["code"], "main");
    assert_eq!(shell.json("finance invoices list").await, json!([]));
    for (line, code, word) in [
        (format!("{set} cn"), 3, "legal_entity_invalid"),
        ("finance invoices issue 2020-01".to_owned(), 3, "period_not_closed"),
        ("finance invoices issue 2020-13".to_owned(), 2, "is not a month"),
        ("finance invoices show CN-2020-000001".to_owned(), 4, "unknown_invoice"),
        ("finance invoices show CN-C-2020-000001".to_owned(), 4, "unknown_invoice"),
        (
            "finance invoices credit CN-2020-000001 --all --reason x".to_owned(),
            4,
            "unknown_invoice",
        ),
        ("finance invoices credit CN-2020-000001 --reason x".to_owned(), 2, "--amount"),
        ("finance invoices credit CN-2020-000001 --all".to_owned(), 2, "--reason"),
    ] {
        let said = shell.run(&line).await;
        assert_eq!(said.code(), code, "{line}: {}", said.talk());
        assert!(said.talk().contains(word), "{line}: {}", said.talk());
    }
}

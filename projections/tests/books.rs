//! The books as finance reads them: the trial balance, and exports that `bean-check` and `hledger check` accept.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::process::Command;

use cairn_core::{Currency, Decider, HoldId, OrganisationId, PaymentId, RefundId, Timestamp};
use cairn_event_log::{AppendRequest, Appended, EventLog, Metadata, NewEvent, Outcome};
use cairn_ledger::{
    CaptureHold, PlaceHold, ReserveRefund, TopUp, Wallet, WalletCommand, wallet_id,
};
use cairn_payments::{Payment, PaymentCommand, Refund, RefundCommand};
use cairn_projections::ledger::export::{ExportFormat, account_name, export};
use cairn_projections::ledger::trial_balance::{AsOf, trial_balance};
use calamine::{Reader as _, Xlsx};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use sqlx::PgPool;

const UNIT: i64 = 1_000_000_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + secs)
}

/// Decides and appends, as the executor does.
async fn execute<A: Decider>(log: &EventLog, id: &str, commands: Vec<A::Command>) {
    let mut state = A::default();
    let mut sequence = 0;
    for command in commands {
        let mut events = vec![];
        for event in state.decide(command).unwrap() {
            state = state.evolve(event.clone());
            events.push(NewEvent::try_new(&event, state.book_entry(&event)).unwrap());
        }
        let count = i64::try_from(events.len()).unwrap();
        let command_id = format!("{id}/{sequence}");
        let request = AppendRequest {
            command_id: command_id.clone(),
            command_hash: [0; 32],
            aggregate_type: A::TYPE,
            aggregate_id: id.to_owned(),
            expected_sequence: sequence,
            events,
            outcome: Outcome::Accepted { result: serde_json::Value::Null },
            metadata: Metadata { actor: "test".to_owned(), command_id, ..Metadata::default() },
        };
        assert!(matches!(log.append(request).await.unwrap(), Appended::Done { .. }));
        sequence += count;
    }
}

fn top_up(n: u128, currency: Currency, amount_nanos: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency,
        payment_id: PaymentId::from_bits(n),
        amount_nanos,
        // Nothing that a provider sends may break a line of an export.
        charge_id: format!("ch_{n},\"quoted\"; x|y\\z"),
        at: at(0),
    })
}

fn hold(n: u128, amount_nanos: i64) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: HoldId::from_bits(n),
        purpose: "alloc".to_owned(),
        project_id: None,
        amount_nanos,
        expires_at: at(600),
        at: at(1),
    })
}

fn capture(n: u128, total_nanos: i64, now: i64) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: HoldId::from_bits(n),
        total_nanos,
        seconds: 60,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at: at(600),
        at: at(now),
    })
}

fn reserve(n: u128, amount_nanos: i64) -> WalletCommand {
    WalletCommand::ReserveRefund(ReserveRefund {
        refund_id: RefundId::from_bits(n),
        payment_id: PaymentId::from_bits(1),
        amount_nanos,
        reason: "asked".to_owned(),
        at: at(86_401),
    })
}

/// Three currencies; usage with odd nanos, an overrun that took effect before everything else, a fee, and two refunds: one
/// comes back into the wallet, the other was paid and then failed at the provider.
async fn story(pool: &PgPool) -> EventLog {
    let log = EventLog::over(pool.clone());
    let wallet = |currency| wallet_id(ORGANISATION, currency);
    let back = WalletCommand::ReturnRefund { refund_id: RefundId::from_bits(2), at: at(90_000) };
    let dollars = vec![
        top_up(1, Currency::USD, 20 * UNIT),
        hold(1, UNIT),
        capture(1, 123_456_789, 86_400),
        reserve(1, 5 * UNIT),
        reserve(2, UNIT),
        back,
    ];
    execute::<Wallet>(&log, &wallet(Currency::USD), dollars).await;
    let euros = vec![top_up(2, Currency::EUR, 30 * UNIT), hold(2, 2 * UNIT)];
    execute::<Wallet>(&log, &wallet(Currency::EUR), euros).await;
    let francs =
        vec![top_up(3, Currency::CHF, 10 * UNIT), hold(3, UNIT), capture(3, 40 * UNIT, -200_000)];
    execute::<Wallet>(&log, &wallet(Currency::CHF), francs).await;
    execute::<Payment>(&log, "pay_1", payment()).await;
    execute::<Refund>(&log, "refund_1", refund()).await;
    log
}

fn payment() -> Vec<PaymentCommand> {
    vec![
        PaymentCommand::Request {
            payment_id: PaymentId::from_bits(1),
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos: 20 * UNIT,
            payment_method: None,
            at: at(0),
        },
        PaymentCommand::Succeed {
            provider_id: "pi_1".to_owned(),
            charge_id: "ch_1".to_owned(),
            amount_nanos: 20 * UNIT,
            at: at(0),
        },
        PaymentCommand::RecordFee {
            balance_transaction_id: "txn_1".to_owned(),
            fee_nanos: 880_000_000,
            at: at(1),
        },
    ]
}

fn refund() -> Vec<RefundCommand> {
    vec![
        RefundCommand::Request {
            refund_id: RefundId::from_bits(1),
            payment_id: PaymentId::from_bits(1),
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos: 5 * UNIT,
            charge_id: "ch_1".to_owned(),
            at: at(86_401),
        },
        RefundCommand::Succeed {
            provider_id: "re_1".to_owned(),
            amount_nanos: 5 * UNIT,
            at: at(86_500),
        },
        RefundCommand::Fail { code: "lost".to_owned(), at: at(172_800) },
    ]
}

async fn exported(pool: &PgPool, format: ExportFormat) -> String {
    String::from_utf8(exported_bytes(pool, format).await).unwrap()
}

async fn exported_bytes(pool: &PgPool, format: ExportFormat) -> Vec<u8> {
    let mut out = vec![];
    let exported = export(pool, format, AsOf::Now, &mut out).await.unwrap();
    assert!(exported.postings >= 2 * exported.transactions && exported.transactions > 0);
    out
}

/// Runs a program over a file and answers what it printed; fails if it is missing, or says that the file is wrong.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program} cannot be run ({error}): `cargo xtask setup` installs it")
    });
    let (printed, said) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(printed).unwrap()
}

fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// What the trial balance says, by the name that a format gives each account, in nanos.
async fn balances(pool: &PgPool, format: ExportFormat) -> BTreeMap<String, i128> {
    let trial = trial_balance(pool, AsOf::Now).await.unwrap();
    let named = trial.accounts.iter().filter(|row| row.balance.0 != 0);
    named.map(|row| (account_name(format, &row.account), row.balance.0)).collect()
}

fn nanos(decimal: &str) -> i128 {
    if decimal.starts_with("0E-") {
        return 0;
    }
    let (units, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{units}{fraction:0<9}").parse().unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn every_currency_sums_to_zero_at_every_position(pool: PgPool) {
    let log = story(&pool).await;
    for position in 0..=log.head().await.unwrap() {
        let trial = trial_balance(&pool, AsOf::Position(position)).await.unwrap();
        assert_eq!((trial.balanced, trial.grand_total().as_str()), (true, "0"), "{position}");
    }
    let trial = trial_balance(&pool, AsOf::Now).await.unwrap();
    assert_eq!(trial.totals.len(), 3);
    let of = |code: &str| trial.accounts.iter().find(|row| row.account == code).unwrap();
    let wallet = of(&format!("wallet:paid:{ORGANISATION}:USD"));
    assert_eq!(wallet.balance.to_string(), "-14.876543211");
    assert_eq!(
        (wallet.account_type.as_str(), wallet.debit.to_string()),
        ("liability", "6.123456789".to_owned())
    );
    assert_eq!(of("stripe:pending:USD").balance.to_string(), "19.12");
    assert_eq!(of("refund_payable:USD").balance.to_string(), "-5.00");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_trial_balance_of_the_past_does_not_change(pool: PgPool) {
    let log = EventLog::over(pool.clone());
    let id = wallet_id(ORGANISATION, Currency::USD);
    execute::<Wallet>(&log, &id, vec![top_up(1, Currency::USD, UNIT)]).await;
    let early = trial_balance(&pool, AsOf::Now).await.unwrap();
    let recorded = log.read(0, 1).await.unwrap()[0].recorded_at;
    execute::<Payment>(&log, "pay_1", payment()).await;
    assert_eq!(trial_balance(&pool, AsOf::Position(1)).await.unwrap(), early);
    assert_eq!(trial_balance(&pool, AsOf::Time(recorded)).await.unwrap(), early);
    let before = trial_balance(&pool, AsOf::Time(recorded.plus_secs(-1))).await.unwrap();
    assert_eq!((before.position, before.accounts.len(), before.balanced), (0, 0, true));
}

#[sqlx::test(migrations = "../migrations")]
async fn beancount_accepts_the_export_and_finds_the_same_balances(pool: PgPool) {
    story(&pool).await;
    let text = exported(&pool, ExportFormat::Beancount).await;
    let (_directory, path) = file("cairn.beancount", &text);
    run("bean-check", &[&path]);
    let query = "SELECT account, sum(number) AS total GROUP BY account";
    let printed = run("bean-query", &["--format", "csv", &path, query]);
    let found = printed.lines().skip(1).map(|line| {
        let (account, total) = line.split_once(',').unwrap();
        (account.trim().to_owned(), nanos(total.trim()))
    });
    let found: BTreeMap<_, _> = found.filter(|(_, total)| *total != 0).collect();
    assert_eq!(found, balances(&pool, ExportFormat::Beancount).await);
}

#[sqlx::test(migrations = "../migrations")]
async fn hledger_accepts_the_export_and_finds_the_same_balances(pool: PgPool) {
    story(&pool).await;
    let text = exported(&pool, ExportFormat::Hledger).await;
    let (_directory, path) = file("cairn.journal", &text);
    run("hledger", &["-f", &path, "check", "--strict"]);
    let printed = run("hledger", &["-f", &path, "balance", "--flat", "-N", "-O", "csv"]);
    let found = printed.lines().skip(1).map(|line| {
        let (account, total) = line.trim_matches('"').split_once("\",\"").unwrap();
        (account.to_owned(), nanos(total.split_once(' ').unwrap().0))
    });
    let found: BTreeMap<_, _> = found.filter(|(_, total)| *total != 0).collect();
    assert_eq!(found, balances(&pool, ExportFormat::Hledger).await);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_export_is_refused_by_both_tools(pool: PgPool) {
    story(&pool).await;
    for (format, program, arguments) in [
        (ExportFormat::Beancount, "bean-check", &[][..]),
        (ExportFormat::Hledger, "hledger", &["check", "-f"][..]),
    ] {
        let text = exported(&pool, format).await.replacen("0.880000000", "0.880000001", 1);
        let (_directory, path) = file("wrong", &text);
        let output = Command::new(program).args(arguments).arg(&path).output().unwrap();
        assert!(!output.status.success(), "{program} must notice one nano");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn csv_has_every_leg_and_the_same_totals(pool: PgPool) {
    story(&pool).await;
    let text = exported(&pool, ExportFormat::Csv).await;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap().len(), 13);
    let mut found = BTreeMap::<String, i128>::new();
    for record in reader.records() {
        let record = record.unwrap();
        *found.entry(record[9].to_owned()).or_default() += nanos(&record[12]);
    }
    found.retain(|_, total| *total != 0);
    assert_eq!(found, balances(&pool, ExportFormat::Csv).await);
    assert!(text.contains("\"ch_1,\"\"quoted\"\"; x|y\\z\""), "odd ids survive");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_workbook_has_the_same_totals(pool: PgPool) {
    story(&pool).await;
    let bytes = exported_bytes(&pool, ExportFormat::Xlsx).await;
    let mut book = Xlsx::new(Cursor::new(bytes)).unwrap();
    let rows = book.worksheet_range("journal").unwrap();
    let mut rows = rows.rows().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>());
    let header = rows.next().unwrap();
    assert_eq!(header[9..], ["account", "account_type", "currency", "amount", "amount_exact"]);
    let mut found = BTreeMap::<String, i128>::new();
    for row in rows {
        *found.entry(row[9].clone()).or_default() += nanos(&row[13]);
    }
    found.retain(|_, total| *total != 0);
    assert_eq!(found, balances(&pool, ExportFormat::Xlsx).await);
}

#[sqlx::test(migrations = "../migrations")]
async fn parquet_has_the_same_totals(pool: PgPool) {
    story(&pool).await;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&exported_bytes(&pool, ExportFormat::Parquet).await).unwrap();
    let rows = SerializedFileReader::new(file).unwrap();
    let mut found = BTreeMap::<String, i128>::new();
    for row in rows.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        let amount = row.get_decimal(12).unwrap();
        let sign = if amount.data()[0] & 0x80 == 0 { 0 } else { -1 };
        let amount = amount.data().iter().fold(sign, |sum, byte| (sum << 8) | i128::from(*byte));
        *found.entry(row.get_string(9).unwrap().clone()).or_default() += amount;
    }
    found.retain(|_, total| *total != 0);
    assert_eq!(found, balances(&pool, ExportFormat::Parquet).await);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_empty_journal_is_a_valid_export(pool: PgPool) {
    for (format, program, arguments) in [
        (ExportFormat::Beancount, "bean-check", &[][..]),
        (ExportFormat::Hledger, "hledger", &["check", "-f"][..]),
    ] {
        let mut out = vec![];
        export(&pool, format, AsOf::Now, &mut out).await.unwrap();
        let (_directory, path) = file("empty", &String::from_utf8(out).unwrap());
        run(program, &[arguments, &[&path]].concat());
    }
}

#[test]
fn different_accounts_never_get_the_same_name() {
    let codes = [
        "usage:a_b:EUR",
        "usage:a-b:EUR",
        "usage:a.b:EUR",
        "usage:ab:EUR",
        "usage:_ab:EUR",
        "usage:1:EUR",
    ];
    for format in [ExportFormat::Beancount, ExportFormat::Hledger] {
        let names: std::collections::BTreeSet<_> =
            codes.iter().map(|code| account_name(format, code)).collect();
        assert_eq!(names.len(), codes.len(), "{names:?}");
    }
    assert_eq!(account_name(ExportFormat::Beancount, "usage:_ab:EUR"), "Income:Usage:X-x5f-ab:EUR");
}

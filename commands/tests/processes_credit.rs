//! Promotional credit ends at its time, and what a credit note gives back arrives: what that wants, as data, and on a real database in virtual
//! time.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::finance::FinanceError;
use cairn_commands::finance::credit_notes::{self, Credit};
use cairn_commands::ledger::{GrantCredit, grant_credit};
use cairn_commands::payments::{RequestRefund, request_refund};
use cairn_commands::processes::credit_invoice::CreditInvoice;
use cairn_commands::processes::expire_credit::ExpireCredit;
use cairn_commands::processes::{
    Awoken, Command, Effect, Intent, Occurrence, ProcessManager, Status, Timer,
};
use cairn_commands::replay::verify;
use cairn_commands::{ExecuteError, Executed};
use cairn_core::{CreditId, Currency, HoldId, OrganisationId, Timestamp};
use cairn_finance::credit_note::Wanted;
use cairn_ledger::{
    CaptureHold, CreditUse, Invoiced, OffInvoice, PlaceHold, Wallet, WalletCommand, WalletEvent,
};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::harness::{Harness, Memory, PER_HOUR, Snapshot, usd};
use support::papers::{invoice, invoice_of, notes};
use support::react::{HOLD, NOW, ORGANISATION, command, given, journal, timer, wallet, wallet_id};
use support::stories;

const CREDIT: CreditId = CreditId::from_bits(9);
const EXPIRY: Timer = Timer::CreditExpiry { since: 7 };

fn granted(credit_id: CreditId) -> Occurrence {
    wallet(WalletEvent::CreditGranted {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        credit_id,
        amount_nanos: 5,
        expires_at: NOW.plus_secs(60),
        reason: "welcome".to_owned(),
        journal: journal(),
    })
}

fn used(amount_nanos: i64) -> Occurrence {
    wallet(WalletEvent::UsageCaptured {
        hold_id: HOLD,
        amount_nanos,
        total_nanos: amount_nanos,
        seconds: 1,
        credits: vec![CreditUse { credit_id: CREDIT, amount_nanos }],
        lots: vec![],
        tax: None,
        journal: journal(),
    })
}

fn given_back(amount_nanos: i64) -> Occurrence {
    wallet(WalletEvent::UsageCorrected {
        hold_id: HOLD,
        amount_nanos,
        owed_nanos: 0,
        total_nanos: 0,
        seconds: 0,
        credits: vec![CreditUse { credit_id: CREDIT, amount_nanos }],
        lots: vec![],
        tax: None,
        invoiced: None,
        journal: journal(),
    })
}

/// The same of what is on an invoice; nothing of it was promotional credit.
fn taken_off(amount_nanos: i64) -> Occurrence {
    wallet(WalletEvent::UsageCorrected {
        hold_id: HOLD,
        amount_nanos,
        owed_nanos: 1,
        total_nanos: 0,
        seconds: 0,
        credits: vec![],
        lots: vec![],
        tax: None,
        invoiced: Some(Invoiced { invoice: "CN-2026-000001".to_owned(), seconds: 9, line: None }),
        journal: journal(),
    })
}

fn expired(amount_nanos: i64) -> Occurrence {
    wallet(WalletEvent::CreditExpired { credit_id: CREDIT, amount_nanos, journal: journal() })
}

#[test]
fn what_is_left_of_credit_is_swept_when_its_time_is_over() {
    assert_eq!(given::<ExpireCredit>(&[]).when(granted(CREDIT)), [timer(EXPIRY, 60)]);
    let swept = || {
        let sweep = Command::SweepHolds { wallet_id: wallet_id() };
        Awoken { intents: vec![command(sweep)], again_at: None }
    };
    assert_eq!(given::<ExpireCredit>(&[granted(CREDIT)]).due(EXPIRY, 60), swept());
    assert_eq!(given::<ExpireCredit>(&[granted(CREDIT), used(4)]).due(EXPIRY, 60), swept());
    given::<ExpireCredit>(&[granted(CREDIT), used(4)]).is(Status::Running);
    let back = [granted(CREDIT), used(5), given_back(2)];
    assert_eq!(given::<ExpireCredit>(&back).due(EXPIRY, 60), swept());
    given::<ExpireCredit>(&back).is(Status::Running);
    for over in [[used(5), used(0)], [used(2), expired(3)], [expired(1), expired(4)]] {
        let history = [&[granted(CREDIT)][..], &over].concat();
        given::<ExpireCredit>(&history).is(Status::Done);
        assert_eq!(given::<ExpireCredit>(&history).due(EXPIRY, 60), Awoken::default());
    }
}

#[test]
fn what_a_correction_takes_off_an_invoice_is_put_on_paper_and_moves_nothing_more() {
    let off = OffInvoice {
        invoiced: Invoiced { invoice: "CN-2026-000001".to_owned(), seconds: 9, line: None },
        entry: journal().source_id,
        hold_id: HOLD,
        net_nanos: 5,
        tax: None,
        owed_nanos: 1,
    };
    let paper = [Intent::effect(Effect::IssueNote(off), None)];
    assert_eq!(given::<CreditInvoice>(&[]).when(taken_off(5)), paper);
    given::<CreditInvoice>(&[taken_off(5)]).is(Status::Running);
    // On no invoice, or nothing that anybody paid for.
    assert_eq!(CreditInvoice::correlate(&given_back(5)), None);
}

async fn grant(
    harness: &Harness,
    organisation_id: OrganisationId,
    units: i64,
    expires_at: Timestamp,
) -> Result<Executed, ExecuteError> {
    let reason = "welcome".to_owned();
    let wish = GrantCredit { organisation_id, amount: usd(units), expires_at, reason };
    grant_credit(&harness.commands, &harness.context(), wish).await
}

async fn expire_credit(harness: &mut Harness, wallet_id: &str) -> Option<String> {
    harness.snapshot().await.status("expire_credit", wallet_id).map(str::to_owned)
}

#[sqlx::test(migrations = "../migrations")]
async fn credit_that_nobody_asks_for_expires_and_what_is_held_of_it_when_it_is_given_back(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    let wallet_id = cairn_ledger::wallet_id(organisation_id, Currency::USD);
    let now = harness.commands.clock.now();
    grant(&harness, organisation_id, 5, now.plus_secs(300)).await.unwrap();
    let hold_id = HoldId::from_bits(harness.commands.ids.next());
    let hold = WalletCommand::PlaceHold(PlaceHold {
        hold_id,
        purpose: "a test".to_owned(),
        project_id: None,
        amount_nanos: usd(2).nanos,
        expires_at: now.plus_secs(86_400),
        at: now,
    });
    let (executor, context) = (harness.commands.executor.clone(), harness.context());
    executor.execute::<Wallet>(&wallet_id, hold, &context, Value::Null).await.unwrap();
    harness.run_for(290).await;
    let before: Wallet = harness.load(&wallet_id).await;
    assert_eq!(before.promotional.posted_nanos(), usd(5).nanos);
    harness.run_for(20).await;
    let after: Wallet = harness.load(&wallet_id).await;
    assert_eq!(after.promotional.posted_nanos(), usd(2).nanos, "the hold keeps its share");
    assert_eq!(after.available_nanos(), 0);
    assert_eq!(expire_credit(&mut harness, &wallet_id).await.as_deref(), Some("running"));
    let release = WalletCommand::ReleaseHold { hold_id, at: harness.commands.clock.now() };
    let context = harness.context();
    executor.execute::<Wallet>(&wallet_id, release, &context, Value::Null).await.unwrap();
    let over: Wallet = harness.load(&wallet_id).await;
    assert_eq!(over.promotional.posted_nanos(), 0, "and then it is over too");
    harness.run_for(5).await;
    assert_eq!(expire_credit(&mut harness, &wallet_id).await.as_deref(), Some("done"));
    let promo: i64 = sqlx::query_scalar(
        "SELECT sum(amount_nanos)::bigint FROM ledger_postings WHERE account = 'promo:USD'",
    )
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(promo, 0, "what nobody used cost nothing");
    let report = verify(executor.log()).await.unwrap();
    assert!(report.identical && report.holds == 1 && report.wallets == 1, "{report:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_runs_on_credit_alone_and_then_on_paid_money(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    let end = harness.commands.clock.now().plus_secs(86_400 * 30);
    grant(&harness, organisation_id, 4, end).await.unwrap();
    let id = stories::rent(&mut harness, organisation_id).await;
    let rented = stories::wallet(&harness, organisation_id).await;
    assert_eq!(rented.posted_nanos, 0);
    assert!(rented.promotional.held_nanos > 0, "credit pays for the runway");
    let payment = stories::top_up(&mut harness, organisation_id, 5).await;
    harness.run_for(4_200).await;
    stories::release(&mut harness, id).await;
    let wallet = stories::wallet(&harness, organisation_id).await;
    let charged: i64 = wallet.holds.values().map(|hold| hold.captured_nanos).sum();
    assert!(charged > usd(4).nanos, "it ran past its credit: {charged}");
    assert_eq!(wallet.promotional.posted_nanos(), 0);
    assert_eq!(wallet.posted_nanos, usd(9).nanos - charged, "paid money paid for the rest only");
    // All that is left goes back, and not a cent of what was given.
    let refund = RequestRefund {
        organisation_id,
        payment_id: payment.parse().unwrap(),
        amount: Some(usd(5)),
        reason: "asked".to_owned(),
    };
    let more = request_refund(&harness.commands, &harness.context(), refund).await.unwrap_err();
    let ExecuteError::Refused { code, .. } = more else { panic!("{more:?}") };
    assert_eq!(code, "exceeds_refundable");
    let report = verify(harness.commands.executor.log()).await.unwrap();
    assert!(report.identical, "{report:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_grant_counts_once_under_its_key_and_never_in_the_past(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    let now = harness.commands.clock.now();
    let context = harness.context();
    let wish = GrantCredit {
        organisation_id,
        amount: usd(3),
        expires_at: now.plus_secs(60),
        reason: "welcome".to_owned(),
    };
    let first = grant_credit(&harness.commands, &context, wish.clone()).await.unwrap();
    let again = grant_credit(&harness.commands, &context, wish).await.unwrap();
    assert_eq!((again.replayed, again.result), (true, first.result));
    let wallet = stories::wallet(&harness, organisation_id).await;
    assert_eq!(wallet.promotional.posted_nanos(), usd(3).nanos);
    let past = grant(&harness, organisation_id, 3, now).await.unwrap_err();
    let ExecuteError::Refused { code, .. } = past else { panic!("{past:?}") };
    assert_eq!(code, "credit_expiry_invalid");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_credit_note_says_is_given_back_once_also_when_nobody_is_there_at_first(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    stories::top_up(&mut harness, organisation_id, 10).await;
    let id = stories::rent(&mut harness, organisation_id).await;
    harness.run_for(1_800).await;
    stories::release(&mut harness, id).await;
    let commands = harness.commands.clone();
    let before = stories::wallet(&harness, organisation_id).await;
    let used_nanos = usd(10).nanos - before.posted_nanos;
    assert!(used_nanos > 0);
    let number = invoice(&harness, organisation_id, used_nanos).await;

    // The paper is issued while nobody carries wishes out: the money waits.
    harness.kill_runner().await;
    let credit = || Credit {
        invoice: number.clone(),
        wanted: Wanted { line: None, amount_nanos: None },
        reason: "the node was slow".to_owned(),
    };
    let context = harness.context();
    let (note, _) = credit_notes::issue(&commands, &context, credit()).await.unwrap();
    let (again, _) = credit_notes::issue(&commands, &context, credit()).await.unwrap();
    assert_eq!((&again.number, &again.invoice.number), (&note.number, &number));
    assert_eq!(stories::wallet(&harness, organisation_id).await, before);
    harness.start_runner();
    harness.run_for(10).await;
    let after = stories::wallet(&harness, organisation_id).await;
    assert_eq!(after.posted_nanos, usd(10).nanos, "all that was used");
    assert_eq!(after.lots[0].remaining_nanos, usd(10).nanos);
    let snapshot = harness.snapshot().await;
    assert_eq!(snapshot.status("credit_invoice", &note.number), Some("done"));
    let more = credit_notes::issue(&commands, &harness.context(), credit()).await;
    let Err(FinanceError::Case(ExecuteError::Refused { code, .. })) = more else { panic!() };
    assert_eq!(code, "credit_exceeds_invoice");
    let income: i64 = sqlx::query_scalar(
        "SELECT sum(amount_nanos)::bigint FROM ledger_postings WHERE account = 'usage:compute:USD'",
    )
    .fetch_one(harness.pool())
    .await
    .unwrap();
    assert_eq!(income, 0, "and nothing was earned");
    let report = verify(commands.executor.log()).await.unwrap();
    assert!(report.identical, "{report:?}");
}

fn papers_done(snapshot: &Snapshot) -> usize {
    let ours = snapshot.processes.iter().filter(|it| it.process == "credit_invoice");
    ours.filter(|it| it.status == "done").count()
}

/// Money that something else has used.
async fn use_up(harness: &Harness, organisation_id: OrganisationId, units: i64) {
    let (hold_id, at) = (HoldId::from_bits(harness.commands.ids.next()), harness.clock_now());
    let (expires_at, amount_nanos) = (at.plus_secs(60), usd(units).nanos);
    let purpose = "a test".to_owned();
    let place = PlaceHold { hold_id, purpose, project_id: None, amount_nanos, expires_at, at };
    let capture = CaptureHold {
        hold_id,
        total_nanos: amount_nanos,
        seconds: 1,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at,
        at,
    };
    let wallet_id = cairn_ledger::wallet_id(organisation_id, Currency::USD);
    for command in [WalletCommand::PlaceHold(place), WalletCommand::CaptureHold(capture)] {
        let (executor, context) = (&harness.commands.executor, harness.context());
        executor.execute::<Wallet>(&wallet_id, command, &context, Value::Null).await.unwrap();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_on_an_invoice_is_taken_back_after_what_is_not_and_a_note_for_each_line_says_so(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let mut harness = Harness::start(db, Memory::new()).await;
    let organisation_id = harness.organisation();
    stories::top_up(&mut harness, organisation_id, 10).await;
    let id = stories::rent(&mut harness, organisation_id).await;
    harness.run_for(1_200).await;
    let last_nanos = 200 * PER_HOUR / 3_600;
    let whose = (organisation_id, id);
    let (number, invoiced_nanos) = invoice_of(&harness, whose, Some(last_nanos)).await;
    harness.run_for(600).await;
    stories::release(&mut harness, id).await;
    use_up(&harness, organisation_id, 3).await;
    let before = stories::wallet(&harness, organisation_id).await;
    let charged_nanos = before.holds[&HoldId::from_bits(id.bits()).to_string()].charged_nanos();
    let (back_nanos, open_nanos) = (900 * PER_HOUR / 3_600, charged_nanos - invoiced_nanos);
    assert!(0 < open_nanos && open_nanos < back_nanos, "{open_nanos}");

    // The wish is taken while nobody carries it out.
    harness.kill_runner().await;
    stories::correct(&harness, id, 900).await.unwrap();
    assert_eq!(stories::wallet(&harness, organisation_id).await, before);
    harness.start_runner();
    harness.until("the notes are issued", |s| papers_done(s) == 2).await;
    let after = stories::wallet(&harness, organisation_id).await;
    assert_eq!(after.posted_nanos - before.posted_nanos, back_nanos, "once");
    let note_nanos = back_nanos - open_nanos;
    let mut said = notes(&harness).await;
    assert!(said.iter().all(|note| note.invoice.number == number && note.lines.len() == 1));
    said.sort_by_key(|note| note.lines[0].line);
    let said: Vec<_> = said.iter().map(|it| (it.lines[0].line, it.totals.gross.nanos)).collect();
    let wanted = [(1, note_nanos - last_nanos), (2, last_nanos)];
    assert_eq!(said, wanted, "the last line first, and what was open is on no paper");
    let entries: Vec<(String, i64)> = sqlx::query_as(
        "SELECT t.kind, sum(p.amount_nanos)::bigint FROM ledger_journal_transactions t JOIN ledger_postings p USING (position)
         WHERE p.account LIKE 'usage:%' AND t.kind LIKE '%corrected' GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(harness.pool())
    .await
    .unwrap();
    let expected = [("invoice_corrected", note_nanos), ("usage_corrected", open_nanos)];
    assert_eq!(entries, expected.map(|(kind, nanos)| (kind.to_owned(), nanos)));

    // The rest of the invoice is given back by hand: then nothing of it is left, and nothing changes.
    let wanted = Wanted { line: None, amount_nanos: None };
    let rest = Credit { invoice: number, wanted, reason: "the node was slow".to_owned() };
    let (commands, context) = (harness.commands.clone(), harness.context());
    credit_notes::issue(&commands, &context, rest).await.unwrap();
    harness.until("it is given back", |s| papers_done(s) == 3).await;
    let before = stories::wallet(&harness, organisation_id).await;
    let refused = stories::correct(&harness, id, 1).await.unwrap_err();
    let ExecuteError::Refused { code, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(code, "credit_exceeds_invoice");
    assert_eq!(stories::wallet(&harness, organisation_id).await, before);
    let report = verify(commands.executor.log()).await.unwrap();
    assert!(report.identical, "{report:?}");
}

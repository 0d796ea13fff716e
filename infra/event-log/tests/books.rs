//! The books: what the database itself refuses, whoever asks.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use cairn_core::chart::AccountType;
use cairn_core::{BookEntry, HoldChange, JournalTransaction, Posting};
use cairn_event_log::{Appended, EventLog, LogError};
use common::{WALLET, booked, held, hold, moved, open, request, top_up, transfer, usage};
use sqlx::{Executor, PgPool};

/// Appends the entries one by one, each on a stream of its own; the last must be refused by `constraint`.
async fn check_refused(log: &EventLog, entries: Vec<BookEntry>, constraint: &str) {
    let before = trial(log).await;
    let last = entries.len() - 1;
    for (number, entry) in entries.into_iter().enumerate() {
        let mut request = request("", 0, vec![booked(entry)]);
        request.aggregate_id = request.command_id.clone();
        let answer = log.append(request).await;
        match answer {
            Ok(Appended::Done { .. }) if number < last => {}
            Err(LogError::Rejected { constraint: by, message }) if number == last => {
                assert_eq!(by, constraint, "{message}");
            }
            other => panic!("{constraint}, entry {number}: {other:?}"),
        }
    }
    assert_eq!(trial(log).await.0, before.0, "the books still balance");
}

/// The sum of all postings, and of the guarded balances against their postings and holds.
async fn trial(log: &EventLog) -> (i64, i64) {
    let sums: (Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT (SELECT sum(amount_nanos)::bigint FROM ledger_postings),
                (SELECT sum(abs(b.posted_nanos + p.posted) + abs(b.held_nanos - h.held))::bigint
                 FROM ledger_balances b,
                 LATERAL (SELECT coalesce(sum(amount_nanos), 0)::bigint AS posted FROM ledger_postings p
                          WHERE p.account = b.account) p,
                 LATERAL (SELECT coalesce(sum(reserved_nanos - captured_nanos - released_nanos), 0)::bigint AS held
                          FROM ledger_holds l WHERE l.account = b.account) h)",
    )
    .fetch_one(log.pool())
    .await
    .unwrap();
    (sums.0.unwrap_or(0), sums.1.unwrap_or(0))
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_database_refuses_every_wrong_entry(pool: PgPool) {
    let log = open(&pool).await;
    let mut crooked = transfer(("top_up", "a"), 5, ("stripe:pending:USD", WALLET));
    crooked.postings[0].amount_nanos = 6;
    let mut lonely = transfer(("top_up", "b"), 5, ("stripe:pending:USD", WALLET));
    lonely.postings.pop();
    let mut empty = transfer(("top_up", "c"), 5, ("stripe:pending:USD", WALLET));
    empty.postings.clear();
    let mut nil = transfer(("top_up", "d"), 5, ("stripe:pending:USD", WALLET));
    nil.postings.push(Posting { account: WALLET.to_owned(), amount_nanos: 0 });
    let foreign = transfer(("top_up", "e"), 5, ("stripe:pending:EUR", WALLET));
    let nameless = transfer(("top_up", "f"), 5, ("petty_cash:USD", WALLET));
    let forbidden = transfer(("top_up", "g"), 5, ("stripe_fees:USD", WALLET));
    let unknown = transfer(("gift", "h"), 5, ("stripe:pending:USD", WALLET));
    let mut ancient = transfer(("top_up", "i"), 5, ("stripe:pending:USD", WALLET));
    ancient.occurred_at = cairn_core::Timestamp::from_secs(0);
    let mut slashed = transfer(("top_up", "j"), 5, ("stripe:pending:USD", WALLET));
    slashed.source = "a/b".to_owned();
    for (entry, constraint) in [
        (crooked, "ledger_postings_balanced"),
        (lonely, "ledger_postings_balanced"),
        (empty, "ledger_journal_has_legs"),
        (nil, "ledger_postings_not_zero"),
        (foreign, "ledger_accounts_code_ends_in_currency"),
        (nameless, "23502"),
        (forbidden, "ledger_postings_kind"),
        (unknown, "ledger_postings_kind"),
        (ancient, "ledger_journal_period_open"),
        (slashed, "ledger_journal_source_has_no_slash"),
    ] {
        check_refused(&log, vec![moved(entry)], constraint).await;
    }
    assert_eq!(log.head().await.unwrap(), 0);
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_leg_in_another_currency_than_its_account_is_refused(pool: PgPool) {
    let log = open(&pool).await;
    let mut euros = transfer(("top_up", "b"), 5, ("stripe:pending:EUR", WALLET));
    euros.currency = cairn_core::Currency::EUR;
    // The wallet was opened in dollars before.
    check_refused(&log, vec![top_up("a", 5), moved(euros)], "ledger_postings_currency").await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_wallet_cannot_be_overdrawn_holds_included(pool: PgPool) {
    let log = open(&pool).await;
    let overdraft = "ledger_balances_no_overdraft";
    check_refused(&log, vec![usage("first", 1)], overdraft).await;
    check_refused(&log, vec![top_up("a", 100), usage("b", 101)], overdraft).await;
    check_refused(&log, vec![held(hold(1, 60, 0, 0)), usage("c", 41)], overdraft).await;
    check_refused(&log, vec![held(hold(2, 41, 0, 0))], overdraft).await;
    check_refused(&log, vec![usage("d", 40), usage("e", 1)], overdraft).await;
    assert_eq!(trial(&log).await, (0, 0));
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_hold_gives_out_no_more_than_it_reserved(pool: PgPool) {
    let log = open(&pool).await;
    let within = "ledger_holds_within_reserve";
    let capture = |id: u128, source_id: &str, amount: i64| BookEntry {
        hold: Some(hold(id, 0, amount, 0)),
        ..usage(source_id, amount)
    };
    let other = held(hold(9, 40, 0, 0));
    let entries = vec![top_up("a", 100), other, held(hold(1, 50, 0, 0)), capture(1, "b", 51)];
    check_refused(&log, entries, within).await;
    check_refused(&log, vec![capture(1, "c", 30), held(hold(1, 0, 0, 21))], within).await;
    let back = "ledger_holds_only_grow";
    check_refused(&log, vec![held(hold(1, 0, 0, 20)), held(hold(1, 0, 0, -1))], back).await;
    let mut moved = hold(1, 1, 0, 0);
    moved.account = "wallet:paid:org_2:USD".to_owned();
    let other = moved_top_up("d", &moved.account);
    check_refused(&log, vec![other, held(moved)], "ledger_holds_account").await;
    let mut platform = hold(3, 1, 0, 0);
    platform.account = "refund_payable:USD".to_owned();
    check_refused(&log, vec![held(platform)], "ledger_holds_account_fkey").await;
    assert_eq!(trial(&log).await, (0, 0));
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_hold_has_its_shares_on_both_accounts_of_one_wallet_and_each_is_guarded(pool: PgPool) {
    const PROMO: &str = "wallet:promo:org_1:USD";
    let log = open(&pool).await;
    let granted = moved(transfer(("promo_granted", "g"), 60, ("promo:USD", PROMO)));
    let share = |id: u128, paid: i64, promo: i64| BookEntry {
        hold: Some(hold(id, paid, 0, 0)),
        promotional_hold: Some(HoldChange { account: PROMO.to_owned(), ..hold(id, promo, 0, 0) }),
        ..BookEntry::default()
    };
    let overdraft = "ledger_balances_no_overdraft";
    let entries =
        vec![top_up("a", 100), granted, share(1, 50, 20), share(9, 0, 30), share(2, 1, 11)];
    check_refused(&log, entries, overdraft).await;
    check_refused(&log, vec![share(3, 51, 1)], overdraft).await;
    // Each share gives out no more than it has, whatever the other still has.
    let mut charge = transfer(("usage", "u"), 21, (PROMO, "usage:compute:USD"));
    let spent = HoldChange { account: PROMO.to_owned(), ..hold(1, 0, 21, 0) };
    let captured = |journal: &JournalTransaction, spent: &HoldChange| BookEntry {
        journal: Some(journal.clone()),
        promotional_hold: Some(spent.clone()),
        ..BookEntry::default()
    };
    let within = "ledger_holds_within_reserve";
    check_refused(&log, vec![captured(&charge, &spent)], within).await;
    charge = transfer(("usage", "v"), 20, (PROMO, "usage:compute:USD"));
    let spent = HoldChange { captured_nanos: 20, ..spent };
    let foreign = HoldChange { account: "wallet:promo:org_2:USD".to_owned(), ..hold(1, 5, 0, 0) };
    let other = moved(transfer(("promo_granted", "h"), 30, ("promo:USD", &foreign.account)));
    let theirs = BookEntry { promotional_hold: Some(foreign), ..BookEntry::default() };
    let entries = vec![captured(&charge, &spent), other, theirs];
    check_refused(&log, entries, "ledger_holds_account").await;
    let refund = moved(transfer(("refund_reserved", "r"), 1, (PROMO, "refund_payable:USD")));
    check_refused(&log, vec![refund], "ledger_postings_kind").await;
    assert_eq!(trial(&log).await, (0, 0));
    log.close().await;
}

fn moved_top_up(source_id: &str, wallet: &str) -> BookEntry {
    moved(transfer(("top_up", source_id), 5, ("stripe:pending:USD", wallet)))
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_movement_is_reversed_once_and_only_if_it_exists(pool: PgPool) {
    let log = open(&pool).await;
    let reversal = |source_id: &str, reverses: &str| {
        let mut journal =
            transfer(("refund_returned", source_id), 5, ("refund_payable:USD", WALLET));
        journal.reverses = Some(reverses.to_owned());
        moved(journal)
    };
    let reserved = moved(transfer(("refund_reserved", "r"), 5, (WALLET, "refund_payable:USD")));
    check_refused(
        &log,
        vec![top_up("a", 5), reserved, reversal("r1", "test/r"), reversal("r2", "test/r")],
        "ledger_journal_one_reversal",
    )
    .await;
    check_refused(&log, vec![reversal("r3", "test/nothing")], "ledger_journal_reverses_exists")
        .await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_movement_is_posted_once_per_source(pool: PgPool) {
    let log = open(&pool).await;
    let twice = vec![top_up("a", 5), top_up("a", 5)];
    check_refused(&log, twice, "ledger_journal_reference_unique").await;
    log.close().await;
}

/// A journal transaction written past the log, by whoever owns the tables.
fn journal_at(position: i64, source_id: &str) -> String {
    format!(
        "INSERT INTO ledger_journal_transactions
             (position, kind, source, source_id, currency, occurred_at, effective_on, posted_at)
         VALUES ({position}, 'top_up', 'test', '{source_id}', 'USD', now(), '2026-01-01', now());"
    )
}

/// An event written past the log.
fn event_at(position: i64) -> String {
    format!(
        "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                             position, recorded_at, command_id)
         VALUES ('thing', 'raw', {position}, 'thing.noted', '1', '{{}}', '{{}}', {position}, now(), 'raw');"
    )
}

fn leg_at(position: i64, leg: i64, account: &str, amount: i64) -> String {
    format!("({position}, {leg}, '{account}', 'USD', {amount})")
}

fn legs(legs: &[String]) -> String {
    format!("INSERT INTO ledger_postings VALUES {}", legs.join(", "))
}

/// A journal transaction and legs of it in one statement.
fn whole(position: i64, source_id: &str, with: &[String]) -> String {
    format!("WITH legs AS ({}) {}", legs(with), journal_at(position, source_id))
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_journal_transaction_without_its_own_event_or_without_legs_cannot_commit(pool: PgPool) {
    let log = open(&pool).await;
    log.append(request("a", 0, vec![common::event("1")])).await.unwrap();
    for (sql, refused_by) in [
        (journal_at(2, "a"), "ledger_journal_event_exists"),
        // The event is there, and was there before.
        (journal_at(1, "a"), "ledger_journal_event_is_new"),
        (event_at(2) + &journal_at(2, "a"), "ledger_journal_has_legs"),
        (legs(&[leg_at(1, 1, "usage:x:USD", 1)]), "ledger_postings_currency"),
    ] {
        assert_eq!(constraint(pool.execute(sql.as_str()).await), refused_by, "{sql}");
    }
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_journal_transaction_has_all_its_legs_from_its_own_statement(pool: PgPool) {
    let log = open(&pool).await;
    log.append(request("a", 0, vec![booked(top_up("a", 5))])).await.unwrap();
    // Balanced, in its currency, between accounts of its kind: and too late.
    let more = [leg_at(1, 3, "stripe:pending:USD", 2), leg_at(1, 4, WALLET, -2)];
    assert_eq!(constraint(pool.execute(legs(&more).as_str()).await), "ledger_postings_at_once");
    let again = [leg_at(1, 1, "stripe:pending:USD", 2), leg_at(1, 2, WALLET, -2)];
    assert_eq!(constraint(pool.execute(legs(&again).as_str()).await), "ledger_postings_pkey");
    let both = [leg_at(2, 1, "stripe:pending:USD", 2), leg_at(2, 2, WALLET, -2)];
    let twice = [leg_at(2, 3, "stripe:pending:USD", 1), leg_at(2, 4, WALLET, -1)];
    let split = event_at(2) + &whole(2, "b", &both) + &legs(&twice);
    assert_eq!(constraint(pool.execute(split.as_str()).await), "ledger_postings_at_once");
    let gap = [leg_at(2, 1, "stripe:pending:USD", 2), leg_at(2, 3, WALLET, -2)];
    let gap = event_at(2) + &whole(2, "b", &gap);
    assert_eq!(constraint(pool.execute(gap.as_str()).await), "ledger_postings_at_once");
    for apart in [legs(&both) + ";" + &journal_at(2, "b"), journal_at(2, "b") + &legs(&both)] {
        let refused = constraint(pool.execute((event_at(2) + &apart).as_str()).await);
        assert!(refused == "ledger_postings_currency" || refused == "ledger_journal_has_legs");
    }
    pool.execute((event_at(2) + &whole(2, "b", &both)).as_str()).await.unwrap();
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_reversal_is_the_mirror_of_its_original(pool: PgPool) {
    let log = open(&pool).await;
    let other = "wallet:paid:org_2:USD";
    let reserved = moved(transfer(("refund_reserved", "r"), 5, (WALLET, "refund_payable:USD")));
    for entry in [top_up("a", 9), moved_top_up("b", other), reserved] {
        let mut request = request("", 0, vec![booked(entry)]);
        request.aggregate_id = request.command_id.clone();
        log.append(request).await.unwrap();
    }
    let reversal = |amount: i64, wallet: &str| {
        let mut back = transfer(("refund_returned", "x"), amount, ("refund_payable:USD", wallet));
        back.reverses = Some("test/r".to_owned());
        moved(back)
    };
    for crooked in [reversal(4, WALLET), reversal(6, WALLET), reversal(5, other)] {
        check_refused(&log, vec![crooked], "ledger_postings_mirror").await;
    }
    log.append(request("back", 0, vec![booked(reversal(5, WALLET))])).await.unwrap();
    assert_eq!(trial(&log).await, (0, 0));
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_guarded_account_has_its_guard_whoever_opens_it(pool: PgPool) {
    let open =
        "INSERT INTO ledger_accounts (code, currency, opened_position) VALUES ($1, 'USD', 1)";
    for code in [WALLET, "stripe:pending:USD"] {
        sqlx::query(open).bind(code).execute(&pool).await.unwrap();
    }
    let guards: Vec<String> =
        sqlx::query_scalar("SELECT account FROM ledger_balances").fetch_all(&pool).await.unwrap();
    assert_eq!(guards, [WALLET]);
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_late_fact_of_a_closed_period_is_posted_in_the_open_one(pool: PgPool) {
    let log = open(&pool).await;
    let close = "UPDATE ledger_periods SET span = '[2000-01-01,2025-01-01)', status = 'closed';
                 INSERT INTO ledger_periods (span, status) VALUES ('[2025-01-01,)', 'open');";
    pool.execute(close).await.unwrap();
    // It happened in 2023.
    log.append(request("a", 0, vec![booked(top_up("a", 5))])).await.unwrap();
    let on: (String, bool) = sqlx::query_as(
        "SELECT occurred_at::date::text, effective_on = '2025-01-01'
         FROM ledger_journal_transactions",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(on, ("2023-11-14".to_owned(), true));
    let shut = "UPDATE ledger_periods SET status = 'closed'";
    pool.execute(shut).await.unwrap();
    check_refused(&log, vec![top_up("b", 5)], "ledger_journal_period_open").await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn account_types_are_the_same_in_the_chart_and_in_the_database(pool: PgPool) {
    for code in [
        "wallet:paid:o:USD",
        "stripe:pending:USD",
        "stripe_fees:USD",
        "receivable:overrun:o:USD",
        "refund_payable:USD",
        "usage:compute:USD",
        "bank:x:USD",
        "clearing:payout_in_transit:USD",
        "tax:ch:CHF",
        "host_payable:h:EUR",
        "breakage:USD",
        "dispute_fees:USD",
        "dispute_loss:USD",
        "goodwill:USD",
        "promo:USD",
        "equity:rounding:USD",
        "suspense:USD",
        "write_offs:USD",
        "petty_cash:USD",
        "",
    ] {
        let here = AccountType::of(code).map(|kind| format!("{kind:?}").to_lowercase());
        let there: Option<String> = sqlx::query_scalar("SELECT ledger_account_type($1)")
            .bind(code)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(here, there, "{code}");
    }
}

fn constraint<T>(answer: sqlx::Result<T>) -> String {
    match answer {
        Err(sqlx::Error::Database(refusal)) => refusal.constraint().unwrap().to_owned(),
        Err(error) => panic!("{error}"),
        Ok(_) => "accepted".to_owned(),
    }
}

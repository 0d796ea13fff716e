//! The executor on a real PostgreSQL: one effect per command id, conflicts retried, callers free to go.
#![allow(clippy::unwrap_used, reason = "a test")]
use std::time::{Duration, Instant};

use cairn_commands::{
    CommandContext, ExecuteError, Executed, Executor, Expected, MADE_BY, PRECONDITION_FAILED,
};
use cairn_core::{
    Currency, Decider, HoldId, OrganisationId, PaymentId, Refusal, Text, Texts, Timestamp,
    domain_event,
};
use cairn_event_log::{AppendRequest, EventLog, NewEvent, Outcome};
use cairn_ledger::{CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;

/// Counts up to a limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counter {
    counted: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum CounterEvent {
    #[serde(rename = "counter.counted")]
    Counted { by: i64 },
}

domain_event!(CounterEvent {
    Counted => "counter.counted", 1;
});

impl Texts for CounterEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[];
}

/// Count by so much, but not beyond.
#[derive(Debug, Clone, Copy)]
struct Count {
    by: i64,
    limit: i64,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} is the limit")]
struct Full(i64);

impl Refusal for Full {
    fn code(&self) -> &'static str {
        "full"
    }
}

impl Decider for Counter {
    const TYPE: &'static str = "counter";
    type Command = Count;
    type Event = CounterEvent;
    type Error = Full;

    fn decide(&self, Count { by, limit }: Count) -> Result<Vec<CounterEvent>, Full> {
        match by {
            0 => Ok(vec![]),
            by if self.counted + by > limit => Err(Full(limit)),
            by => Ok(vec![CounterEvent::Counted { by }]),
        }
    }

    fn evolve(self, CounterEvent::Counted { by }: CounterEvent) -> Self {
        Self { counted: self.counted + by }
    }
}

fn context(command_id: &str) -> CommandContext {
    CommandContext {
        command_id: command_id.to_owned(),
        body_hash: [1; 32],
        actor: "test".to_owned(),
        organisation_id: None,
        correlation_id: "test".to_owned(),
        causation_id: None,
        traceparent: None,
        origin: None,
    }
}

async fn open(pool: &PgPool) -> Executor {
    let options = (*pool.connect_options()).clone();
    Executor::new(EventLog::connect(options, 8).await.unwrap())
}

async fn close(executor: Executor) {
    executor.drain().await;
    executor.log().close().await;
}

async fn count(
    executor: &Executor,
    command_id: &str,
    (by, limit): (i64, i64),
) -> Result<Executed, ExecuteError> {
    let result = json!({ "asked": by });
    executor.execute::<Counter>("c", Count { by, limit }, &context(command_id), result).await
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_repeat_gets_the_first_outcome_and_does_nothing(pool: PgPool) {
    let executor = open(&pool).await;
    let first = count(&executor, "one", (5, 10)).await.unwrap();
    assert_eq!((first.sequence, first.position, first.replayed), (1, 1, false));
    count(&executor, "two", (1, 10)).await.unwrap();
    // Another executor has nothing in memory, as after a restart.
    for executor in [&executor, &open(&pool).await] {
        let again = count(executor, "one", (5, 10)).await.unwrap();
        assert_eq!(again, Executed { replayed: true, ..first.clone() });
        assert_eq!(executor.load::<Counter>("c").await.unwrap(), (Counter { counted: 6 }, 2));
    }
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_refusal_stands_even_when_the_command_would_succeed_by_now(pool: PgPool) {
    let executor = open(&pool).await;
    let refused = |replayed| {
        let (code, message) = ("full".to_owned(), "3 is the limit".to_owned());
        Err(ExecuteError::Refused { code, message, replayed })
    };
    assert_eq!(count(&executor, "one", (5, 3)).await, refused(false));
    assert_eq!(count(&executor, "one", (5, 300)).await, refused(true));
    let nothing = count(&executor, "two", (0, 0)).await.unwrap();
    assert_eq!((nothing.sequence, nothing.position), (0, 0));
    assert!(count(&executor, "two", (1, 9)).await.unwrap().replayed);
    assert_eq!(executor.log().head().await.unwrap(), 0, "neither wrote an event");
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_a_handler_refused_stays_refused(pool: PgPool) {
    let executor = open(&pool).await;
    let refuse = |message: &'static str, id: &'static str| {
        let (executor, refusal) = (executor.clone(), ("too_early", message.to_owned()));
        async move { executor.refuse::<Counter>("c", refusal, &context(id)).await.unwrap_err() }
    };
    let first = refuse("not yet", "k").await;
    assert!(matches!(first, ExecuteError::Refused { replayed: false, .. }), "{first:?}");
    let again = refuse("for another reason", "k").await;
    let ExecuteError::Refused { code, message, replayed: true } = again else {
        panic!("{again:?}")
    };
    assert_eq!((code.as_str(), message.as_str()), ("too_early", "not yet"));
    let command = count(&executor, "k", (1, 9)).await.unwrap_err();
    assert!(matches!(command, ExecuteError::Refused { replayed: true, .. }), "{command:?}");
    assert_eq!(executor.log().head().await.unwrap(), 0);
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn nothing_is_refused_or_taken_as_done_for_what_only_memory_has(pool: PgPool) {
    let (executor, other) = (open(&pool).await, open(&pool).await);
    count(&executor, "fill", (5, 5)).await.unwrap();
    count(&other, "empty", (-5, 5)).await.unwrap();
    // In this one's memory it is still full.
    let refilled = count(&executor, "refill", (5, 5)).await.unwrap();
    assert_eq!((refilled.sequence, refilled.replayed), (3, false));
    count(&other, "more", (-1, 5)).await.unwrap();
    assert_eq!(count(&executor, "nothing", (0, 5)).await.unwrap().sequence, 4);
    close(executor).await;
    close(other).await;
}

async fn count_upon(
    executor: &Executor,
    (command_id, by): (&str, i64),
    seen: i64,
) -> Result<Executed, ExecuteError> {
    let (command, context) = (Count { by, limit: 1_000 }, context(command_id));
    let stream = ("c", Expected::OneOf(vec![seen]));
    executor.execute_upon::<Counter>(stream, command, &context, json!({})).await
}

fn is_stale(answer: &Result<Executed, ExecuteError>) -> bool {
    matches!(answer, Err(ExecuteError::Refused { code, .. }) if code == PRECONDITION_FAILED)
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn of_all_who_saw_the_same_one_changes_it_and_the_others_are_refused(pool: PgPool) {
    let executors = [open(&pool).await, open(&pool).await];
    count(&executors[0], "first", (1, 1)).await.unwrap();
    for seen in 1..=20 {
        let ids: Vec<String> = (0..6).map(|number| format!("{seen}:{number}")).collect();
        let wishes = ids.iter().enumerate();
        let wishes = wishes.map(|(n, id)| count_upon(&executors[n % 2], (id, 1), seen));
        let answers = join_all(wishes).await;
        let done: Vec<_> = answers.iter().flatten().collect();
        assert_eq!((done.len(), done[0].sequence), (1, seen + 1));
        assert_eq!(answers.iter().filter(|answer| is_stale(answer)).count(), 5, "{answers:?}");
    }
    for executor in executors {
        close(executor).await;
    }
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_condition_is_held_against_the_log_and_not_against_memory(pool: PgPool) {
    let (executor, other) = (open(&pool).await, open(&pool).await);
    count(&executor, "here", (1, 9)).await.unwrap();
    count(&other, "elsewhere", (1, 9)).await.unwrap();
    // In memory there is one event; neither command makes another.
    assert!(is_stale(&count_upon(&executor, ("old", 0), 1).await));
    let fresh = count_upon(&executor, ("fresh", 0), 2).await.unwrap();
    assert_eq!((fresh.sequence, fresh.replayed), (2, false));
    close(executor).await;
    close(other).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_first_outcome_upon_a_condition_stands(pool: PgPool) {
    let executor = open(&pool).await;
    count(&executor, "first", (1, 9)).await.unwrap();
    let done = count_upon(&executor, ("done", 1), 1).await.unwrap();
    let again = count_upon(&executor, ("done", 1), 1).await.unwrap();
    assert_eq!(again, Executed { replayed: true, ..done });
    for replayed in [false, true] {
        let refused = count_upon(&executor, ("late", 1), 1).await;
        let is_replay = matches!(refused, Err(ExecuteError::Refused { replayed: r, .. }) if r);
        assert_eq!((is_stale(&refused), is_replay), (true, replayed));
    }
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_key_used_for_something_else_is_refused(pool: PgPool) {
    let executor = open(&pool).await;
    count(&executor, "one", (5, 10)).await.unwrap();
    let other = CommandContext { body_hash: [2; 32], ..context("one") };
    let answer = executor.execute::<Counter>("c", Count { by: 5, limit: 10 }, &other, json!({}));
    assert_eq!(answer.await, Err(ExecuteError::KeyReused));
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn executors_that_fight_for_a_stream_all_get_their_turn(pool: PgPool) {
    let executors = [open(&pool).await, open(&pool).await];
    let mut calls = tokio::task::JoinSet::new();
    for (side, executor) in executors.iter().enumerate() {
        for number in 0..100 {
            let executor = executor.clone();
            calls.spawn(async move {
                count(&executor, &format!("{side}-{number}"), (1, 1_000)).await.unwrap()
            });
        }
    }
    let mut sequences: Vec<_> =
        calls.join_all().await.into_iter().map(|executed| executed.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=200).collect::<Vec<_>>());
    for executor in executors {
        assert_eq!(executor.load::<Counter>("c").await.unwrap().0.counted, 200);
        close(executor).await;
    }
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_same_command_many_times_at_once_has_one_effect(pool: PgPool) {
    let executors = [open(&pool).await, open(&pool).await];
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let executor = executors[number % 2].clone();
        calls.spawn(async move { count(&executor, "one", (5, 10)).await.unwrap() });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.iter().filter(|executed| !executed.replayed).count(), 1);
    assert!(answers.iter().all(|executed| executed.sequence == 1 && executed.position == 1));
    assert_eq!(executors[0].log().head().await.unwrap(), 1);
    for executor in executors {
        close(executor).await;
    }
}

/// Finds the session of the append that waits for its turn.
async fn waiting_append(pool: &PgPool) -> i32 {
    let find = "SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%log_append%'";
    let started = Instant::now();
    loop {
        if let Some(pid) = sqlx::query_scalar(find).fetch_optional(pool).await.unwrap() {
            return pid;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no append waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_error_after_a_doubt_leaves_the_doubt(pool: PgPool) {
    let executor = open(&pool).await;
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM log_head FOR UPDATE").execute(&mut *held).await.unwrap();
    let mut call = tokio::task::JoinSet::new();
    call.spawn({
        let executor = executor.clone();
        async move { count(&executor, "one", (5, 10)).await }
    });
    let session = waiting_append(&pool).await;
    // The attempt after the lost one finds no function: an error of its own, by which nothing was written.
    sqlx::query(
        "DO $$ BEGIN EXECUTE (SELECT format('ALTER FUNCTION %s RENAME TO log_append_away', oid::regprocedure)
                              FROM pg_proc WHERE proname = 'log_append'); END $$",
    )
    .execute(&pool)
    .await
    .unwrap();
    let end = sqlx::query_scalar::<_, bool>("SELECT pg_terminate_backend($1)").bind(session);
    assert!(end.fetch_one(&pool).await.unwrap(), "the fault bit");
    let answer = call.join_next().await.unwrap().unwrap();
    assert!(matches!(answer, Err(ExecuteError::InDoubt(_))), "{answer:?}");
    held.rollback().await.unwrap();
    let answer = count(&executor, "two", (5, 10)).await;
    assert!(
        matches!(answer, Err(ExecuteError::Internal(_))),
        "the second error was another: {answer:?}"
    );
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_caller_that_goes_away_does_not_stop_its_command(pool: PgPool) {
    let executor = open(&pool).await;
    for number in 0..50 {
        let (command_id, range) = (format!("gone-{number}"), (1, 1_000));
        let call = count(&executor, &command_id, range);
        // Polled once, then dropped, as when a client hangs up.
        let answered =
            tokio::select! { biased; answer = call => Some(answer), () = async {} => None };
        assert!(answered.is_none());
    }
    executor.drain().await;
    assert_eq!(executor.load::<Counter>("c").await.unwrap(), (Counter { counted: 50 }, 50));
    let again = count(&executor, "gone-7", (1, 1_000)).await.unwrap();
    assert!(again.replayed);
    executor.log().close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_long_stream_is_loaded_from_a_snapshot_to_the_same_state(pool: PgPool) {
    let executor = open(&pool).await;
    for number in 0..600 {
        count(&executor, &format!("n-{number}"), (number, 1_000_000)).await.unwrap();
    }
    executor.drain().await;
    let snapshot: (i64, serde_json::Value) =
        sqlx::query_as("SELECT last_sequence, payload FROM snapshots")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(snapshot.0, 512);
    let (state, sequence) = open(&pool).await.load::<Counter>("c").await.unwrap();
    assert_eq!((state.counted, sequence), (599 * 600 / 2, 599));

    // It is used: a false one would show.
    sqlx::query("UPDATE snapshots SET payload = '{\"counted\": -1000000}'")
        .execute(&pool)
        .await
        .unwrap();
    assert!(open(&pool).await.load::<Counter>("c").await.unwrap().0.counted < 0);
    let false_state = r#"{"counted": -1000000}"#;
    for useless in [
        format!(r#"made_by = '{MADE_BY}', payload = '{{"other": 1}}'"#),
        format!("made_by = 'another version', payload = '{false_state}'"),
        // Longer than the stream.
        format!("made_by = '{MADE_BY}', payload = '{false_state}', last_sequence = 100000"),
    ] {
        let change = format!("UPDATE snapshots SET {useless}");
        sqlx::query(&change).execute(&pool).await.unwrap();
        let loaded = open(&pool).await.load::<Counter>("c").await.unwrap();
        assert_eq!(loaded, (state.clone(), sequence), "{useless}");
    }
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_stream_that_newer_code_wrote_to_is_neither_read_nor_written(pool: PgPool) {
    let executor = open(&pool).await;
    count(&executor, "one", (5, 10)).await.unwrap();
    let mut newer = NewEvent::try_new(&CounterEvent::Counted { by: 1 }, None).unwrap();
    newer.event_version = "2".to_owned();
    let request = AppendRequest {
        command_id: "two".to_owned(),
        command_hash: [1; 32],
        aggregate_type: Counter::TYPE,
        aggregate_id: "c".to_owned(),
        expected_sequence: 1,
        events: vec![newer],
        outcome: Outcome::Accepted { result: json!({}) },
        metadata: context("two").metadata(),
    };
    executor.log().append(request).await.unwrap();
    let newer = |answer: ExecuteError| match answer {
        ExecuteError::Internal(why) => assert!(why.contains("newer version of Cairn"), "{why}"),
        other => panic!("{other:?}"),
    };
    newer(executor.load::<Counter>("c").await.unwrap_err());
    newer(count(&executor, "three", (1, 10)).await.unwrap_err());
    assert_eq!(executor.log().head().await.unwrap(), 2);
    close(executor).await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_books_follow_the_wallet_event_by_event(pool: PgPool) {
    let executor = open(&pool).await;
    let (organisation_id, currency) = (OrganisationId::from_bits(1), Currency::USD);
    let (id, hold_id) = (wallet_id(organisation_id, currency), HoldId::from_bits(3));
    let at = Timestamp::from_secs(1_700_000_000);
    let top_up = TopUp {
        organisation_id,
        currency,
        payment_id: PaymentId::from_bits(2),
        amount_nanos: 10_000_000_000,
        charge_id: "ch_1".to_owned(),
        at,
    };
    let expires_at = at.plus_secs(3_600);
    let place = PlaceHold {
        hold_id,
        purpose: "p".to_owned(),
        project_id: None,
        amount_nanos: 4_000_000_000,
        expires_at,
        at,
    };
    let capture = |total_nanos| {
        let product = "compute".to_owned();
        let (seconds, keep_nanos, tax) = (60, 4_000_000_000, None);
        CaptureHold { hold_id, total_nanos, seconds, product, tax, keep_nanos, expires_at, at }
    };
    for (number, command) in [
        WalletCommand::TopUp(top_up),
        WalletCommand::PlaceHold(place),
        WalletCommand::CaptureHold(capture(1_000_000_000)),
        // Past the hold and past the wallet: the rest is owed.
        WalletCommand::CaptureHold(capture(12_000_000_000)),
        WalletCommand::ReleaseHold { hold_id, at },
    ]
    .into_iter()
    .enumerate()
    {
        let context = context(&format!("w-{number}"));
        executor.execute::<Wallet>(&id, command, &context, json!({})).await.unwrap();
        let (wallet, _) = executor.load::<Wallet>(&id).await.unwrap();
        let books: (i64, i64, i64) = sqlx::query_as(
            "SELECT posted_nanos, held_nanos, (SELECT sum(amount_nanos)::bigint FROM ledger_postings)
             FROM ledger_balances",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(books, (wallet.posted_nanos, wallet.held_nanos, 0), "after command {number}");
    }
    let owed: i64 = sqlx::query_scalar(
        "SELECT sum(amount_nanos)::bigint FROM ledger_postings WHERE account LIKE 'receivable:overrun:%'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(owed, 2_000_000_000);
    close(executor).await;
}

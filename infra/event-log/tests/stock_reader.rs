//! Stock postgres-es, which knows nothing of Cairn, reads the log and agrees.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use cairn_core::{Currency, Decider, HoldId, OrganisationId, PaymentId, Timestamp};
use cairn_event_log::{EventLog, NewEvent};
use cairn_ledger::{CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, WalletEvent, wallet_id};
use common::{open, request};
use cqrs_es::persist::{PersistedEventRepository, PersistedEventStore};
use cqrs_es::{AggregateContext, EventStore};
use postgres_es::PostgresEventRepository;
use sqlx::PgPool;

/// Decides and appends, as the executor would.
async fn tell(
    log: &EventLog,
    wallet: Wallet,
    sequence: i64,
    command: WalletCommand,
) -> (Wallet, i64) {
    let id = wallet_id(OrganisationId::from_bits(1), Currency::USD);
    let mut next = wallet;
    let mut events = vec![];
    for event in next.decide(command).unwrap() {
        next = next.evolve(event.clone());
        let book = next.book_entry(&event);
        events.push(NewEvent::try_new(&event, book).unwrap());
    }
    let mut request = request(&id, sequence, events);
    request.aggregate_type = Wallet::TYPE;
    let (_, sequence) = common::done(&log.append(request).await.unwrap());
    (next, sequence)
}

fn commands() -> Vec<WalletCommand> {
    let at = Timestamp::from_secs(1_700_000_000);
    let hold_id = HoldId::from_bits(3);
    let top_up = TopUp {
        organisation_id: OrganisationId::from_bits(1),
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(2),
        amount_nanos: 10_000_000_000,
        charge_id: "ch_1".to_owned(),
        at,
    };
    let place = PlaceHold {
        hold_id,
        purpose: "allocation".to_owned(),
        project_id: None,
        amount_nanos: 1_000_000_000,
        expires_at: at.plus_secs(3_600),
        at,
    };
    let capture = |seconds: i64| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: seconds * 1_000_000,
            seconds,
            product: "compute".to_owned(),
            tax: None,
            keep_nanos: 1_000_000_000,
            expires_at: at.plus_secs(3_600 + seconds),
            at: at.plus_secs(seconds),
        })
    };
    let mut commands = vec![WalletCommand::TopUp(top_up), WalletCommand::PlaceHold(place)];
    commands.extend((1..40).map(|tick| capture(tick * 60)));
    commands.push(WalletCommand::ReleaseHold { hold_id, at });
    commands
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn stock_postgres_es_folds_the_log_to_the_same_state(pool: PgPool) {
    let log = open(&pool).await;
    let (mut wallet, mut sequence) = (Wallet::default(), 0);
    for command in commands() {
        (wallet, sequence) = tell(&log, wallet, sequence, command).await;
    }
    let id = wallet_id(OrganisationId::from_bits(1), Currency::USD);

    let repository = PostgresEventRepository::new(log.pool().clone());
    let store = PersistedEventStore::<_, Wallet>::new_event_store(repository);
    let mut context = store.load_aggregate(&id).await.unwrap();
    assert_eq!(context.aggregate(), &wallet);
    let theirs = store.load_events(&id).await.unwrap();
    let ours = log.load(Wallet::TYPE, &id, 0).await.unwrap();
    assert_eq!(theirs.len(), ours.len());
    for (their, our) in theirs.iter().zip(&ours) {
        assert_eq!(i64::try_from(their.sequence).unwrap(), our.sequence);
        assert_eq!(their.payload, our.decode::<WalletEvent>().unwrap());
        assert_eq!(their.metadata["command_id"], our.metadata.command_id);
        assert_eq!(their.metadata["actor"], "test");
    }

    let repository = PostgresEventRepository::new(log.pool().clone());
    let mut replay = repository.stream_events::<Wallet>(&id).await.unwrap();
    let mut replayed = Wallet::default();
    while let Some(event) = replay.next::<Wallet>(&[]).await {
        replayed = replayed.evolve(event.unwrap().payload);
    }
    assert_eq!(replayed, wallet);

    let held: (i64, i64) = sqlx::query_as("SELECT posted_nanos, held_nanos FROM ledger_balances")
        .fetch_one(log.pool())
        .await
        .unwrap();
    assert_eq!(held, (wallet.posted_nanos, wallet.held_nanos), "the books agree with the fold");
    log.close().await;
}

/// It must not take what is left of an event for an event.
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_archived_event_is_an_error_to_a_reader_that_knows_of_no_archive(pool: PgPool) {
    let log = open(&pool).await;
    tell(&log, Wallet::default(), 0, commands().remove(0)).await;
    let moved = "ALTER TABLE events DISABLE TRIGGER USER; UPDATE events SET payload = 'null', metadata = 'null', segment = 1";
    sqlx::raw_sql(moved).execute(&pool).await.unwrap();
    let id = wallet_id(OrganisationId::from_bits(1), Currency::USD);
    let repository = PostgresEventRepository::new(log.pool().clone());
    let store = PersistedEventStore::<_, Wallet>::new_event_store(repository);
    assert!(store.load_events(&id).await.is_err());
    assert!(log.load(Wallet::TYPE, &id, 0).await.is_err());
    log.close().await;
}

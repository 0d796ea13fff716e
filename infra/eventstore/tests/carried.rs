//! The log in EventStoreDB's protocol with its copy in PostgreSQL: the same contract, the books under the same constraints, and
//! every event copied once, whatever breaks meanwhile.
#![allow(clippy::unwrap_used, reason = "a test")]
#[path = "../../event-log/tests/contract/suite.rs"]
mod suite;

use std::sync::Arc;
use std::time::Duration;

use cairn_core::{BookEntry, Currency, JournalTransaction, Timestamp};
use cairn_event_log::{
    AppendRequest, Appended, Carrier as _, EventLog, LogContract as _, LogError, Recorded,
};
use cairn_eventstore::EventStoreLog;
use cairn_eventstore_simulator::Simulator;
use sqlx::PgPool;
use suite::{TYPE, request};

async fn simulator() -> Simulator {
    Simulator::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// A process: a log over the database, carried by the simulator.
async fn process(pool: &PgPool, simulator: &Simulator) -> (EventLog, EventStoreLog) {
    let log = EventLog::connect((*pool.connect_options()).clone(), 8).await.unwrap();
    let cluster = EventStoreLog::connect(&simulator.url()).await.unwrap();
    log.carried_by(Arc::new(cluster.clone())).await.unwrap();
    (log, cluster)
}

/// Until what is asked is so, and it becomes so.
async fn eventually(mut asked: impl AsyncFnMut() -> bool) {
    let until = async {
        while !asked().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until).await.unwrap();
}

fn paid(mut request: AppendRequest, source_id: &str, amount: i64) -> AppendRequest {
    let wallet = "wallet:paid:org_1:USD".to_owned();
    let (kind, accounts) = match amount {
        0.. => ("top_up", ("stripe:pending:USD".to_owned(), wallet)),
        _ => ("usage", (wallet, "usage:compute:USD".to_owned())),
    };
    let journal = JournalTransaction::transfer(
        (kind, "test", source_id),
        (Currency::USD, amount.abs()),
        accounts,
        Timestamp::from_secs(1_700_000_000),
    );
    request.events[0].book = Some(BookEntry::movement(journal));
    request
}

async fn posted(pool: &PgPool) -> i64 {
    let posted =
        sqlx::query_scalar("SELECT coalesce(sum(posted_nanos), 0)::bigint FROM ledger_balances");
    posted.fetch_one(pool).await.unwrap()
}

/// Each event of the carrier is in the copy once, and each stream in its order.
async fn assert_copied(log: &EventLog, cluster: &EventStoreLog) {
    let name =
        |event: &Recorded| (event.aggregate_id.clone(), event.sequence, event.payload.clone());
    let (there, here) =
        (cluster.read(0, 10_000).await.unwrap(), log.read(0, 10_000).await.unwrap());
    assert_eq!(
        here.iter().map(name).collect::<Vec<_>>(),
        there.iter().map(name).collect::<Vec<_>>()
    );
    let positions: Vec<_> = here.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=i64::try_from(here.len()).unwrap()).collect::<Vec<_>>());
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_carried_log_holds_the_contract(pool: PgPool) {
    let simulator = simulator().await;
    let (log, cluster) = process(&pool, &simulator).await;
    suite::holds(&log, "run").await;
    assert_copied(&log, &cluster).await;
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn two_processes_copy_once_and_one_takes_over(pool: PgPool) {
    let simulator = simulator().await;
    let (first, _) = process(&pool, &simulator).await;
    let (second, cluster) = process(&pool, &simulator).await;
    let leader = first.carrier_status().await.unwrap().unwrap().leader;
    let by_turns = [&first, &second];
    for number in 0..10_i64 {
        let key = format!("t{number}");
        let log = by_turns[usize::try_from(number % 2).unwrap()];
        log.append(request("run", &key, "shared", number, &[&key])).await.unwrap();
    }
    first.close().await;
    let last = second.append(request("run", "t10", "shared", 10, &["t10"])).await.unwrap();
    assert_eq!(last, Appended::Done { position: 11, sequence: 11 });
    assert_ne!(second.carrier_status().await.unwrap().unwrap().leader, leader);
    assert_copied(&second, &cluster).await;
    second.close().await;
}

/// The cluster hangs up now and then, at claims and at facts, before and after they are written; connections are cut, and the
/// server goes away and comes back.
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn whatever_breaks_each_command_acts_once_and_the_books_agree(pool: PgPool) {
    let mut simulator = simulator().await;
    let (log, cluster) = process(&pool, &simulator).await;
    simulator.faults.hang_up_now_and_then(5);
    for number in 0..40_i64 {
        let key = format!("b{number}");
        let asked =
            paid(request("run", &key, &format!("w{}", number % 4), number / 4, &[&key]), &key, 5);
        match number {
            13 => simulator.hang_up(),
            26 => simulator = simulator.start_again().await.unwrap(),
            _ => {}
        }
        // As the executor does.
        eventually(async || match log.append(asked.clone()).await {
            Ok(Appended::Done { sequence, .. }) => sequence == number / 4 + 1,
            Ok(Appended::Repeated(stored)) => stored.sequence == number / 4 + 1,
            Err(error) if error.is_transient() => false,
            other => panic!("{number}: {other:?}"),
        })
        .await;
    }
    assert!(simulator.faults.bitten() > 10, "{}", simulator.faults.bitten());
    assert_eq!(log.head().await.unwrap(), 40);
    assert_eq!(posted(&pool).await, 200);
    assert_copied(&log, &cluster).await;
    let status = log.carrier_status().await.unwrap().unwrap();
    assert!(status.parked.is_empty(), "{status:?}");
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_the_books_refuse_stops_its_stream_alone_until_they_take_it(pool: PgPool) {
    let simulator = simulator().await;
    let (log, cluster) = process(&pool, &simulator).await;
    // An aggregate that lets through what the wallet does not have.
    let poor = paid(request("run", "p1", "poor", 0, &["spent"]), "p1", -7);
    let refused = log.append(poor.clone()).await;
    let constraint = "ledger_balances_no_overdraft";
    assert!(
        matches!(&refused, Err(LogError::Rejected { constraint: c, .. }) if c == constraint),
        "{refused:?}"
    );
    let after = log.append(request("run", "p2", "poor", 1, &["more"])).await;
    assert!(matches!(after, Err(LogError::Rejected { .. })), "{after:?}");
    // Somebody who does not know of it yet: what he writes waits behind it.
    cluster.append(request("run", "p3", "poor", 1, &["behind"])).await.unwrap();
    log.append(request("run", "o1", "other", 0, &["goes on"])).await.unwrap();
    let status = log.carrier_status().await.unwrap().unwrap();
    assert_eq!(status.parked.len(), 1, "{status:?}");
    let parked = &status.parked[0];
    assert_eq!((parked.aggregate_id.as_str(), parked.sequence), ("run-poor", 1));
    assert_eq!((parked.command_id.as_str(), parked.refused_by.as_str()), ("run-p1", constraint));
    assert_eq!(log.head().await.unwrap(), 1);
    // The wallet gets its money; the next leader tries again at once.
    log.append(paid(request("run", "o2", "other", 1, &["paid"]), "o2", 10)).await.unwrap();
    log.close().await;
    let (log, _) = process(&pool, &simulator).await;
    eventually(async || log.carrier_status().await.unwrap().unwrap().parked.is_empty()).await;
    assert_eq!(posted(&pool).await, 3);
    assert!(matches!(log.append(poor).await, Ok(Appended::Repeated(_))));
    let stream = log.load_some((TYPE, "run-poor"), 0, 9).await.unwrap();
    let copied: i64 =
        sqlx::query_scalar("SELECT count(*) FROM events WHERE aggregate_id = 'run-poor'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((stream.len(), copied), (2, 2));
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_new_database_copies_the_whole_log(pool: PgPool) {
    let simulator = simulator().await;
    let cluster = EventStoreLog::connect(&simulator.url()).await.unwrap();
    cluster.identity(Some("there before")).await.unwrap();
    for number in 0..20_i64 {
        let key = format!("n{number}");
        let asked = request("run", &key, "old", number, &[&key]);
        cluster.append(paid(asked, &key, 1)).await.unwrap();
    }
    let (log, cluster) = process(&pool, &simulator).await;
    eventually(async || log.head().await.unwrap() == 20).await;
    assert_eq!(posted(&pool).await, 20);
    assert_copied(&log, &cluster).await;
    assert_eq!(log.carrier_status().await.unwrap().unwrap().carrier, "there before");
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn two_logs_are_never_mixed(pool: PgPool) {
    let (one, other) = (simulator().await, simulator().await);
    let (log, _) = process(&pool, &one).await;
    log.append(request("run", "m1", "mine", 0, &["1"])).await.unwrap();
    log.close().await;
    let log = EventLog::connect((*pool.connect_options()).clone(), 4).await.unwrap();
    let cluster = EventStoreLog::connect(&other.url()).await.unwrap();
    for (name, said) in [(None, "has no log"), (Some("another"), "has log another")] {
        cluster.identity(name).await.unwrap();
        let mixed = log.carried_by(Arc::new(cluster.clone())).await;
        assert!(matches!(&mixed, Err(LogError::Carrier(why)) if why.contains(said)), "{mixed:?}");
    }
    log.close().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_log_that_began_in_the_database_stays_there(pool: PgPool) {
    let log = EventLog::connect((*pool.connect_options()).clone(), 4).await.unwrap();
    log.append(request("run", "h1", "here", 0, &["1"])).await.unwrap();
    let simulator = simulator().await;
    let cluster = EventStoreLog::connect(&simulator.url()).await.unwrap();
    let late = log.carried_by(Arc::new(cluster)).await;
    assert!(matches!(late, Err(LogError::Carrier(_))), "{late:?}");
    log.close().await;
}

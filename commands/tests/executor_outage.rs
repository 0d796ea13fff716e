//! The database is killed under the executor: nobody is told of an effect that is not there, and no effect is there twice.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_commands::{CommandContext, ExecuteError, Executed, Executor};
use cairn_core::{Currency, OrganisationId, PaymentId, Timestamp};
use cairn_event_log::{EventLog, MIGRATOR};
use cairn_ledger::{TopUp, Wallet, WalletCommand, wallet_id};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

const CALLERS: u128 = 32;
const ROUNDS: usize = 2;
const CENT: i64 = 10_000_000;
const POLL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(90);

fn organisation(caller: u128) -> OrganisationId {
    OrganisationId::from_bits(caller)
}

/// Pays one cent in; the same number is the same command.
async fn top_up(executor: &Executor, caller: u128, number: u128) -> Result<Executed, ExecuteError> {
    let id = format!("{caller}-{number}");
    let context = CommandContext {
        command_id: id.clone(),
        body_hash: [3; 32],
        actor: "test".to_owned(),
        organisation_id: Some(organisation(caller)),
        correlation_id: id.clone(),
        causation_id: None,
        traceparent: None,
        origin: None,
    };
    let command = WalletCommand::TopUp(TopUp {
        organisation_id: organisation(caller),
        currency: Currency::USD,
        payment_id: PaymentId::from_bits((caller << 64) | number),
        amount_nanos: CENT,
        charge_id: format!("ch_{id}"),
        at: Timestamp::from_secs(1_700_000_000),
    });
    let stream = wallet_id(organisation(caller), Currency::USD);
    executor.execute::<Wallet>(&stream, command, &context, serde_json::json!({ "id": id })).await
}

/// Pays in, cent by cent, until told to stop. Every command is asked again until it is answered.
async fn pay_in(
    executor: Executor,
    caller: u128,
    stop: Arc<AtomicBool>,
    (answered, lost): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) -> i64 {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return i64::try_from(number).unwrap();
        }
        let started = Instant::now();
        loop {
            match top_up(&executor, caller, number).await {
                Ok(executed) => {
                    assert_eq!(executed.result["id"], format!("{caller}-{number}"));
                    answered.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(ExecuteError::Unavailable(_) | ExecuteError::InDoubt(_)) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => panic!("{error}"),
            }
            assert!(started.elapsed() < PATIENCE);
        }
    }
    0
}

/// Kills the database each time that enough was answered since the last time.
fn kill_often(mut cluster: Cluster, (answered, lost): (&AtomicUsize, &AtomicUsize)) -> Cluster {
    for _ in 0..ROUNDS {
        wait_for_more(answered, 300);
        cluster.kill_tree();
        assert!(!cluster.is_running(), "the fault bit");
        // Commands give up waiting.
        wait_for_more(lost, 3);
        cluster.restart().unwrap();
    }
    cluster
}

fn wait_for_more(count: &AtomicUsize, more: usize) {
    let (before, started) = (count.load(Ordering::Relaxed), Instant::now());
    while count.load(Ordering::Relaxed) < before + more {
        assert!(started.elapsed() < PATIENCE, "nothing happens");
        std::thread::sleep(POLL);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_paid_in_through_outages_is_there_exactly_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = ClusterConfig {
        directory: directory.path().to_path_buf(),
        durable: true,
        settings: vec![],
    };
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(config).unwrap()).await.unwrap();
    cluster.create_database("cairn").unwrap();
    let options = PgConnectOptions::from_str(&cluster.url("cairn")).unwrap();
    let mut connection = options.connect().await.unwrap();
    MIGRATOR.run(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let executor = Executor::new(EventLog::connect(options, 8).await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let (answered, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let counts = (Arc::clone(&answered), Arc::clone(&lost));
        let pays = pay_in(executor.clone(), caller, Arc::clone(&stop), counts);
        callers.spawn(async move { (caller, pays.await) });
    }
    let (seen, missed) = (Arc::clone(&answered), Arc::clone(&lost));
    let killer = tokio::task::spawn_blocking(move || kill_often(cluster, (&seen, &missed)));
    let cluster = killer.await.unwrap();
    stop.store(true, Ordering::Relaxed);

    let mut paid = 0;
    for (caller, payments) in callers.join_all().await {
        let stream = wallet_id(organisation(caller), Currency::USD);
        let (wallet, sequence) = executor.load::<Wallet>(&stream).await.unwrap();
        assert_eq!((wallet.posted_nanos, sequence), (payments * CENT, payments));
        paid += payments * CENT;
    }
    let (answered, lost) = (answered.load(Ordering::Relaxed), lost.load(Ordering::Relaxed));
    println!("{answered} commands answered, {lost} times asked in vain");
    assert!(lost > 0, "the fault bit");
    let books: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT sum(posted_nanos)::bigint FROM ledger_balances),
                (SELECT sum(amount_nanos)::bigint FROM ledger_postings WHERE account = 'stripe:pending:USD')",
    )
    .fetch_one(executor.log().pool())
    .await
    .unwrap();
    assert_eq!(books, (paid, paid));
    executor.drain().await;
    executor.log().close().await;
    tokio::task::spawn_blocking(move || cluster.remove()).await.unwrap();
}

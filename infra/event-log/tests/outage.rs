//! The database goes away, in the middle of everything: each test kills a durable cluster of its own.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]
mod common;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_event_log::{AppendRequest, Appended, EventLog, LogError, MIGRATOR};
use common::{event, request};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

const PATIENCE: Duration = Duration::from_secs(60);
const CALLERS: usize = 64;

/// A durable cluster with an empty log.
async fn start() -> (tempfile::TempDir, Cluster, EventLog) {
    let directory = tempfile::tempdir().unwrap();
    let config = ClusterConfig {
        directory: directory.path().to_path_buf(),
        durable: true,
        settings: vec![],
    };
    let cluster = tokio::task::spawn_blocking(|| {
        let cluster = Cluster::start(config).unwrap();
        cluster.create_database("log").unwrap();
        cluster
    });
    let cluster = cluster.await.unwrap();
    let options = PgConnectOptions::from_str(&cluster.url("log")).unwrap();
    let mut connection = options.connect().await.unwrap();
    MIGRATOR.run(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let log = EventLog::connect(options, 8).await.unwrap();
    (directory, cluster, log)
}

/// Asks with the same command id until it is settled.
async fn settle(log: &EventLog, request: &AppendRequest) -> Appended {
    let started = Instant::now();
    loop {
        match log.append(request.clone()).await {
            Ok(appended) => return appended,
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                assert!(started.elapsed() < PATIENCE, "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_database_is_unavailable_and_comes_back_without_a_restart() {
    let (_directory, mut cluster, log) = start().await;
    let mut wake = log.wake();
    log.append(request("a", 0, vec![event("1")])).await.unwrap();
    cluster.kill_tree();
    assert!(!cluster.is_running());
    // The connections of before are dead: what was sent over one is in doubt, all after it is not.
    let lost = request("a", 1, vec![event("lost")]);
    let answer = log.append(lost.clone()).await.unwrap_err();
    assert!(answer.is_transient(), "{answer}");
    let refused = request("b", 0, vec![event("2")]);
    let answer = log.append(refused.clone()).await;
    assert!(matches!(answer, Err(LogError::Unavailable(_))), "{answer:?}");
    assert!(matches!(log.head().await, Err(LogError::Unavailable(_))));
    assert!(matches!(log.load("thing", "a", 0).await, Err(LogError::Unavailable(_))));

    let mut cluster = tokio::task::spawn_blocking(move || {
        cluster.restart().unwrap();
        cluster
    })
    .await
    .unwrap();
    assert!(matches!(settle(&log, &lost).await, Appended::Done { position: 2, sequence: 2 }));
    assert!(matches!(settle(&log, &refused).await, Appended::Done { position: 3, .. }));
    let started = Instant::now();
    while log.head().await != Ok(3) {
        assert!(started.elapsed() < PATIENCE);
    }
    // Other processes are heard again as well.
    let options = PgConnectOptions::from_str(&cluster.url("log")).unwrap();
    let other = EventLog::connect(options, 2).await.unwrap();
    other.append(request("c", 0, vec![event("3")])).await.unwrap();
    let heard = tokio::time::timeout(PATIENCE, wake.wait_for(|head| *head >= 4));
    heard.await.unwrap().unwrap();
    other.close().await;
    log.close().await;
    tokio::task::spawn_blocking(move || cluster.kill_tree()).await.unwrap();
}

/// What the callers of one round were told.
#[derive(Default)]
struct Round {
    acknowledged: HashMap<String, i64>,
    in_doubt: Vec<AppendRequest>,
    refused: Vec<AppendRequest>,
}

/// Callers append, each on a stream of its own, until the first error.
async fn load(log: &EventLog, round: usize, answered: &Arc<AtomicUsize>) -> Round {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (log, answered) = (log.clone(), Arc::clone(answered));
        callers.spawn(async move {
            let mut told = Round::default();
            for sequence in 0.. {
                let stream = format!("{round}-{caller}");
                let request = request(&stream, sequence, vec![event("under load")]);
                match log.append(request.clone()).await {
                    Ok(appended) => {
                        let (position, _) = common::done(&appended);
                        told.acknowledged.insert(request.command_id, position);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(LogError::InDoubt(_)) => {
                        told.in_doubt.push(request);
                        return told;
                    }
                    Err(_) => {
                        told.refused.push(request);
                        return told;
                    }
                }
            }
            told
        });
    }
    let mut all = Round::default();
    for told in callers.join_all().await {
        all.acknowledged.extend(told.acknowledged);
        all.in_doubt.extend(told.in_doubt);
        all.refused.extend(told.refused);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_whole_database_under_load_loses_no_acknowledged_command() {
    let (_directory, mut cluster, log) = start().await;
    let (mut acknowledged, mut in_doubt, mut committed) = (HashMap::new(), 0, 0);
    for round in 0..4 {
        let answered = Arc::new(AtomicUsize::new(0));
        let enough = Arc::clone(&answered);
        let gave_up = Arc::new(AtomicBool::new(false));
        let patient = Arc::clone(&gave_up);
        let killer = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            while enough.load(Ordering::Relaxed) < 500 + 300 * round {
                if started.elapsed() > PATIENCE {
                    patient.store(true, Ordering::Relaxed);
                    break;
                }
                std::thread::yield_now();
            }
            cluster.kill_tree();
            cluster
        });
        let told = load(&log, round, &answered).await;
        cluster = killer.await.unwrap();
        assert!(!gave_up.load(Ordering::Relaxed), "there was load");
        assert!(!cluster.is_running());
        cluster = tokio::task::spawn_blocking(move || {
            cluster.restart().unwrap();
            cluster
        })
        .await
        .unwrap();
        in_doubt += told.in_doubt.len();
        for request in &told.in_doubt {
            // The same key answers the same, whatever had become of it.
            committed += usize::from(matches!(settle(&log, request).await, Appended::Repeated(_)));
        }
        for request in &told.refused {
            let appended = settle(&log, request).await;
            assert!(matches!(appended, Appended::Done { .. }), "nothing had been written");
        }
        acknowledged.extend(told.acknowledged);
    }
    assert!(in_doubt > 0, "the fault bit: replies were lost");
    println!(
        "{} acknowledged, {in_doubt} in doubt, {committed} of them committed",
        acknowledged.len()
    );

    let (mut checkpoint, mut written) = (0, HashMap::new());
    loop {
        let read = log.read(checkpoint, 1_000).await.unwrap();
        let Some(last) = read.last() else { break };
        let head = last.position;
        for (event, expected) in read.into_iter().zip(checkpoint + 1..) {
            assert_eq!(event.position, expected, "a gap");
            let before = written.insert(event.metadata.command_id.clone(), event.position);
            assert_eq!(before, None, "a command took effect twice");
        }
        checkpoint = head;
    }
    for (command_id, position) in &acknowledged {
        assert_eq!(written.get(command_id), Some(position), "{command_id} was acknowledged");
    }
    assert_eq!(log.head().await.unwrap(), checkpoint);
    log.close().await;
    tokio::task::spawn_blocking(move || cluster.kill_tree()).await.unwrap();
}

//! The log's contract over EventStoreDB's protocol: against the simulator always, against a real server when `EVENTSTORE_URL` names one.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]
#[path = "../../event-log/tests/contract/suite.rs"]
mod suite;

use std::sync::Arc;
use std::time::Duration;

use cairn_event_log::{Appended, LogContract as _, LogError};
use cairn_eventstore::EventStoreLog;
use cairn_eventstore_simulator::Simulator;
use cairn_neighbours::{BreakerConfig, Kind, Neighbourhood, Now};
use futures::StreamExt as _;
use suite::{TYPE, request};

async fn simulated() -> (Simulator, EventStoreLog) {
    let simulator = Simulator::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let log = EventStoreLog::connect(&simulator.url()).await.unwrap();
    (simulator, log)
}

#[tokio::test]
async fn the_client_against_the_simulator_holds_the_contract() {
    let (simulator, log) = simulated().await;
    suite::holds(&log, "run").await;
    simulator.stop().await;
}

#[tokio::test]
#[allow(
    clippy::disallowed_methods,
    reason = "a test asks which server it may use, and makes names of its own there"
)]
async fn a_real_server_holds_the_contract() {
    let Ok(url) = std::env::var("EVENTSTORE_URL") else {
        eprintln!("EVENTSTORE_URL is not set: nothing was asked of a real EventStoreDB");
        return;
    };
    let log = EventStoreLog::connect(&url).await.unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    suite::holds(&log, &format!("run{now}")).await;
}

/// A hang-up at either of the two appends of a command, before or after it was written.
#[tokio::test]
async fn an_append_in_doubt_is_settled_by_asking_again() {
    let (simulator, log) = simulated().await;
    let mut expected = 0;
    for (number, (fair, before)) in
        [(0, true), (0, false), (1, true), (1, false)].into_iter().enumerate()
    {
        let asked = request("run", &format!("d{number}"), "doubt", expected, &["1", "2"]);
        simulator.faults.spare(fair);
        if before {
            simulator.faults.hang_up_before(1);
        } else {
            simulator.faults.hang_up_after(1);
        }
        let first = log.append(asked.clone()).await;
        assert!(matches!(first, Err(LogError::InDoubt(_))), "{number}: {first:?}");
        assert_eq!(simulator.faults.bitten(), number + 1);
        let again = log.append(asked.clone()).await.unwrap();
        expected += 2;
        let sequence = match again {
            Appended::Done { sequence, .. } => sequence,
            Appended::Repeated(stored) => stored.sequence,
            other => panic!("{number}: {other:?}"),
        };
        assert_eq!(sequence, expected);
        let (stored, _) = log.outcome(&asked.command_id).await.unwrap().unwrap();
        assert_eq!((stored.outcome, stored.sequence), (asked.outcome, expected));
    }
    assert_eq!(log.load_some((TYPE, "run-doubt"), 0, 99).await.unwrap().len(), 8);
    simulator.stop().await;
}

/// All calls share one connection, so others' hang-ups end a read more than once.
#[tokio::test]
async fn a_read_whose_connection_ends_again_and_again_is_answered() {
    let (simulator, log) = simulated().await;
    log.append(request("run", "r", "read", 0, &["1", "2"])).await.unwrap();
    simulator.faults.hang_up_on_reads(7);
    assert_eq!(log.load_some((TYPE, "run-read"), 0, 10).await.unwrap().len(), 2);
    assert_eq!(simulator.faults.bitten(), 7);
    simulator.faults.hang_up_on_reads(1_000);
    let refused = log.load_some((TYPE, "run-read"), 0, 10).await;
    assert!(matches!(refused, Err(LogError::Unavailable(_))), "{refused:?}");
    simulator.stop().await;
}

/// Five calls in a row that nobody answers leave a cluster alone for seconds; a connection that ends takes more than that with it.
#[tokio::test]
async fn a_connection_that_ends_under_many_calls_is_no_cluster_that_is_away() {
    let (simulator, log) = simulated().await;
    let carrier = Kind { name: "carrier", calls_max: 64, ailing_max: 64 };
    let now: Now = Arc::new(|| cairn_core::Timestamp::from_secs(0));
    let log = log.behind(Neighbourhood::new(BreakerConfig::default(), now).only(carrier));
    log.append(request("run", "m", "many", 0, &["1"])).await.unwrap();
    for round in 1..=5 {
        simulator.faults.hang_up_on_reads(1);
        let reads = (0..32).map(|_| log.load_some((TYPE, "run-many"), 0, 10));
        for read in futures::future::join_all(reads).await {
            assert_eq!(read.unwrap().len(), 1, "{round}");
        }
        assert_eq!(simulator.faults.bitten(), round);
    }
    simulator.stop().await;
}

/// Whoever claims a key and dies before it acts is continued by whoever comes with the key, wherever he meant to act.
#[tokio::test]
async fn a_claim_that_was_left_is_carried_out_as_it_was_claimed() {
    let (simulator, log) = simulated().await;
    let first = request("run", "left", "here", 0, &["1"]);
    simulator.faults.spare(1);
    simulator.faults.hang_up_before(1);
    assert!(matches!(log.append(first.clone()).await, Err(LogError::InDoubt(_))));
    assert!(log.load_some((TYPE, "run-here"), 0, 9).await.unwrap().is_empty());
    let elsewhere = request("run", "left", "there", 0, &["other"]);
    let Appended::Repeated(stored) = log.append(elsewhere).await.unwrap() else { panic!() };
    assert_eq!((stored.aggregate_id.as_str(), stored.sequence), ("run-here", 1));
    assert_eq!(log.load_some((TYPE, "run-here"), 0, 9).await.unwrap().len(), 1);
    assert!(log.load_some((TYPE, "run-there"), 0, 9).await.unwrap().is_empty());
    simulator.stop().await;
}

#[tokio::test]
async fn a_subscription_outlives_its_connection_and_the_server() {
    let (mut simulator, log) = simulated().await;
    let mut heard = log.subscribe(0);
    let mut sequences = vec![];
    for round in 0..3 {
        let key = format!("s{round}");
        let appended = log.append(request("run", &key, "long", round, &[&key])).await;
        assert!(matches!(appended, Ok(Appended::Done { .. })), "{appended:?}");
        let mut errors = 0;
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), heard.next()).await;
            match next.unwrap().unwrap() {
                Ok(event) => break sequences.push(event.sequence),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            errors += 1;
        }
        assert_eq!(errors > 0, round > 0, "the break bit");
        match round {
            0 => simulator.hang_up(),
            _ => simulator = simulator.start_again().await.unwrap(),
        }
    }
    assert_eq!(sequences, [1, 2, 3]);
    simulator.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_comes_back() {
    let (simulator, log) = simulated().await;
    log.append(request("run", "a1", "away", 0, &["1"])).await.unwrap();
    simulator.stop().await;
    for key in ["a2", "a3"] {
        let away = log.append(request("run", key, "away", 1, &["2"])).await;
        assert!(matches!(away, Err(LogError::Unavailable(_) | LogError::InDoubt(_))), "{away:?}");
        let read = log.load_some((TYPE, "run-away"), 0, 9).await;
        assert!(matches!(read, Err(LogError::Unavailable(_))), "{read:?}");
    }
    let nobody = EventStoreLog::connect(&simulator.url()).await;
    assert!(matches!(nobody, Err(LogError::Unavailable(_))), "{nobody:?}");
    let simulator = simulator.start_again().await.unwrap();
    let back = log.append(request("run", "a4", "away", 1, &["2"])).await;
    assert!(matches!(back, Ok(Appended::Done { sequence: 2, .. })), "{back:?}");
    simulator.stop().await;
}

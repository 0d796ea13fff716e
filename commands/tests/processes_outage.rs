//! The database is killed, whole process tree, while a worker stands between an act and the note of it; the worker goes on
//! into the outage. Afterwards everything has happened once.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::str::FromStr;

use cairn_cluster::{Cluster, ClusterConfig};
use cairn_commands::{Expected, compute};
use cairn_compute::{Allocation, AllocationStatus, ReleaseReason};
use cairn_core::AllocationId;
use cairn_event_log::MIGRATOR;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use support::faults::Mode;
use support::harness::{Harness, Memory, PER_HOUR, usd};
use support::stories::{ask, top_up, wallet};

async fn start(directory: &std::path::Path) -> (Cluster, PgConnectOptions) {
    let config =
        ClusterConfig { directory: directory.to_path_buf(), durable: true, settings: vec![] };
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(config).unwrap()).await.unwrap();
    cluster.create_database("cairn").unwrap();
    let options = PgConnectOptions::from_str(&cluster.url("cairn")).unwrap();
    let mut connection = options.connect().await.unwrap();
    MIGRATOR.run(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    (cluster, options)
}

/// Waits until a worker stands still, and kills the database under it.
async fn outage(harness: &Harness, mut cluster: Cluster) -> Cluster {
    let mut stalled = harness.faults.stalled.subscribe();
    stalled.wait_for(|stalled| *stalled).await.unwrap();
    let killed = tokio::task::spawn_blocking(move || {
        cluster.kill_tree();
        assert!(!cluster.is_running());
        cluster
    });
    let mut cluster = killed.await.unwrap();
    harness.faults.stalled.send_replace(false);
    // Takes as long as the worker's own attempt.
    assert!(harness.commands.executor.log().head().await.is_err(), "the database is gone");
    let restarted = tokio::task::spawn_blocking(move || {
        cluster.restart().unwrap();
        cluster
    });
    restarted.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_through_four_outages_happens_once() {
    let directory = tempfile::tempdir().unwrap();
    let (cluster, options) = start(directory.path()).await;
    let mut harness = Harness::start(options, Memory::new()).await;
    let organisation_id = harness.organisation();
    top_up(&mut harness, organisation_id, 20).await;

    harness.faults.arm("hold_funds", Mode::Stall);
    harness.faults.arm("ensure_user", Mode::Stall);
    let allocation_id = ask(&harness, organisation_id, None).await;
    let key = allocation_id.to_string();
    let cluster = outage(&harness, cluster).await;
    let cluster = outage(&harness, cluster).await;
    harness.until("it is active", |s| s.status("rent_node", &key) == Some("done")).await;

    harness.faults.arm("capture_usage", Mode::Stall);
    harness.clock.advance_secs(40);
    let cluster = outage(&harness, cluster).await;
    harness.run_for(20).await;

    harness.faults.arm("settle_usage", Mode::Stall);
    release(&harness, allocation_id).await;
    let cluster = outage(&harness, cluster).await;
    harness.until("it is released", |s| s.ended("release_node", &key)).await;

    let allocation: Allocation = harness.load(&key).await;
    assert_eq!(allocation.status, AllocationStatus::Released);
    let (since, until) = (allocation.activated_at.unwrap(), allocation.released_at.unwrap());
    let charged = until.secs_since(since) * PER_HOUR / 3_600;
    let wallet = wallet(&harness, organisation_id).await;
    assert_eq!((wallet.held_nanos, wallet.posted_nanos), (0, usd(20).nanos - charged));
    assert_eq!(harness.world.left(&allocation).await, Vec::<String>::new());
    assert_eq!(harness.world.cards().0, [usd(20)]);
    assert!(harness.snapshot().await.stuck.is_empty());
    harness.kill_runner().await;
    harness.commands.executor.log().close().await;
    tokio::task::spawn_blocking(move || cluster.remove()).await.unwrap();
}

async fn release(harness: &Harness, allocation_id: AllocationId) {
    let reason = ReleaseReason::Customer;
    let (organisation_id, expected) = (None, Expected::Anything);
    let request = compute::RequestRelease { organisation_id, allocation_id, reason, expected };
    compute::request_release(&harness.commands, &harness.context(), request).await.unwrap();
}

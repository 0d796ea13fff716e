//! Who waits for a request does not wait for the work that nobody waits for.
use std::time::{Duration, Instant};

use cairn_api::http::limits::Limits;
use cairn_event_log::EventLog;
use cairn_identity::Role;
use futures::future::join_all;
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{PATIENCE, Stage};

/// Sessions that wait for the tables of the processes.
async fn waiting(owner: &mut PgConnection) -> i64 {
    let sql = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted
               AND relation IN ('process_intents'::regclass, 'process_checkpoints'::regclass)";
    sqlx::query_scalar(sql).fetch_one(owner).await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn process_work_that_takes_every_connection_it_can_leaves_requests_theirs(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let log = EventLog::connect(options.clone(), 8).await.unwrap();
    let stage = Stage::over(log, Limits::default()).await;
    let customer = stage.caller(Role::Owner).await;
    assert_eq!(customer.get("/v1/allocations").await.status, 200);
    let owner = pool.connect_with(options).await.unwrap();
    let mut jam = owner.begin().await.unwrap();
    // In the order in which the work takes them: who has the second would otherwise wait for the first, and this for the second.
    let lock = "LOCK TABLE process_checkpoints, process_intents IN ACCESS EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *jam).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while waiting(&mut jam).await < 2 {
        assert!(Instant::now() < deadline, "nobody wants the tables");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..5 {
        let answers = join_all((0..20).map(|_| customer.get("/v1/allocations"))).await;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert!(refused.is_empty(), "{:?}", refused.iter().map(|it| it.status).collect::<Vec<_>>());
        assert_eq!(waiting(&mut jam).await, 2, "the work has no more than two connections");
    }
    jam.rollback().await.unwrap();
    customer.top_up("10.00").await;
    stage.strike().await;
}

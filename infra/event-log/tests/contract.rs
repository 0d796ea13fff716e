//! The log's contract, over PostgreSQL.
#[path = "contract/suite.rs"]
mod suite;

use cairn_event_log::EventLog;
use sqlx::PgPool;

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn postgresql_holds_the_contract(pool: PgPool) {
    let log = EventLog::connect((*pool.connect_options()).clone(), 12).await.unwrap();
    suite::holds(&log, "run").await;
    log.close().await;
}

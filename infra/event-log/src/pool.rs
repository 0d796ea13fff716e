//! Connections that act as the application's role, give up in time, and never come back inside a transaction.
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool, Row};

use crate::{LogError, schema};

/// How long a caller waits for a connection before the database counts as unavailable.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// A connection used this recently is not asked whether it is alive.
const FRESH: Duration = Duration::from_secs(1);

pub(crate) async fn connect(options: PgConnectOptions, size: u32) -> Result<PgPool, LogError> {
    let options = options.application_name("cairn").options([
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("jit", "off"),
    ]);
    // Asked once directly: a pool would only say that it waited in vain.
    let probe = PgConnection::connect_with(&options);
    let probe = tokio::time::timeout(PATIENCE, probe).await;
    let probe = probe.map_err(|_| LogError::Unavailable("no answer in time".to_owned()))?;
    let probe = probe.map_err(|error| LogError::reading(&error))?;
    probe.close().await.map_err(|error| LogError::reading(&error))?;
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            let idle = meta.idle_for > FRESH;
            Box::pin(async move {
                match idle {
                    true => connection.ping().await.map(|()| true),
                    false => Ok(true),
                }
            })
        })
        .after_connect(|connection, _| Box::pin(schema::as_app(connection)))
        .after_release(|connection, _| Box::pin(is_outside_transaction(connection)))
        .connect_with(options)
        .await
        .map_err(|error| LogError::reading(&error))
}

/// Outside a transaction, a statement by itself starts when its transaction does. A `begin` whose future was dropped shows here.
async fn is_outside_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    // A plain text goes as one simple query: parsing ahead would be an earlier start.
    let row = connection.fetch_one(sqlx::raw_sql("SELECT now() = statement_timestamp()")).await?;
    row.try_get(0)
}

//! Connections that act as the application's role, give up in time, and never come back inside a transaction.
use std::io;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool, Row};

use crate::{LogError, schema};

/// How long a caller waits for a connection before the database counts as unavailable.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// After so long the database itself ends a statement.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// What the answer may take on its way beyond that.
const MARGIN: Duration = Duration::from_secs(2);
/// How long a living connection may take to say so.
const PING: Duration = Duration::from_secs(1);
/// A connection used this recently is not asked whether it is alive.
const FRESH: Duration = Duration::from_secs(1);

/// When a statement counts as lost: the server that should have ended it is gone, and nothing told us.
pub(crate) fn limit(statement_timeout: Duration) -> Duration {
    statement_timeout + MARGIN
}

/// A network that swallows packets, or a machine that lost power, closes no connection: silence is an error in the end.
pub(crate) async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let silent = || io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time");
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(silent().into()))
}

/// Asks a connection whether it is alive.
pub(crate) async fn ping(connection: &mut PgConnection) -> sqlx::Result<()> {
    in_time(PING, connection.ping()).await
}

pub(crate) async fn connect(
    options: PgConnectOptions,
    size: u32,
    statement_timeout: Duration,
) -> Result<PgPool, LogError> {
    let statement_timeout = format!("{}ms", statement_timeout.as_millis());
    let options = options.application_name("cairn").options([
        ("statement_timeout", statement_timeout.as_str()),
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
                    true => ping(connection).await.map(|()| true),
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
    let outside = sqlx::raw_sql("SELECT now() = statement_timestamp()");
    in_time(PING, connection.fetch_one(outside)).await?.try_get(0)
}

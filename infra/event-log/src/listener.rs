//! Hears of other processes' appends by NOTIFY. Whatever was missed while it could not hear, it looks up.
use std::time::Duration;

use sqlx::postgres::{PgListener, PgNotification};
use sqlx::{Executor, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::pool::in_time;

const BACKOFF: Duration = Duration::from_millis(500);
/// A connection that heard nothing for so long may be dead.
const QUIET: Duration = Duration::from_secs(30);

/// Tells `grown` of every new head of the log until it is told to stop or the pool closes.
pub(crate) async fn listen(pool: PgPool, grown: watch::Sender<i64>, stop: CancellationToken) {
    let closed = pool.close_event();
    tokio::select! {
        () = stop.cancelled() => {}
        () = closed => {}
        () = listen_for_ever(&pool, &grown) => {}
    }
}

async fn listen_for_ever(pool: &PgPool, grown: &watch::Sender<i64>) {
    loop {
        if let Err(error) = listen_until_lost(pool, grown).await {
            tracing::debug!(%error, "not hearing of the log's growth; readers poll");
        }
        tokio::time::sleep(BACKOFF).await;
    }
}

async fn listen_until_lost(pool: &PgPool, grown: &watch::Sender<i64>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("cairn_log").await?;
    loop {
        let head = sqlx::query_scalar!("SELECT position FROM log_head").fetch_one(pool);
        let head = in_time(QUIET, head).await?;
        hint(grown, head);
        // None: the connection was lost and is back; look up what was missed.
        while let Some(notification) = hear(&mut listener).await? {
            if let Ok(head) = notification.payload().parse() {
                hint(grown, head);
            }
        }
    }
}

/// The next notification. A connection that says nothing for long is asked whether it is alive.
async fn hear(listener: &mut PgListener) -> sqlx::Result<Option<PgNotification>> {
    loop {
        match tokio::time::timeout(QUIET, listener.try_recv()).await {
            Ok(heard) => return heard,
            Err(_) => in_time(QUIET, listener.execute("SELECT 1")).await.map(drop)?,
        }
    }
}

/// Raises the head; it never falls.
pub(crate) fn hint(grown: &watch::Sender<i64>, head: i64) {
    grown.send_if_modified(|known| {
        let higher = head > *known;
        *known = head.max(*known);
        higher
    });
}

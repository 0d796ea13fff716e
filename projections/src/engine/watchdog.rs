//! A projector that stops making progress is noticed, tells, and begins again with a fresh connection.
use std::time::Duration;

use cairn_event_log::EventLog;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::EngineError;
use super::follow::Follower;

/// How long a projection may stand still while there are events to fold.
pub(crate) const STALL_LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked at within that time.
const LOOKS: u32 = 10;

/// Where the rows of a view are, live or being built by whichever process, and where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    live: i64,
    building: Option<i64>,
    head: i64,
}

/// Runs a follower until it is told to end. One that panics or stands still is replaced.
pub(crate) async fn guard(limit: Duration, begin: impl Fn() -> Follower) {
    loop {
        let follower = begin();
        let (log, name) = (follower.log.clone(), follower.projection.name());
        let token = follower.token.clone();
        let mut work = JoinSet::new();
        work.spawn(follower.run());
        tokio::select! {
            ended = work.join_next() => match ended {
                Some(Err(error)) if !token.is_cancelled() => {
                    tracing::error!(projection = name, %error, "a projector ended badly and begins again");
                    metrics::counter!("cairn_projection_restarts_total", "projection" => name)
                        .increment(1);
                    sleep(limit / LOOKS).await;
                }
                _ => return,
            },
            place = stalled(&log, name, limit) => {
                let Place { live, head, .. } = place;
                tracing::error!(
                    projection = name, position = live, head, seconds = limit.as_secs(),
                    "a projector stands still and begins again"
                );
                metrics::counter!("cairn_projection_stalls_total", "projection" => name)
                    .increment(1);
                // Its transaction goes with its future: the pool takes no connection back that is inside one.
                work.shutdown().await;
            }
        }
        if token.is_cancelled() {
            return;
        }
    }
}

/// Ends when a view has not moved for so long although the log goes on.
async fn stalled(log: &EventLog, name: &'static str, limit: Duration) -> Place {
    let mut seen = Place { live: 0, building: None, head: 0 };
    let mut since = Instant::now();
    loop {
        sleep(limit / LOOKS).await;
        // A database that does not answer proves no progress, and takes none back.
        match tokio::time::timeout(limit, place(log, name)).await {
            Ok(Ok(now)) => {
                let moved = (now.live, now.building) != (seen.live, seen.building);
                if moved || now.live >= now.head {
                    since = Instant::now();
                }
                seen = now;
            }
            Ok(Err(error)) => tracing::debug!(projection = name, %error, "place not read"),
            Err(_) => tracing::debug!(projection = name, "place not read in time"),
        }
        if seen.live < seen.head && since.elapsed() >= limit {
            return seen;
        }
    }
}

async fn place(log: &EventLog, name: &str) -> Result<Place, EngineError> {
    let place = sqlx::query_as!(
        Place,
        r#"SELECT coalesce((SELECT position FROM projection_checkpoints WHERE name = $1), 0) AS "live!",
             (SELECT sum(position)::bigint FROM view_building.projection_checkpoints
               WHERE split_part(name, '#', 1) = $1) AS building,
             (SELECT position FROM log_head) AS "head!""#,
        name
    );
    Ok(place.fetch_one(log.pool()).await?)
}

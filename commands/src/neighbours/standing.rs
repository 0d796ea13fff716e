//! How the neighbours of every server stand, where other processes can read it: each server writes a row of its own, again and again.
use std::time::Duration;

use cairn_neighbours::Standing;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::Neighbours;

/// Between two words of a server. What is six times as old is not believed.
const TURN: Duration = Duration::from_secs(5);

/// What one server says.
#[derive(Debug, Clone)]
pub struct Told {
    /// The server.
    pub process: String,
    /// Its neighbours.
    pub standings: Vec<Standing>,
}

/// Tells how they stand until the token is cancelled; who has left says nothing.
pub async fn tell(pool: PgPool, process: String, neighbours: Neighbours, stop: CancellationToken) {
    let mut every = tokio::time::interval(TURN);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = every.tick() => {}
        }
        if let Err(error) = tell_once(&pool, &process, &neighbours.standings()).await {
            tracing::debug!(%error, "how the neighbours stand was not told");
        }
    }
    let gone = sqlx::query!("DELETE FROM neighbour_standings WHERE process = $1", process);
    if let Err(error) = gone.execute(&pool).await {
        tracing::debug!(%error, "what was told of the neighbours ends by itself");
    }
}

async fn tell_once(
    pool: &PgPool,
    process: &str,
    standings: &[Standing],
) -> Result<(), sqlx::Error> {
    let standings =
        serde_json::to_value(standings).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        r#"INSERT INTO neighbour_standings (process, standings, told_at) VALUES ($1, $2, now())
           ON CONFLICT (process) DO UPDATE SET standings = excluded.standings, told_at = excluded.told_at"#,
        process,
        standings
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What the servers that run say. Empty when none does.
///
/// # Errors
/// The database's.
pub async fn told(pool: &PgPool) -> Result<Vec<Told>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT process, standings AS "standings: serde_json::Value" FROM neighbour_standings
           WHERE told_at > now() - interval '30 seconds' ORDER BY process"#
    );
    let rows = rows.fetch_all(pool).await?.into_iter();
    let told = rows.map(|row| {
        let standings = serde_json::from_value(row.standings);
        let standings = standings.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Told { process: row.process, standings })
    });
    told.collect()
}

//! Taking away copies that nobody needs: what the provider sent, old snapshots, the notes of intents that are over.
use cairn_core::Subject;
use serde::Serialize;
use sqlx::PgPool;

use super::known::Known;

/// What was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Mended {
    /// Webhooks about its payments whose bytes were emptied.
    pub deliveries: i64,
    /// Snapshots of its streams: they are made anew from events.
    pub snapshots: u64,
    /// Intents of its processes that are over.
    pub intents: u64,
}

/// Takes them away. Repeating does no harm.
///
/// # Errors
/// The database's.
pub async fn mend(pool: &PgPool, subject: &Subject, known: &Known) -> Result<Mended, sqlx::Error> {
    let emptied = sqlx::query_scalar!(
        r#"SELECT privacy_empty_deliveries($1) AS "emptied!""#,
        &known.provider_ids
    );
    let (types, ids): (Vec<_>, Vec<_>) = known.streams.iter().cloned().unzip();
    let snapshots = sqlx::query!(
        "DELETE FROM snapshots s USING unnest($1::text[], $2::text[]) AS k (aggregate_type, aggregate_id)
         WHERE s.aggregate_type = k.aggregate_type AND s.aggregate_id = k.aggregate_id",
        &types,
        &ids
    );
    let intents = sqlx::query!(
        "DELETE FROM process_intents
         WHERE origin ->> 'organisation_id' = $1 AND finished_at IS NOT NULL",
        subject.id()
    );
    Ok(Mended {
        deliveries: emptied.fetch_one(pool).await?,
        snapshots: snapshots.execute(pool).await?.rows_affected(),
        intents: intents.execute(pool).await?.rows_affected(),
    })
}

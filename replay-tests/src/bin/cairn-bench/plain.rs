//! Plain INSERTs into postgres-es's own table: what the database can do with no idea of commands, conflicts or order.
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;

use crate::Failure;
use crate::measure::{Cell, measure};
use crate::note;

/// Rows of one batched INSERT.
pub const BATCH: usize = 256;

/// postgres-es 0.5's `db/init.sql`, without its views.
pub const SCHEMA: &str = "CREATE TABLE events (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence bigint CHECK (sequence >= 0) NOT NULL,
    event_type text NOT NULL,
    event_version text NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence))";

fn payload(number: u64) -> String {
    serde_json::json!({
        "type": "note.taken", "number": number, "author": "org_01J0000000000000000000000", "text": note::text(),
    })
    .to_string()
}

const METADATA: &str = r#"{"actor":"bench","correlation_id":"bench","command_id":"bench"}"#;

/// One row, one statement, one commit.
pub async fn single_rows(pool: &PgPool, callers: usize, span: Duration) -> Result<Cell, Failure> {
    let pool = pool.clone();
    measure((callers, 1), span, move |caller, number| {
        let pool = pool.clone();
        async move {
            sqlx::query(
                "INSERT INTO events VALUES ($1, $2, $3, $4, $5, $6::text::json, $7::text::json)",
            )
            .bind("single")
            .bind(format!("{callers}-{caller}-{}", number / 16))
            .bind(i64::try_from(number % 16 + 1)?)
            .bind("note.taken")
            .bind("1")
            .bind(payload(number))
            .bind(METADATA)
            .execute(&pool)
            .await?;
            Ok(())
        }
    })
    .await
}

/// The columns of a batch that are the same in every batch.
struct Columns {
    types: Vec<String>,
    sequences: Vec<i64>,
    events: Vec<String>,
    versions: Vec<String>,
    payloads: Vec<String>,
    metadata: Vec<String>,
}

const UNNEST: &str = "INSERT INTO events
    SELECT t, i, s, e, v, p::json, m::json
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS row (t, i, s, e, v, p, m)";

/// 256 rows, one statement, one commit.
pub async fn unnest(pool: &PgPool, callers: usize, span: Duration) -> Result<Cell, Failure> {
    let pool = pool.clone();
    let fixed = |text: &str| vec![text.to_owned(); BATCH];
    let columns = Arc::new(Columns {
        types: fixed("unnest"),
        sequences: vec![1; BATCH],
        events: fixed("note.taken"),
        versions: fixed("1"),
        payloads: (0..BATCH as u64).map(payload).collect(),
        metadata: fixed(METADATA),
    });
    measure((callers, BATCH), span, move |caller, number| {
        let (pool, columns) = (pool.clone(), Arc::clone(&columns));
        async move {
            let id = |row| format!("{callers}-{caller}-{number}-{row}");
            let ids: Vec<_> = (0..BATCH).map(id).collect();
            sqlx::query(UNNEST)
                .bind(&columns.types)
                .bind(ids)
                .bind(&columns.sequences)
                .bind(&columns.events)
                .bind(&columns.versions)
                .bind(&columns.payloads)
                .bind(&columns.metadata)
                .execute(&pool)
                .await?;
            Ok(())
        }
    })
    .await
}

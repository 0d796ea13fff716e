//! A batch of requests as columns, and the one statement that appends it.
use sqlx::PgConnection;

use crate::books::Books;
use crate::{AppendRequest, Appended, LogError};

/// Columns of the requests and of their events, in the order of `log_append`.
#[derive(Default)]
struct Columns<'a> {
    command_ids: Vec<&'a str>,
    hashes: Vec<&'a [u8]>,
    types: Vec<&'a str>,
    ids: Vec<&'a str>,
    expected: Vec<i64>,
    counts: Vec<i32>,
    outcomes: Vec<String>,
    metadata: Vec<String>,
    requests: Vec<i32>,
    ordinals: Vec<i32>,
    event_types: Vec<&'a str>,
    versions: Vec<&'a str>,
    payloads: Vec<&'a str>,
    books: Option<String>,
}

impl<'a> Columns<'a> {
    fn try_new(batch: &'a [&'a AppendRequest]) -> Result<Self, LogError> {
        let corrupt = |error: serde_json::Error| LogError::Corrupt(error.to_string());
        let mut columns = Self::default();
        let mut books = Books::default();
        for (request, number) in batch.iter().zip(1..) {
            columns.command_ids.push(&request.command_id);
            columns.hashes.push(&request.command_hash);
            columns.types.push(request.aggregate_type);
            columns.ids.push(&request.aggregate_id);
            columns.expected.push(request.expected_sequence);
            columns.counts.push(i32::try_from(request.events.len()).unwrap_or(i32::MAX));
            columns.outcomes.push(serde_json::to_string(&request.outcome).map_err(corrupt)?);
            columns.metadata.push(serde_json::to_string(&request.metadata).map_err(corrupt)?);
            for (event, ordinal) in request.events.iter().zip(1..) {
                columns.requests.push(number);
                columns.ordinals.push(ordinal);
                columns.event_types.push(&event.event_type);
                columns.versions.push(&event.event_version);
                columns.payloads.push(&event.payload);
                if let Some(entry) = &event.book {
                    books.add(columns.requests.len(), entry);
                }
            }
        }
        columns.books = books.encode().map_err(corrupt)?;
        Ok(columns)
    }
}

/// What the database said of one request.
pub(crate) enum Verdict {
    /// Settled.
    Settled(Appended),
    /// The command id is known; its outcome has to be looked up.
    Known,
}

/// Appends a batch in one round trip and one transaction. No two requests may share a stream or a command id.
///
/// Returns a verdict for each request, and the head of the log.
pub(crate) async fn append(
    connection: &mut PgConnection,
    batch: &[&AppendRequest],
) -> Result<(Vec<Verdict>, i64), LogError> {
    let columns = Columns::try_new(batch)?;
    let rows = sqlx::query!(
        r#"SELECT verdict AS "verdict!", head AS "head!"
           FROM log_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::text::json)"#,
        &columns.command_ids as &[&str],
        &columns.hashes as &[&[u8]],
        &columns.types as &[&str],
        &columns.ids as &[&str],
        &columns.expected,
        &columns.counts,
        &columns.outcomes,
        &columns.metadata,
        &columns.requests,
        &columns.ordinals,
        &columns.event_types as &[&str],
        &columns.versions as &[&str],
        &columns.payloads as &[&str],
        columns.books.as_deref(),
    )
    // All of it: a deferred constraint speaks at the commit, after the last row.
    .fetch_all(connection)
    .await
    .map_err(|error| LogError::writing(&error))?;
    if rows.len() != batch.len() {
        let (sent, got) = (batch.len(), rows.len());
        return Err(LogError::Corrupt(format!("{sent} requests were answered {got} times")));
    }
    let head = rows.last().map_or(0, |row| row.head);
    let verdicts = rows
        .iter()
        .zip(batch)
        .zip(&columns.counts)
        .map(|((row, request), count)| match row.verdict.as_str() {
            "known" => Verdict::Known,
            "stale" => Verdict::Settled(Appended::Stale),
            _ => Verdict::Settled(Appended::Done {
                position: row.head,
                sequence: request.expected_sequence + i64::from(*count),
            }),
        })
        .collect();
    Ok((verdicts, head))
}

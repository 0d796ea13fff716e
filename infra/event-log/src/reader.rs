//! Reading long stretches of the log: by COPY, whose rows are taken apart where they lie. A row of a query passes through a portal, a
//! look-up of its columns and a value for each, which costs more than what is read.
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::log::Row;
use crate::{EventLog, LogError, Recorded, pool};

/// Signature, flags, and the length of the extension.
const HEAD: usize = 19;
/// Seconds from 1970 to 2000, where PostgreSQL's instants begin.
const EPOCH: i64 = 946_684_800;
/// What a row has, in the order of [`row`].
const COLUMNS: &str = "position, recorded_at, sequence, segment, aggregate_type, aggregate_id, event_type, event_version, payload, metadata";

/// Reads stretches of the log, one after the other.
///
/// The connection is its own: one whose answer was not heard to the end is in no state to be used, so it goes.
#[derive(Debug)]
pub struct Reader {
    log: EventLog,
    limit: Duration,
    db: Option<PgConnection>,
}

impl Reader {
    pub(crate) const fn new(log: EventLog, limit: Duration) -> Self {
        Self { log, limit, db: None }
    }

    /// The events after one position and up to another that are of some types, or of any, in the log's order.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`].
    pub async fn read(
        &mut self,
        range: (i64, i64),
        types: Option<&[String]>,
    ) -> Result<Vec<Recorded>, LogError> {
        let mut db = match self.db.take() {
            Some(db) => db,
            None => self.log.ask(self.log.pool().acquire()).await?.detach(),
        };
        let rows = pool::in_time(self.limit, copy(&mut db, range, types)).await;
        let rows = rows.map_err(|error| LogError::reading(&error))?;
        self.db = Some(db);
        self.log.whole(rows).await
    }
}

async fn copy(
    db: &mut PgConnection,
    (after, until): (i64, i64),
    types: Option<&[String]>,
) -> sqlx::Result<Vec<Row>> {
    let some = types.map_or_else(String::new, |types| {
        let types = types.iter().map(|name| format!("'{}'", name.replace('\'', "''")));
        let types: Vec<_> = types.collect();
        format!("AND event_type = ANY (ARRAY[{}]::text[])", types.join(", "))
    });
    let copy = format!(
        "COPY (SELECT {COLUMNS} FROM events WHERE position > {after} AND position <= {until} {some}
               ORDER BY position) TO STDOUT (FORMAT binary)"
    );
    let mut rows = Vec::with_capacity(usize::try_from(until - after).unwrap_or(0).min(10_000));
    let mut answer = db.copy_out_raw(&copy).await?;
    let mut head = HEAD;
    // The server sends each row by itself, the first behind the head, and at last a row of no columns.
    while let Some(sent) = answer.try_next().await? {
        let torn = || sqlx::Error::Decode("a row of the log is torn".into());
        let bytes = sent.get(std::mem::take(&mut head)..).ok_or_else(torn)?;
        if bytes.len() > 2 {
            rows.push(row(&mut Fields(bytes)).ok_or_else(torn)?);
        }
    }
    Ok(rows)
}

/// What is left of a row.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The next field; within, `None` when it is null.
    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        let length = i32::from_be_bytes(self.take()?);
        let Ok(length) = usize::try_from(length) else { return Some(None) };
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(field))
    }

    fn integer(&mut self) -> Option<Option<i64>> {
        match self.next()? {
            Some(field) => field.try_into().ok().map(|field| Some(i64::from_be_bytes(field))),
            None => Some(None),
        }
    }

    fn text(&mut self) -> Option<String> {
        let field = self.next()??;
        std::str::from_utf8(field).ok().map(str::to_owned)
    }
}

fn row(fields: &mut Fields<'_>) -> Option<Row> {
    let _columns: [u8; 2] = fields.take()?;
    Some(Row {
        position: fields.integer()??,
        recorded_at: instant(fields.integer()??)?,
        sequence: fields.integer()??,
        segment: fields.integer()?,
        aggregate_type: fields.text()?,
        aggregate_id: fields.text()?,
        event_type: fields.text()?,
        event_version: fields.text()?,
        payload: fields.text()?,
        metadata: fields.text()?,
    })
}

/// An instant from microseconds since 2000.
fn instant(micros: i64) -> Option<OffsetDateTime> {
    let epoch = OffsetDateTime::from_unix_timestamp(EPOCH).ok()?;
    epoch.checked_add(time::Duration::microseconds(micros))
}

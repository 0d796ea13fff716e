//! Every stream of the whole log, folded and compared.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use cairn_event_log::LogSource;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use sqlx::types::JsonValue;
use time::OffsetDateTime;

use super::ReplayError;
use super::books::{self, Holds, Periods};
use super::fold::{self, Fold};
use super::report::VerifyReport;
use super::stones::{self, Stone};
use crate::executor::MADE_BY;

const PAGE: i64 = 5_000;

/// Folds every stream of the log and compares: each event decodes and encodes to what is stored, positions and sequences
/// are dense, each journal transaction is what its event says, and guarded balances, holds and snapshots are what the
/// streams fold to.
///
/// # Errors
/// [`ReplayError::Database`]. What is wrong with the data is in the report, not an error.
pub async fn verify(source: &impl LogSource) -> Result<VerifyReport, ReplayError> {
    verify_in_pages(source, PAGE).await
}

/// Like [`verify`], reading `page` events at a time; the digest does not depend on it.
///
/// # Errors
/// As [`verify`].
pub async fn verify_in_pages(
    source: &impl LogSource,
    page: i64,
) -> Result<VerifyReport, ReplayError> {
    let mut transaction = stones::reading(source).await?;
    let mut replay = Replay { snapshots: snapshots(&mut transaction).await?, ..Replay::default() };
    loop {
        let after = replay.report.events;
        let stones = stones::page(&mut transaction, replay.last_position, page).await?;
        let Some(last) = stones.last() else { break };
        let range = (replay.last_position, last.position);
        let mut journal = BTreeMap::new();
        for stone in stones {
            replay.add(&stone, &mut journal);
        }
        replay.report.journal_transactions += count(journal.len());
        let live = books::journal(&mut transaction, range).await?;
        books::compare(&mut replay.report, "journal", &journal, &live);
        debug_assert!(replay.report.events > after);
    }
    let report = replay.finish(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(report)
}

/// Snapshots that this version of the code may use: stream to sequence and state.
async fn snapshots(
    connection: &mut PgConnection,
) -> Result<BTreeMap<StreamName, (i64, JsonValue)>, ReplayError> {
    let rows = sqlx::query!(
        r#"SELECT aggregate_type, aggregate_id, last_sequence, payload AS "payload: JsonValue"
           FROM snapshots WHERE made_by = $1"#,
        MADE_BY
    )
    .fetch_all(connection)
    .await?;
    let named = rows
        .into_iter()
        .map(|row| ((row.aggregate_type, row.aggregate_id), (row.last_sequence, row.payload)));
    Ok(named.collect())
}

type StreamName = (String, String);

/// The fold of the log so far.
#[derive(Default)]
struct Replay {
    streams: BTreeMap<StreamName, (i64, Box<dyn Fold>)>,
    snapshots: BTreeMap<StreamName, (i64, JsonValue)>,
    holds: Holds,
    periods: Periods,
    last_position: i64,
    last_recorded_at: Option<OffsetDateTime>,
    report: VerifyReport,
}

impl Replay {
    fn add(&mut self, stone: &Stone, journal: &mut BTreeMap<i64, String>) {
        self.in_order(stone);
        self.report.events += 1;
        let name = (stone.aggregate_type.clone(), stone.aggregate_id.clone());
        if !self.streams.contains_key(&name) {
            let Some(folded) = fold::start(&stone.aggregate_type) else {
                let message = format!("no aggregate is a '{}'", stone.aggregate_type);
                return self.report.differ("event", stone.position, message);
            };
            self.streams.insert(name.clone(), (0, folded));
        }
        let Some((sequence, folded)) = self.streams.get_mut(&name) else { return };
        *sequence += 1;
        if stone.sequence != *sequence {
            let message = format!("has sequence {} where {sequence} comes next", stone.sequence);
            self.report.differ("log", stone.position, message);
            *sequence = stone.sequence;
        }
        let book = match folded.add(stone) {
            Ok(book) => book.unwrap_or_default(),
            Err(message) => return self.report.differ("event", stone.position, message),
        };
        if let Some(entry) = &book.journal {
            journal.insert(stone.position, books::line(entry));
        }
        for change in book.hold_changes() {
            self.holds.add(change);
        }
        if let Some(change) = &book.period {
            self.periods.add(stone.position, *change);
        }
        match self.snapshots.get(&name) {
            Some((place, kept)) if *place == stone.sequence => {
                self.report.snapshots += 1;
                if *kept != folded.state() {
                    let which = format!("{} {}", name.0, name.1);
                    self.report.differ("snapshot", which, "is not what the stream folds to");
                }
            }
            Some(_) | None => {}
        }
    }

    /// Positions are dense and time does not run backwards.
    fn in_order(&mut self, stone: &Stone) {
        if stone.position != self.last_position + 1 {
            let message = format!("follows position {}", self.last_position);
            self.report.differ("log", stone.position, message);
        }
        if self.last_recorded_at.is_some_and(|last| stone.recorded_at < last) {
            self.report.differ("log", stone.position, "was recorded before the event before it");
        }
        self.last_position = stone.position;
        self.last_recorded_at = Some(stone.recorded_at);
    }

    async fn finish(mut self, connection: &mut PgConnection) -> Result<VerifyReport, ReplayError> {
        let head = sqlx::query_scalar!("SELECT position FROM log_head")
            .fetch_one(&mut *connection)
            .await?;
        if head != self.last_position {
            let message = format!("the log ends at {}", self.last_position);
            self.report.differ("log", head, message);
        }
        let wallets = self.streams.values().filter_map(|(_, folded)| folded.wallet());
        books::balances(&mut *connection, wallets, &mut self.report).await?;
        self.holds.compare(&mut *connection, &mut self.report).await?;
        self.periods.compare(connection, &mut self.report).await?;
        self.report.streams = count(self.streams.len());
        self.report.digest = digest(&self.streams);
        self.report.identical = self.report.differences_found == 0;
        Ok(self.report)
    }
}

/// Over length-prefixed texts, so that no two sets of streams read the same.
fn digest(streams: &BTreeMap<StreamName, (i64, Box<dyn Fold>)>) -> String {
    let mut hash = Sha256::new();
    for ((aggregate_type, aggregate_id), (sequence, folded)) in streams {
        let state = canonical(&folded.state());
        for part in [aggregate_type, aggregate_id, &sequence.to_string(), &state] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// JSON with the keys of every object sorted, however the library was built.
fn canonical(value: &JsonValue) -> String {
    match value {
        JsonValue::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let field = |(name, value)| format!("{}:{}", JsonValue::from(name), canonical(value));
            let fields: Vec<_> = sorted.into_iter().map(|(k, v)| field((k.as_str(), v))).collect();
            format!("{{{}}}", fields.join(","))
        }
        JsonValue::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        JsonValue::Null | JsonValue::Bool(_) | JsonValue::Number(_) | JsonValue::String(_) => {
            value.to_string()
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

//! A batch of requests as columns, and the one statement that appends it.
use sqlx::PgConnection;

use crate::books::Books;
use crate::session::Session;
use crate::{AppendRequest, Appended, LogError, NewEvent};

/// Columns of the requests and of their events, in the order of `log_append`.
#[derive(Default)]
struct Columns<'a> {
    command_ids: Vec<&'a str>,
    types: Vec<&'a str>,
    ids: Vec<&'a str>,
    expected: Vec<i64>,
    counts: Vec<i32>,
    /// Of requests without events.
    settled: Settled<'a>,
    events: EventColumns<'a>,
    books: Books<'a>,
}

/// What becomes of a command: the hash of what was asked, and the outcome. It is kept with its last event, or alone.
#[derive(Default)]
struct Settled<'a> {
    hashes: Vec<Option<&'a [u8]>>,
    outcomes: Vec<Option<&'a str>>,
}

impl<'a> Settled<'a> {
    fn push(&mut self, settled: Option<(&'a [u8], &'a str)>) {
        self.hashes.push(settled.map(|(hash, _)| hash));
        self.outcomes.push(settled.map(|(_, outcome)| outcome));
    }
}

/// What an event shares with its request is repeated.
#[derive(Default)]
struct EventColumns<'a> {
    requests: Vec<i32>,
    ordinals: Vec<i32>,
    command_ids: Vec<&'a str>,
    aggregates: Vec<&'a str>,
    ids: Vec<&'a str>,
    sequences: Vec<i64>,
    types: Vec<&'a str>,
    versions: Vec<&'a str>,
    payloads: Vec<&'a str>,
    metadata: Vec<&'a str>,
    settled: Settled<'a>,
}

/// The JSON texts of a request that its columns borrow.
struct Texts {
    metadata: String,
    outcome: String,
}

impl Texts {
    fn try_new(request: &AppendRequest) -> Result<Self, LogError> {
        let (metadata, outcome) = (encode(&request.metadata)?, encode(&request.outcome)?);
        Ok(Self { metadata, outcome })
    }
}

fn encode(value: &impl serde::Serialize) -> Result<String, LogError> {
    serde_json::to_string(value).map_err(|error| LogError::Corrupt(error.to_string()))
}

impl<'a> Columns<'a> {
    fn try_new(batch: &'a [&'a AppendRequest], texts: &'a [Texts]) -> Result<Self, LogError> {
        let mut columns = Self::default();
        for ((request, texts), number) in batch.iter().zip(texts).zip(1..) {
            let settled = (request.command_hash.as_slice(), texts.outcome.as_str());
            columns.command_ids.push(&request.command_id);
            columns.types.push(request.aggregate_type);
            columns.ids.push(&request.aggregate_id);
            columns.expected.push(request.expected_sequence);
            columns.counts.push(i32::try_from(request.events.len()).unwrap_or(i32::MAX));
            columns.settled.push(request.events.is_empty().then_some(settled));
            for (event, ordinal) in request.events.iter().zip(1..) {
                columns.events.push(request, (number, ordinal), (event, &texts.metadata));
                let is_last = usize::try_from(ordinal) == Ok(request.events.len());
                columns.events.settled.push(is_last.then_some(settled));
                if let Some(entry) = &event.book {
                    columns.books.add(columns.events.requests.len(), entry)?;
                }
            }
        }
        Ok(columns)
    }
}

impl<'a> EventColumns<'a> {
    fn push(
        &mut self,
        request: &'a AppendRequest,
        (number, ordinal): (i32, i32),
        (event, metadata): (&'a NewEvent, &'a str),
    ) {
        self.requests.push(number);
        self.ordinals.push(ordinal);
        self.command_ids.push(&request.command_id);
        self.aggregates.push(request.aggregate_type);
        self.ids.push(&request.aggregate_id);
        self.sequences.push(request.expected_sequence + i64::from(ordinal));
        self.types.push(&event.event_type);
        self.versions.push(&event.event_version);
        self.payloads.push(&event.payload);
        self.metadata.push(metadata);
    }
}

/// What the database said of one request.
pub(crate) enum Verdict {
    /// Settled.
    Settled(Appended),
    /// The command id is known; its outcome has to be looked up.
    Known,
}

impl Verdict {
    /// As the database puts it; `done` is what was written if it was.
    fn of(said: &str, done: Appended) -> Self {
        match said {
            "known" => Self::Known,
            "stale" => Self::Settled(Appended::Stale),
            _ => Self::Settled(done),
        }
    }
}

/// Appends a batch in one round trip and one transaction. No two requests may share a stream or a command id.
///
/// Returns a verdict for each request, and the head of the log.
pub(crate) async fn append(
    session: &Session,
    connection: &mut PgConnection,
    batch: &[&AppendRequest],
) -> Result<(Vec<Verdict>, i64), LogError> {
    let texts: Vec<_> =
        batch.iter().map(|request| Texts::try_new(request)).collect::<Result<_, _>>()?;
    let columns = Columns::try_new(batch, &texts)?;
    let (events, Books { journal, legs, holds, periods }) = (&columns.events, &columns.books);
    let answer = sqlx::query!(
        r#"SELECT base AS "base!", verdicts
           FROM log_append($1, $2, $3, $4, $5, $6, $7,
                           $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                           $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31,
                           $32, $33, $34, $35, $36, $37, $38, $39,
                           $40, $41, $42, $43)"#,
        &columns.command_ids as &[&str],
        &columns.types as &[&str],
        &columns.ids as &[&str],
        &columns.expected,
        &columns.counts,
        &columns.settled.hashes as &[Option<&[u8]>],
        &columns.settled.outcomes as &[Option<&str>],
        &events.requests,
        &events.ordinals,
        &events.command_ids as &[&str],
        &events.aggregates as &[&str],
        &events.ids as &[&str],
        &events.sequences,
        &events.types as &[&str],
        &events.versions as &[&str],
        &events.payloads as &[&str],
        &events.metadata as &[&str],
        &events.settled.hashes as &[Option<&[u8]>],
        &events.settled.outcomes as &[Option<&str>],
        &journal.events,
        &journal.kinds as &[&str],
        &journal.sources as &[&str],
        &journal.source_ids as &[&str],
        &journal.currencies as &[&str],
        &journal.occurred,
        &journal.reverses as &[Option<&str>],
        &legs.events,
        &legs.numbers,
        &legs.accounts as &[&str],
        &legs.currencies as &[&str],
        &legs.amounts,
        &holds.events,
        &holds.ids,
        &holds.accounts as &[&str],
        &holds.currencies as &[&str],
        &holds.expires,
        &holds.reserved,
        &holds.captured,
        &holds.released,
        &periods.events,
        &periods.months,
        &periods.closed,
        &periods.counted,
    )
    // All of it: a fault of the commit speaks after the row.
    .fetch_all(connection);
    let rows = session.in_time(answer).await.map_err(|error| LogError::writing(&error))?;
    let [answer] = rows.as_slice() else {
        return Err(LogError::Corrupt(format!("a batch was answered {} times", rows.len())));
    };
    judged(batch, &columns.counts, answer.base, answer.verdicts.as_deref())
}

/// A verdict for each request, and the head of the log. Without words of the database all are done.
fn judged(
    batch: &[&AppendRequest],
    counts: &[i32],
    base: i64,
    said: Option<&[String]>,
) -> Result<(Vec<Verdict>, i64), LogError> {
    if let Some(got) = said.map(<[_]>::len).filter(|got| *got != batch.len()) {
        let sent = batch.len();
        return Err(LogError::Corrupt(format!("{sent} requests were answered {got} times")));
    }
    let mut head = base;
    let verdicts = batch.iter().zip(counts).enumerate().map(|(number, (request, count))| {
        let said = said.map_or("done", |said| &said[number]);
        if said == "done" {
            head += i64::from(*count);
        }
        let sequence = request.expected_sequence + i64::from(*count);
        Verdict::of(said, Appended::Done { position: head, sequence })
    });
    Ok((verdicts.collect(), head))
}

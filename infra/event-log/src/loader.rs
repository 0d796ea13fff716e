//! Loads streams in groups: whatever is asked for while a read is under way is read together next, in one round trip.
use std::time::{Duration, Instant};

use cairn_tasks::{caught, named};
use sqlx::types::time::OffsetDateTime;
use sqlx::{PgPool, pool};
use tokio::sync::{mpsc, oneshot};

use crate::LogError;
use crate::log::Row;
use crate::session::Session;

/// Loads that may wait; beyond it callers wait to queue.
const QUEUE: usize = 1_024;
/// Streams of one read.
const GROUP: usize = 64;

/// What to load: at most `limit` events of a stream after a sequence.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) aggregate_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) after_sequence: i64,
    pub(crate) limit: i64,
}

type Answer = Result<Vec<Row>, LogError>;
type Queued = (Wanted, oneshot::Sender<Answer>);

/// A handle on the task that loads.
#[derive(Debug, Clone)]
pub(crate) struct Loader {
    queue: mpsc::Sender<Queued>,
}

impl Loader {
    /// The handle and the task, which ends when the last handle is gone or the pool closes.
    pub(crate) fn new(
        pool: PgPool,
        limit: Duration,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, wanted) = mpsc::channel(QUEUE);
        let closed = pool.close_event();
        let task = async move {
            let (mut wanted, mut closed) = (wanted, closed);
            let session = || Session::new(pool.clone(), limit);
            // Whoever's group it had in hand hears that the log is closed, and asks again.
            while caught(run(session(), &mut wanted, &mut closed)).await.is_err() {}
        };
        (Self { queue }, named("log", task))
    }

    pub(crate) async fn load(&self, wanted: Wanted) -> Answer {
        let closed = || LogError::Unavailable("the log is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        self.queue.send((wanted, answer)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

async fn run(
    mut session: Session,
    wanted: &mut mpsc::Receiver<Queued>,
    closed: &mut pool::CloseEvent,
) {
    let mut group = Vec::with_capacity(GROUP);
    loop {
        let queued = tokio::select! {
            queued = wanted.recv_many(&mut group, GROUP) => queued,
            () = &mut *closed => return,
        };
        if queued == 0 {
            return;
        }
        let started = Instant::now();
        let (wanted, answers): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let mut loaded = load(&mut session, &wanted).await;
        metrics::histogram!("cairn_log_load_seconds").record(started.elapsed());
        for (number, answer) in answers.into_iter().enumerate() {
            let events = match &mut loaded {
                Ok(streams) => Ok(streams.get_mut(number).map(std::mem::take).unwrap_or_default()),
                Err(error) => Err(error.clone()),
            };
            // Nobody may be waiting any more.
            let _ = answer.send(events);
        }
    }
}

/// The rows of each stream that is wanted. Whoever asked reads them: one that cannot be read does not harm the others.
async fn load(session: &mut Session, wanted: &[Wanted]) -> Result<Vec<Vec<Row>>, LogError> {
    let types: Vec<_> = wanted.iter().map(|one| one.aggregate_type.as_str()).collect();
    let ids: Vec<_> = wanted.iter().map(|one| one.aggregate_id.as_str()).collect();
    let after: Vec<_> = wanted.iter().map(|one| one.after_sequence).collect();
    let limits: Vec<_> = wanted.iter().map(|one| one.limit).collect();
    let mut connection = session.connect().await?;
    let answer = sqlx::query!(
        r#"SELECT w.n AS "n!", e.position, e.recorded_at, e.aggregate_type, e.aggregate_id, e.sequence,
                  e.event_type, e.event_version, e.payload::text AS "payload!",
                  e.metadata::text AS "metadata!", e.segment
           FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
                    WITH ORDINALITY AS w (aggregate_type, aggregate_id, after, most, n)
           CROSS JOIN LATERAL (
               SELECT * FROM events e
               WHERE e.aggregate_type = w.aggregate_type AND e.aggregate_id = w.aggregate_id
                 AND e.sequence > w.after
               ORDER BY e.sequence LIMIT w.most) AS e
           ORDER BY w.n, e.sequence"#,
        &types as &[&str],
        &ids as &[&str],
        &after,
        &limits,
    )
    .fetch_all(&mut *connection);
    let rows = match session.in_time(answer).await {
        Ok(rows) => rows,
        Err(error) => {
            drop(connection.detach());
            return Err(LogError::reading(&error));
        }
    };
    session.keep(connection);
    let mut streams: Vec<Vec<Row>> = wanted.iter().map(|_| vec![]).collect();
    for row in rows {
        let number = usize::try_from(row.n - 1).unwrap_or(usize::MAX);
        let recorded_at: OffsetDateTime = row.recorded_at;
        let row = Row {
            position: row.position,
            recorded_at,
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id,
            sequence: row.sequence,
            event_type: row.event_type,
            event_version: row.event_version,
            payload: row.payload,
            metadata: row.metadata,
            segment: row.segment,
        };
        streams.get_mut(number).map(|stream| stream.push(row)).unwrap_or_default();
    }
    Ok(streams)
}

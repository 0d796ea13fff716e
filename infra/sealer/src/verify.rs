//! Reads the log again and holds it against the seals, in the table and as they were published.
use std::path::PathBuf;
use std::sync::Arc;

use cairn_event_log::{EventLog, LogError};
use cairn_seal::{
    Block, BlockView, Chain, Copies, Copy, Fault, Finding, Hash, Judged, PublicKeys, SealedEvent,
    check_block,
};
use futures::{TryStreamExt as _, stream};
use sqlx::PgPool;
use tokio::task::spawn_blocking;

use crate::table::{self, Row};
use crate::{Published, Report, Resume, SealError};

/// Headers that are read at once.
const PAGE: i64 = 1_000;
/// Blocks between two notes of how far we are.
const NOTE_EVERY: u64 = 64;

/// How much is verified, and how.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Events before this position are not read again; chain and signatures always are, all of them.
    pub from: i64,
    /// Blocks that are read at once.
    pub workers: usize,
    /// Where an earlier run noted how far it was, and this one shall.
    pub resume: Option<PathBuf>,
}

/// A judged block with what it is to be held against.
struct Task {
    judged: Judged,
    published: Option<Vec<Hash>>,
    skip: bool,
}

/// Verifies a log.
///
/// # Errors
/// [`SealError`] when database, published copy or resume file cannot be read. What is wrong with the log is in the report.
pub async fn verify(
    log: &EventLog,
    keys: &PublicKeys,
    published: Published,
    scope: &Scope,
) -> Result<Report, SealError> {
    let pool = log.pool();
    let id = table::log_id(pool).await?;
    let log_id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let resume = read_resume(scope, &log_id)?;
    let blocks = published.blocks();
    let mut report = Report {
        log_id: log_id.clone(),
        head: log.head().await?,
        published_blocks: (!matches!(published, Published::None)).then_some(blocks),
        ..Report::default()
    };
    let mut walk = Walk::new(pool.clone(), Arc::new(published), Chain::new(id, keys));
    walk.done_before = (resume.clone(), scope.from);
    let tasks = stream::try_unfold(walk, async |mut walk| {
        Ok::<_, SealError>(walk.next().await?.map(|task| (task, walk)))
    });
    let checked = tasks.map_ok(|task| check(log.clone(), task)).try_buffered(scope.workers.max(1));
    let mut checked = std::pin::pin!(checked);
    let mut reached = None;
    while let Some((judged, count, mut findings)) = checked.try_next().await? {
        report.blocks = judged.number;
        report.events_checked += count;
        if let Some(header) = &judged.trusted {
            report.sealed_position = header.last;
            findings.extend(unlike(resume.as_ref(), &judged));
            reached = Some(Resume {
                log_id: log_id.clone(),
                block: header.number,
                block_hash: header.hash(),
            });
        }
        report.add(findings);
        if report.findings_total == 0 && judged.number.is_multiple_of(NOTE_EVERY) {
            note(scope, reached.as_ref())?;
        }
    }
    if report.findings_total == 0 {
        note(scope, reached.as_ref())?;
    }
    report.unsealed_events = (report.head - report.sealed_position).max(0);
    let range = (report.sealed_position, report.head);
    report.add(outside_of_blocks(pool, range).await?);
    Ok(report.conclude())
}

fn read_resume(scope: &Scope, log_id: &str) -> Result<Option<Resume>, SealError> {
    let Some(path) = &scope.resume else { return Ok(None) };
    let file = |source| SealError::File { path: path.clone(), source };
    match Resume::read(path).map_err(file)? {
        Some(resume) if resume.log_id != log_id => {
            Err(file(std::io::Error::other("it was left by the verification of another log")))
        }
        resume => Ok(resume),
    }
}

fn note(scope: &Scope, reached: Option<&Resume>) -> Result<(), SealError> {
    let (Some(path), Some(reached)) = (&scope.resume, reached) else { return Ok(()) };
    reached.write(path).map_err(|source| SealError::File { path: path.clone(), source })
}

/// The block up to which an earlier run found everything intact must still be the same one.
fn unlike(resume: Option<&Resume>, judged: &Judged) -> Option<Finding> {
    let resume = resume.filter(|resume| resume.block == judged.number)?;
    let header = judged.trusted.as_ref()?;
    (header.hash() != resume.block_hash).then(|| Finding {
        position: judged.first,
        block: Some(judged.number),
        fault: Fault::SealForked,
        detail: "it is not the block that the earlier verification saw".to_owned(),
    })
}

/// Walks along the chain, one judged block after the other.
struct Walk<'k> {
    pool: PgPool,
    published: Arc<Published>,
    chain: Chain<'k>,
    rows: std::vec::IntoIter<Row>,
    peeked: Option<Row>,
    done_before: (Option<Resume>, i64),
}

impl<'k> Walk<'k> {
    fn new(pool: PgPool, published: Arc<Published>, chain: Chain<'k>) -> Self {
        Self {
            pool,
            published,
            chain,
            rows: vec![].into_iter(),
            peeked: None,
            done_before: (None, 1),
        }
    }

    async fn next(&mut self) -> Result<Option<Task>, SealError> {
        let number = self.chain.number();
        if self.peeked.is_none() {
            self.peeked = self.row(number).await?;
        }
        if self.peeked.is_none() && number > self.published.blocks() {
            return Ok(None);
        }
        let here = self.peeked.take_if(|row| u64::try_from(row.number) == Ok(number));
        let table = here.map_or(Copy::Missing, Row::copy);
        let (published, leaves) = match self.published.block(number).await? {
            None => (Copy::None, None),
            Some(Err(why)) => (Copy::Malformed(why), None),
            Some(Ok(Block { signed, leaves })) => (Copy::Found(signed), Some(leaves)),
        };
        let judged = self.chain.judge(&Copies { table, published });
        if let Some(row) = self.peeked.as_ref().filter(|_| number > self.published.blocks()) {
            // Nowhere else are there blocks up to that one: they are one finding, however many they would be.
            self.chain.skip_to(row.number.unsigned_abs());
        }
        let (resume, from) = &self.done_before;
        let known = resume.as_ref().is_some_and(|resume| judged.number <= resume.block);
        let early = judged.trusted.as_ref().is_some_and(|header| header.last < *from);
        Ok(Some(Task { skip: known || early, published: leaves, judged }))
    }

    async fn row(&mut self, number: u64) -> Result<Option<Row>, SealError> {
        if let Some(row) = self.rows.next() {
            return Ok(Some(row));
        }
        let after = i64::try_from(number).unwrap_or(i64::MAX) - 1;
        self.rows = table::headers(&self.pool, after, PAGE).await?.into_iter();
        Ok(self.rows.next())
    }
}

/// Holds one block's events against it. Returns how many were read, and what is wrong.
async fn check(log: EventLog, task: Task) -> Result<(Judged, u64, Vec<Finding>), SealError> {
    let Task { judged, published, skip } = task;
    let table = table::leaves(log.pool(), judged.number).await?;
    let range = judged.trusted.as_ref().map(|header| (header.first, header.last));
    let (events, mut findings) = match range.filter(|_| !skip) {
        Some(range) => read(&log, range, judged.number).await?,
        None => (None, vec![]),
    };
    let count = events.as_ref().map_or(0, Vec::len) as u64;
    spawn_blocking(move || {
        let view = BlockView {
            judged: &judged,
            table: table.as_deref(),
            published: published.as_deref(),
            events: events.as_deref(),
        };
        let unread: Vec<i64> = findings.iter().map(|finding: &Finding| finding.position).collect();
        let found = check_block(view);
        findings.extend(found.into_iter().filter(|finding| !unread.contains(&finding.position)));
        (judged, count, findings)
    })
    .await
    .map_err(SealError::from)
}

/// The events of a range; one by one when the database cannot read all of them. None when a segment of the archive is missing
/// or altered: the rest of the range would be the same finding over again.
async fn read(
    log: &EventLog,
    (first, last): (i64, i64),
    number: u64,
) -> Result<(Option<Vec<SealedEvent>>, Vec<Finding>), SealError> {
    let unreadable = |position, error: LogError| Finding {
        position,
        block: Some(number),
        fault: Fault::EventUnreadable,
        detail: error.to_string(),
    };
    match table::events(log, (first, last)).await {
        Ok(events) => return Ok((Some(events), vec![])),
        Err(error) if error.is_transient() => return Err(error.into()),
        Err(error @ LogError::Segment { position, .. }) => {
            return Ok((None, vec![unreadable(position, error)]));
        }
        Err(_) => {}
    }
    let (mut events, mut findings) = (vec![], vec![]);
    for position in first..=last {
        match table::events(log, (position, position)).await {
            Ok(found) => events.extend(found),
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => findings.push(unreadable(position, error)),
        }
    }
    Ok((Some(events), findings))
}

/// What needs no seal to be wrong: positions that cannot be, and gaps after the last block.
async fn outside_of_blocks(pool: &PgPool, range: (i64, i64)) -> Result<Vec<Finding>, SealError> {
    let says = |position, fault, detail: &str| Finding {
        position,
        block: None,
        fault,
        detail: detail.to_owned(),
    };
    let mut findings = vec![];
    if let Some(position) = table::misplaced(pool).await? {
        findings.push(says(position, Fault::EventMisplaced, "positions begin at 1"));
    }
    if let Some(position) = table::first_gap(pool, range).await? {
        let detail = "the event is not there; it was not sealed yet";
        findings.push(says(position, Fault::EventMissing, detail));
    }
    Ok(findings)
}

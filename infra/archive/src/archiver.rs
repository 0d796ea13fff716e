//! Archives closed ranges: written, read back, held against the seals, recorded, and only then let go.
use std::sync::Arc;

use cairn_event_log::{EventLog, NewSegment, ReturnedBulk, SegmentRecord, segments};
use cairn_seal::{Block, BlockView, Chain, Copies, Copy, SealedEvent, Signed, check_block};
use cairn_sealer::{Evidence, Place, Sealer};
use serde::Serialize;
use sqlx::Connection as _;
use tokio::task::spawn_blocking;

use crate::plan::{self, Bound, Piece, Policy, Standing};
use crate::segment::{self, Manifest, Names};
use crate::{ArchiveError, store};

/// Held by the one that archives, of all processes, until its connection ends. Without it everything would still be right, and
/// done twice.
const LEASE: i64 = 0x6361_6972_6e5f_6172;

/// How to archive.
#[derive(Debug, Clone)]
pub struct ArchiverConfig {
    /// Where to.
    pub place: Place,
    /// Most events of a segment; a block that has more is a segment by itself.
    pub segment_events: u32,
}

/// Archives one log.
#[derive(Debug, Clone)]
pub struct Archiver {
    pub(crate) log: EventLog,
    sealer: Sealer,
    pub(crate) place: Place,
    events_max: i64,
}

/// A segment whose bulk was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// Its number.
    pub segment: i64,
    /// Position of its first event.
    pub first_position: i64,
    /// Position of its last event.
    pub last_position: i64,
    /// Length of its object.
    pub byte_length: i64,
    /// Its name in the archive.
    pub object: String,
}

/// What one run did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Segments whose bulk was let go.
    pub segments: Vec<Archived>,
    /// Events of those.
    pub events_archived: i64,
    /// Bytes of those in the archive.
    pub bytes_archived: i64,
    /// Up to where ranges are closed.
    pub closed_position: i64,
    /// What keeps the events after it.
    pub held_by: String,
}

impl Archiver {
    /// Over a log, its sealer, and a place.
    #[must_use]
    pub fn new(log: EventLog, sealer: Sealer, config: ArchiverConfig) -> Self {
        let ArchiverConfig { place, segment_events } = config;
        Self { log, sealer, place, events_max: segment_events.into() }
    }

    /// Where to.
    #[must_use]
    pub fn url(&self) -> &str {
        self.place.url()
    }

    /// Archives whatever is closed. What an earlier run left half done is gone on with.
    ///
    /// # Errors
    /// [`ArchiveError`]; [`ArchiveError::Busy`] when another run is under way. What was archived before it stays so.
    pub async fn run(&self, policy: &Policy) -> Result<RunReport, ArchiveError> {
        self.alone(self.archive_closed(policy)).await
    }

    async fn archive_closed(&self, policy: &Policy) -> Result<RunReport, ArchiveError> {
        let bounds = self.bounds(policy).await?;
        let closed = bounds.first().map_or(0, |bound| bound.position);
        let mut segments = vec![];
        let pieces = plan::pieces(self.log.pool(), closed, self.events_max).await?;
        if !pieces.is_empty() {
            let evidence = Arc::new(self.sealer.evidence().await?);
            for piece in pieces {
                segments.push(self.archive(&evidence, piece).await?);
            }
        }
        Ok(RunReport {
            events_archived: segments.iter().map(|s| s.last_position - s.first_position + 1).sum(),
            bytes_archived: segments.iter().map(|s| s.byte_length).sum(),
            segments,
            closed_position: closed,
            held_by: bounds.into_iter().next().map(|bound| bound.what).unwrap_or_default(),
        })
    }

    /// What is closed and not archived yet, as the next run would cut it.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn pieces(&self, policy: &Policy) -> Result<Vec<Piece>, ArchiveError> {
        let closed = self.bounds(policy).await?.first().map_or(0, |bound| bound.position);
        plan::pieces(self.log.pool(), closed, self.events_max).await
    }

    async fn bounds(&self, policy: &Policy) -> Result<Vec<Bound>, ArchiveError> {
        let published = self.sealer.published_everywhere().await?;
        plan::bounds(&self.log, published, policy).await
    }

    /// How much is archived, and what keeps the rest.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn standing(&self, policy: &Policy) -> Result<Standing, ArchiveError> {
        let pool = self.log.pool();
        let bounds = self.bounds(policy).await?;
        let closed = bounds.first().map_or(0, |bound| bound.position);
        let due = plan::pieces(pool, closed, self.events_max).await?;
        let segments = plan::in_use(pool).await?;
        Ok(Standing {
            archive: self.place.url().to_owned(),
            events_archived: segments.iter().map(|s| s.last_position - s.first_position + 1).sum(),
            bytes_archived: segments.iter().map(|segment| segment.byte_length).sum(),
            segments,
            bytes_in_database: plan::bytes_in_database(pool).await?,
            head: self.log.head().await?,
            closed_position: closed,
            events_due: due.into_iter().map(Piece::events).sum(),
            bounds,
        })
    }

    /// Does some work while no other process does any. Its connection is its own: whatever becomes of the work, the lease ends.
    async fn alone<T>(
        &self,
        work: impl Future<Output = Result<T, ArchiveError>>,
    ) -> Result<T, ArchiveError> {
        let mut connection = self.log.pool().acquire().await?.detach();
        let leased = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "leased!""#, LEASE);
        if !leased.fetch_one(&mut connection).await? {
            return Err(ArchiveError::Busy);
        }
        let done = work.await;
        let left = sqlx::query_scalar!(r#"SELECT pg_advisory_unlock($1) AS "left!""#, LEASE);
        // A connection that broke has left already.
        let _ = left.fetch_one(&mut connection).await;
        let _ = connection.close().await;
        done
    }

    async fn archive(
        &self,
        evidence: &Arc<Evidence>,
        piece: Piece,
    ) -> Result<Archived, ArchiveError> {
        let written = self.write(evidence, piece).await?;
        let number = self.log.record_segment(&written).await?;
        self.log.empty_segment(number).await?;
        tracing::info!(segment = number, first = piece.first, last = piece.last, "archived");
        metrics::counter!("cairn_archive_events_total").increment(piece.events().unsigned_abs());
        Ok(Archived {
            segment: number,
            first_position: piece.first,
            last_position: piece.last,
            byte_length: written.byte_length,
            object: written.object,
        })
    }

    /// Writes a piece, unless it is there already, reads it back, and holds what was read against the seals.
    ///
    /// # Errors
    /// [`ArchiveError::Differs`] when what is there is not what was sealed.
    pub async fn write(
        &self,
        evidence: &Arc<Evidence>,
        piece: Piece,
    ) -> Result<NewSegment, ArchiveError> {
        let range = (piece.first, piece.last);
        let log_id = self.log_id().await?;
        let names = Names::of(&log_id, range);
        let events = cairn_sealer::events(&self.log, range).await?;
        let body = spawn_blocking(move || segment::pack(&events)).await?;
        self.place.create(&names.body, body.map_err(broken)?).await?;

        let differs =
            |position, why| ArchiveError::Differs { object: names.body.clone(), position, why };
        let gone = || differs(piece.first, "it was written and is not there".to_owned());
        let body = Arc::new(self.place.get(&names.body).await?.ok_or_else(gone)?);
        let blocks = self.blocks(piece).await?;
        let manifest =
            Manifest::of(&log_id, blocks.iter().map(|b| b.signed.clone()).collect(), &body);
        self.place.create(&names.manifest, manifest.to_bytes().map_err(broken)?).await?;
        if let Some(why) = self.manifest_fault(&names, &manifest).await? {
            return Err(ArchiveError::Differs {
                object: names.manifest,
                position: piece.first,
                why,
            });
        }
        let held = Arc::clone(&body);
        let events = spawn_blocking(move || segment::unpack(&held)).await?;
        let events = events.map_err(|why| differs(piece.first, why))?;
        let found = fault(evidence, &log_id, (blocks, events)).await?;
        found.map_or(Ok(()), |(position, why)| Err(differs(position, why)))?;
        Ok(NewSegment {
            first_block: piece.first_block,
            last_block: piece.last_block,
            byte_length: i64::try_from(body.len()).unwrap_or(i64::MAX),
            digest: segment::digest(&body).0,
            object: names.body,
        })
    }

    /// Why the manifest that lies there is not this one.
    pub(crate) async fn manifest_fault(
        &self,
        names: &Names,
        due: &Manifest,
    ) -> Result<Option<String>, ArchiveError> {
        let Some(bytes) = self.place.get(&names.manifest).await? else {
            return Ok(Some("it is not there".to_owned()));
        };
        Ok(match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(there) if there == *due => None,
            Ok(_) => Some("it is the manifest of something else".to_owned()),
            Err(error) => Some(error.to_string()),
        })
    }

    pub(crate) async fn log_id(&self) -> Result<String, ArchiveError> {
        let id = cairn_sealer::log_id(self.log.pool()).await?;
        Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(crate) async fn blocks(&self, piece: Piece) -> Result<Vec<Block>, ArchiveError> {
        let mut blocks = vec![];
        for number in piece.first_block..=piece.last_block {
            let block = cairn_sealer::block(self.log.pool(), number.unsigned_abs()).await?;
            blocks.push(block.ok_or_else(|| ArchiveError::Broken(format!("no block {number}")))?);
        }
        Ok(blocks)
    }

    pub(crate) async fn evidence(&self) -> Result<Arc<Evidence>, ArchiveError> {
        Ok(Arc::new(self.sealer.evidence().await?))
    }

    /// The records of the segments that hold bulk of events, and the one of this number only.
    pub(crate) async fn records(
        &self,
        only: Option<i64>,
    ) -> Result<Vec<SegmentRecord>, ArchiveError> {
        let pool = self.log.pool();
        let used: Vec<_> = plan::in_use(pool).await?.into_iter().map(|s| s.segment).collect();
        let mut records = segments(pool, 0).await?;
        records.retain(|record| {
            used.contains(&record.number) && only.is_none_or(|number| number == record.number)
        });
        match only {
            Some(number) if records.is_empty() => Err(ArchiveError::Unknown(number)),
            _ => Ok(records),
        }
    }

    /// Brings the bulk of a segment, or of all of them, back into the log. Its objects stay where they are. Returns how many
    /// events those were.
    ///
    /// # Errors
    /// [`ArchiveError::Unknown`]; [`ArchiveError::Differs`] when it is not what was recorded: then nothing comes back.
    pub async fn restore(&self, only: Option<i64>) -> Result<i64, ArchiveError> {
        self.alone(self.bring_back(only)).await
    }

    async fn bring_back(&self, only: Option<i64>) -> Result<i64, ArchiveError> {
        let mut returned = 0;
        for record in self.records(only).await? {
            let number = record.number;
            let lost = |why| ArchiveError::Differs {
                object: record.object.clone(),
                position: record.first_position,
                why,
            };
            let body = store::body(&self.place, &record).await.map_err(|error| lost(error.why))?;
            let events = store::events(&record, &body).map_err(lost)?;
            let mut bulk = ReturnedBulk::default();
            for event in events {
                bulk.positions.push(event.position);
                bulk.payloads.push(event.payload);
                bulk.metadata.push(event.metadata);
            }
            returned += self.log.restore_bulk(number, &bulk).await?;
            tracing::info!(segment = number, "brought back");
        }
        Ok(returned)
    }
}

fn broken(error: impl ToString) -> ArchiveError {
    ArchiveError::Broken(error.to_string())
}

/// The first position where events are not what was sealed in these blocks, in the table and as they were published.
pub(crate) async fn fault(
    evidence: &Arc<Evidence>,
    log_id: &str,
    (blocks, events): (Vec<Block>, Vec<SealedEvent>),
) -> Result<Option<(i64, String)>, ArchiveError> {
    let mut published = vec![];
    for block in &blocks {
        published.push(evidence.published.block(block.signed.header.number).await?);
    }
    let (evidence, log_id) = (Arc::clone(evidence), log_id.to_owned());
    let found = spawn_blocking(move || {
        let id = blocks.first().map(|block| block.signed.header.log_id).unwrap_or_default();
        let mut chain = Chain::new(id, &evidence.keys);
        chain.skip_to(blocks.first().map_or(1, |block| block.signed.header.number));
        let mut rest = &events[..];
        for (block, published) in blocks.iter().zip(published) {
            let Signed { header, .. } = &block.signed;
            let Some(Ok(published)) = published else {
                return Some((header.first, format!("block {} is not published", header.number)));
            };
            let count = usize::try_from(header.count).unwrap_or(usize::MAX);
            let Some((own, after)) = rest.split_at_checked(count) else {
                return Some((header.first, "an event is missing".to_owned()));
            };
            rest = after;
            let judged = chain.judge(&Copies {
                table: Copy::Found(block.signed.clone()),
                published: Copy::Found(published.signed.clone()),
            });
            let findings = check_block(BlockView {
                judged: &judged,
                table: Some(&block.leaves),
                published: Some(&published.leaves),
                events: Some(own),
            });
            if let Some(finding) = findings.first() {
                return Some((finding.position, finding.detail.clone()));
            }
            if judged.trusted.is_none() {
                return Some((header.first, format!("nobody vouches for block {}", header.number)));
            }
        }
        rest.first().map(|event| (event.position, format!("it is not of this segment of {log_id}")))
    });
    Ok(found.await?)
}

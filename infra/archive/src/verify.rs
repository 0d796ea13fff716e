//! Holds what lies in the archive against what was recorded and sealed.
use cairn_event_log::SegmentRecord;
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::archiver::fault;
use crate::plan::{Piece, archived};
use crate::segment::{Manifest, Names};
use crate::{ArchiveError, Archiver, store};

/// Something that is wrong with a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveFinding {
    /// Number of the segment.
    pub segment: i64,
    /// The first position that is concerned.
    pub position: i64,
    /// The object.
    pub object: String,
    /// What is wrong.
    pub detail: String,
}

/// What a verification of the archive found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveReport {
    /// Whether everything is as it was written and sealed.
    pub intact: bool,
    /// Segments that were read.
    pub segments: u64,
    /// Events in those that are whole.
    pub events: i64,
    /// What is wrong, by segment.
    pub findings: Vec<ArchiveFinding>,
}

impl Archiver {
    /// Reads every segment that holds bulk of events, or one, and holds it against its record, its manifest and the seals.
    ///
    /// # Errors
    /// [`ArchiveError`] when database, published copy or store cannot be read. What is wrong is in the report.
    pub async fn verify(&self, only: Option<i64>) -> Result<ArchiveReport, ArchiveError> {
        let mut report = ArchiveReport::default();
        for record in self.records(only).await? {
            report.segments += 1;
            match self.check(&record).await? {
                None => report.events += record.last_position - record.first_position + 1,
                Some(finding) => report.findings.push(finding),
            }
        }
        report.intact = report.findings.is_empty();
        Ok(report)
    }

    /// How many events are archived, and what is wrong with the last segment of them, if there is one.
    ///
    /// # Errors
    /// As [`Archiver::verify`].
    pub async fn last(&self) -> Result<(i64, Option<Result<(), ArchiveFinding>>), ArchiveError> {
        let events = archived(self.log.pool()).await?;
        let records = self.records(None).await?;
        let Some(record) = records.last() else { return Ok((events, None)) };
        Ok((events, Some(self.check(record).await?.map_or(Ok(()), Err))))
    }

    async fn check(&self, record: &SegmentRecord) -> Result<Option<ArchiveFinding>, ArchiveError> {
        let finding = |position, object: &str, detail| {
            let object = object.to_owned();
            Ok(Some(ArchiveFinding { segment: record.number, position, object, detail }))
        };
        let first = record.first_position;
        let body = match store::body(&self.place, record).await {
            Ok(body) => body,
            Err(error) if error.transient => return Err(ArchiveError::Broken(error.why)),
            Err(error) => return finding(first, &record.object, error.why),
        };
        let piece = Piece {
            first_block: record.first_block,
            last_block: record.last_block,
            first,
            last: record.last_position,
        };
        let (blocks, log_id) = (self.blocks(piece).await?, self.log_id().await?);
        let signed = blocks.iter().map(|block| block.signed.clone()).collect();
        let (names, manifest) =
            (Names::of_body(&record.object), Manifest::of(&log_id, signed, &body));
        let held = record.clone();
        let events = match spawn_blocking(move || store::events(&held, &body)).await? {
            Ok(events) => events,
            Err(why) => return finding(first, &record.object, why),
        };
        if let Some((position, why)) =
            fault(&self.evidence().await?, &log_id, (blocks, events)).await?
        {
            return finding(position, &record.object, why);
        }
        match self.manifest_fault(&names, &manifest).await? {
            Some(why) => finding(first, &names.manifest, why),
            None => Ok(None),
        }
    }
}

//! What is known of a subject: its streams, and every personal text in them.
use std::collections::BTreeSet;
use std::net::IpAddr;

use cairn_core::personal::ERASED;
use cairn_core::texts::for_each;
use cairn_core::{Subject, Text};
use cairn_event_log::LogSource;
use serde_json::Value;
use sqlx::PgConnection;

use super::seal::Personal;
use super::texts::is_sealed;
use crate::replay::fold;
use crate::replay::stones::{self, Reading, Stone};
use crate::replay::{At, ReplayError};

/// Texts that should be readable nowhere once their subject is erased. Never shown, never stored.
#[derive(Clone, Default)]
pub struct Canaries {
    /// Found wherever they stand.
    pub(super) strong: BTreeSet<String>,
    /// Short texts and addresses of the net, each with the name of the member it is the value of: they stand in many places that have
    /// nothing to do with the subject, and are found only under that name and in its own rows.
    pub(super) weak: BTreeSet<(String, String)>,
}

impl std::fmt::Debug for Canaries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Canaries({})", self.len())
    }
}

/// Characters from which on a text names its subject by itself.
const STRONG_LEN: usize = 12;

impl Canaries {
    /// How many texts.
    #[must_use]
    pub fn len(&self) -> u64 {
        u64::try_from(self.strong.len() + self.weak.len()).unwrap_or(u64::MAX)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.strong.is_empty() && self.weak.is_empty()
    }

    fn add(&mut self, path: &str, kind: Text, text: &str) {
        // A key is the same key whatever stands around it.
        let text = match kind {
            Text::PublicKey => text.split(' ').nth(1).unwrap_or(text),
            _ => text,
        };
        if text.is_empty() || text == ERASED || is_sealed(text) {
            return;
        }
        let strong = text.chars().count() >= STRONG_LEN && text.parse::<IpAddr>().is_err();
        if strong {
            self.strong.insert(text.to_owned());
        } else {
            let member = path.rsplit('.').next().unwrap_or(path).trim_end_matches("[]");
            self.weak.insert((member.to_owned(), text.to_owned()));
        }
    }
}

/// What is known of a subject.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Its streams: type and id.
    pub streams: Vec<(String, String)>,
    /// What the payment provider calls its payments and refunds.
    pub provider_ids: Vec<String>,
    /// Its personal texts.
    pub canaries: Canaries,
}

/// Reads everything that the log knows of a subject.
///
/// # Errors
/// When the log or the keys cannot be read.
pub async fn known(
    log: &impl LogSource,
    personal: &Personal,
    subject: &Subject,
) -> Result<Known, ReplayError> {
    let mut reading = stones::reading(log).await?;
    let mut known = Known::default();
    for stone in own_events(&mut reading, subject).await? {
        let mut payload = stone.payload.clone();
        open(personal, &mut payload).await?;
        let text_at = fold::find(&stone.aggregate_type).map(|found| found.text);
        for_each(&mut payload, &mut |path, text| match text_at.and_then(|text| text(path)) {
            Some(kind) if kind.is_personal() => known.canaries.add(path, kind, text),
            Some(Text::ProviderId) => known.provider_ids.push(text.clone()),
            _ => {}
        });
        let stream = (stone.aggregate_type, stone.aggregate_id);
        if known.streams.last() != Some(&stream) {
            known.streams.push(stream);
        }
    }
    for origin in origins(&mut reading, subject).await? {
        let mut origin = Value::String(origin);
        open(personal, &mut origin).await?;
        if let Some(text) = origin.as_str().filter(|text| text.parse::<IpAddr>().is_ok()) {
            known.canaries.add("origin", Text::Address, text);
        }
    }
    Ok(known)
}

async fn open(personal: &Personal, value: &mut Value) -> Result<(), ReplayError> {
    let opened = personal.open_in(value, None).await;
    opened.map_err(|error| sqlx::Error::Protocol(error.to_string()).into())
}

/// Every event of every stream whose data is the subject's, stream by stream.
pub(super) async fn own_events(
    reading: &mut Reading,
    subject: &Subject,
) -> Result<Vec<Stone>, ReplayError> {
    // A stream names its owner in its first event, or is named after it. What the archive has of it is asked there.
    let naming = sqlx::query!(
        "SELECT aggregate_type, aggregate_id FROM events
         WHERE sequence = 1
           AND (segment IS NOT NULL OR strpos(payload::text, $1) > 0 OR strpos(aggregate_id, $1) > 0)
         ORDER BY position",
        subject.id()
    );
    let mut own = vec![];
    for stream in naming.fetch_all(&mut **reading).await? {
        let Some(mut folded) = fold::start(&stream.aggregate_type) else { continue };
        let id = (stream.aggregate_type.as_str(), stream.aggregate_id.as_str());
        let stones = stones::of_stream(reading, id, At::Head).await?;
        for stone in &stones {
            let corrupt = |message| ReplayError::Corrupt { position: stone.position, message };
            folded.add(stone).map_err(corrupt)?;
        }
        if folded.subject().as_ref() == Some(subject) {
            own.extend(stones);
        }
    }
    Ok(own)
}

/// From where the subject's requests came.
async fn origins(
    reading: &mut PgConnection,
    subject: &Subject,
) -> Result<Vec<String>, ReplayError> {
    let origins = sqlx::query_scalar!(
        r#"SELECT DISTINCT metadata ->> 'origin' AS "origin!" FROM events
           WHERE metadata ->> 'organisation_id' = $1 AND metadata ->> 'origin' IS NOT NULL"#,
        subject.id()
    );
    Ok(origins.fetch_all(reading).await?)
}

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
        if !is_readable(text) {
            return;
        }
        let strong = text.chars().count() >= STRONG_LEN && !is_address(text);
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
    /// What of it lies in the archive.
    pub archived: Archived,
}

/// Events of a subject that the archive holds and no table does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Archived {
    /// How many.
    pub events: i64,
    /// In how many of them a personal text can be read without a key.
    pub readable: i64,
    /// The position of the first of these.
    pub first: Option<i64>,
}

impl Archived {
    fn add(&mut self, stone: &Stone, readable: bool) {
        self.events += i64::from(stone.segment.is_some());
        if stone.segment.is_some() && readable {
            self.readable += 1;
            self.first = Some(self.first.map_or(stone.position, |first| first.min(stone.position)));
        }
    }
}

/// Reads everything that the log knows of a subject.
///
/// # Errors
/// When the log or the keys cannot be read.
pub async fn known(
    log: &impl LogSource,
    personal_keys: &Personal,
    subject: &Subject,
) -> Result<Known, ReplayError> {
    let mut reading = stones::reading(log).await?;
    let mut known = Known::default();
    let mut origins = origins(&mut reading, subject).await?;
    for stone in own_events(&mut reading, subject).await? {
        let text_at = fold::find(&stone.aggregate_type).map(|found| found.text);
        let personal = |path: &str| text_at.and_then(|text| text(path));
        let mut payload = stone.payload.clone();
        let mut readable = false;
        for_each(&mut payload, &mut |path, text| {
            readable |= is_readable(text) && personal(path).is_some_and(Text::is_personal);
        });
        open(personal_keys, &mut payload).await?;
        for_each(&mut payload, &mut |path, text| match personal(path) {
            Some(kind) if kind.is_personal() => known.canaries.add(path, kind, text),
            Some(Text::ProviderId) => known.provider_ids.push(text.clone()),
            _ => {}
        });
        if stone.metadata["organisation_id"] == subject.id()
            && let Some(origin) = stone.metadata["origin"].as_str()
        {
            readable |= is_address(origin);
            origins.insert(origin.to_owned());
        }
        known.archived.add(&stone, readable);
        let stream = (stone.aggregate_type, stone.aggregate_id);
        if known.streams.last() != Some(&stream) {
            known.streams.push(stream);
        }
    }
    for origin in origins {
        let mut origin = Value::String(origin);
        open(personal_keys, &mut origin).await?;
        if let Some(text) = origin.as_str().filter(|text| is_address(text)) {
            known.canaries.add("origin", Text::Address, text);
        }
    }
    Ok(known)
}

/// Whether a text says something to who has no key.
fn is_readable(text: &str) -> bool {
    !text.is_empty() && text != ERASED && !is_sealed(text)
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
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
    // A stream names its owner in its first event, or is named after it, unless it is of several. What the archive has of it is asked there.
    let shared: Vec<_> = fold::shared().map(str::to_owned).collect();
    let naming = sqlx::query!(
        "SELECT aggregate_type, aggregate_id FROM events
         WHERE sequence = 1
           AND (segment IS NOT NULL OR strpos(payload::text, $1) > 0 OR strpos(aggregate_id, $1) > 0
                OR aggregate_type = ANY ($2))
         ORDER BY position",
        subject.id(),
        &shared
    );
    let mut own = vec![];
    for stream in naming.fetch_all(&mut **reading).await? {
        let Some(mut folded) = fold::start(&stream.aggregate_type) else { continue };
        let id = (stream.aggregate_type.as_str(), stream.aggregate_id.as_str());
        let stones = stones::of_stream(reading, id, At::Head).await?;
        let mut of_each = vec![];
        for stone in &stones {
            let corrupt = |message| ReplayError::Corrupt { position: stone.position, message };
            folded.add(stone).map_err(corrupt)?;
            of_each.push(folded.subject().as_ref() == Some(subject));
        }
        if !shared.contains(&stream.aggregate_type) {
            let last = of_each.last().copied().unwrap_or_default();
            of_each.fill(last);
        }
        own.extend(stones.into_iter().zip(of_each).filter(|(_, is_own)| *is_own).map(|(it, _)| it));
    }
    Ok(own)
}

/// From where the subject's requests came, by events that no archive holds.
async fn origins(
    reading: &mut PgConnection,
    subject: &Subject,
) -> Result<BTreeSet<String>, ReplayError> {
    let origins = sqlx::query_scalar!(
        r#"SELECT DISTINCT metadata ->> 'origin' AS "origin!" FROM events
           WHERE metadata ->> 'organisation_id' = $1 AND metadata ->> 'origin' IS NOT NULL"#,
        subject.id()
    );
    Ok(origins.fetch_all(reading).await?.into_iter().collect())
}

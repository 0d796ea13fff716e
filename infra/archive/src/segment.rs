//! A segment as it lies in the archive: the canonical bytes of its events, one after the other, compressed with zstd; and beside it
//! a manifest. Who has both and the public keys can check them, and read them with no database.
use std::io;

use cairn_seal::{Hash, SealedEvent, Signed};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Version of this layout.
const FORMAT: u16 = 1;
/// Of zstd: much of what the higher ones reach, at a fraction of their time.
const LEVEL: i32 = 9;

/// What is said of a segment beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the layout: 1.
    pub format: u16,
    /// Which log.
    pub log_id: String,
    /// Position of its first event.
    pub first_position: i64,
    /// Position of its last event.
    pub last_position: i64,
    /// Length of the compressed bytes.
    pub byte_length: u64,
    /// SHA-256 of the compressed bytes.
    pub digest: Hash,
    /// The blocks it is made of, with their roots, as they were signed.
    pub blocks: Vec<Signed>,
}

/// The names of a range's two objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) body: String,
    pub(crate) manifest: String,
}

impl Names {
    pub(crate) fn of(log_id: &str, (first, last): (i64, i64)) -> Self {
        let stem = format!("{log_id}/{first:020}-{last:020}");
        Self { body: format!("{stem}.zst"), manifest: format!("{stem}.json") }
    }

    /// By the name of the body, as it is recorded.
    pub(crate) fn of_body(body: &str) -> Self {
        let stem = body.strip_suffix(".zst").unwrap_or(body);
        Self { body: body.to_owned(), manifest: format!("{stem}.json") }
    }
}

impl Manifest {
    pub(crate) fn of(log_id: &str, blocks: Vec<Signed>, body: &[u8]) -> Self {
        let first = blocks.first().map_or(0, |block| block.header.first);
        let last = blocks.last().map_or(0, |block| block.header.last);
        Self {
            format: FORMAT,
            log_id: log_id.to_owned(),
            first_position: first,
            last_position: last,
            byte_length: body.len() as u64,
            digest: digest(body),
            blocks,
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

pub(crate) fn digest(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// Compresses events.
pub(crate) fn pack(events: &[SealedEvent]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(vec![], LEVEL)?;
    encoder.include_checksum(true)?;
    for event in events {
        io::Write::write_all(&mut encoder, &event.canonical())?;
    }
    encoder.finish()
}

/// The events of a segment's bytes.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<SealedEvent>, String> {
    let plain = zstd::decode_all(bytes).map_err(|error| error.to_string())?;
    let (mut rest, mut events) = (&plain[..], vec![]);
    while !rest.is_empty() {
        events.push(SealedEvent::take_canonical(&mut rest).map_err(|error| error.to_string())?);
    }
    Ok(events)
}

//! A block: a range of positions, the root over its events, the block before it, and a signature.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::hash::hex_bytes;
use crate::{Hash, SealKey, merkle};

const DOMAIN: &[u8] = b"cairn.block.1";
const FORMAT: u16 = 1;

/// What is signed of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of this layout: 1.
    pub format: u16,
    /// Which log. A copy of a database keeps it.
    #[serde(with = "hex_bytes")]
    pub log_id: [u8; 16],
    /// Number of the block, from 1.
    pub number: u64,
    /// Position of its first event.
    pub first: i64,
    /// Position of its last event.
    pub last: i64,
    /// How many events.
    pub count: u64,
    /// Root over its events.
    pub root: Hash,
    /// Hash of the header before it; zeros before the first.
    pub previous: Hash,
    /// When it was sealed, by the database's clock, in microseconds since 1970 UTC.
    pub sealed_at_micros: i64,
    /// The key that signed it.
    pub key_id: Hash,
}

/// A header and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// What is signed.
    pub header: Header,
    /// Ed25519, over the header's canonical bytes.
    #[serde(with = "hex_bytes")]
    pub signature: [u8; 64],
}

/// A sealed block: with its leaves, so that a wrong event is known by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Header and signature.
    pub signed: Signed,
    /// The leaf of each of its events.
    pub leaves: Vec<Hash>,
}

/// A block that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedBlock(pub String);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    header: Header,
    #[serde(with = "hex_bytes")]
    signature: [u8; 64],
    leaves: String,
}

impl Header {
    /// The bytes that are signed: fixed lengths, big endian.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        bytes.extend(self.format.to_be_bytes());
        bytes.extend(self.log_id);
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.last.to_be_bytes());
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(self.root.0);
        bytes.extend(self.previous.0);
        bytes.extend(self.sealed_at_micros.to_be_bytes());
        bytes.extend(self.key_id.0);
        bytes
    }

    /// What the next block names as the one before it. No leaf and no node of a tree has such a hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&[2], &[&self.canonical()])
    }

    /// Whether layout and numbers are those of a block that can be.
    pub(crate) fn is_sound(&self) -> bool {
        let count = self.last.checked_sub(self.first).and_then(|count| u64::try_from(count).ok());
        self.format == FORMAT
            && self.first >= 1
            && count.and_then(|count| count.checked_add(1)) == Some(self.count)
    }
}

impl Block {
    /// Seals the leaves of the events that follow a block, or of the first ones of a log.
    #[must_use]
    pub fn seal(
        key: &SealKey,
        (log_id, before): ([u8; 16], Option<&Header>),
        leaves: Vec<Hash>,
        sealed_at_micros: i64,
    ) -> Self {
        let first = before.map_or(1, |header| header.last + 1);
        let count = leaves.len() as u64;
        let header = Header {
            format: FORMAT,
            log_id,
            number: before.map_or(1, |header| header.number + 1),
            first,
            last: first + i64::try_from(count).unwrap_or(i64::MAX) - 1,
            count,
            root: merkle::root(&leaves),
            previous: before.map_or_else(Hash::default, Header::hash),
            sealed_at_micros,
            key_id: key.id(),
        };
        let signature = key.sign(&header.canonical());
        Self { signed: Signed { header, signature }, leaves }
    }

    /// The block as one line of JSON, as it is published.
    ///
    /// # Errors
    /// None that is known: every part serialises.
    pub fn to_line(&self) -> Result<String, MalformedBlock> {
        let line = Line {
            header: self.signed.header.clone(),
            signature: self.signed.signature,
            leaves: STANDARD.encode(Hash::join(&self.leaves)),
        };
        serde_json::to_string(&line).map_err(|error| MalformedBlock(error.to_string()))
    }

    /// A published line. It must be written exactly as [`Block::to_line`] writes it.
    ///
    /// # Errors
    /// [`MalformedBlock`] says what it is instead.
    pub fn from_line(text: &str) -> Result<Self, MalformedBlock> {
        let malformed = |why: &str| MalformedBlock(why.to_owned());
        let line: Line =
            serde_json::from_str(text).map_err(|error| MalformedBlock(error.to_string()))?;
        let leaves = STANDARD.decode(&line.leaves).ok().and_then(|bytes| Hash::split(&bytes));
        let signed = Signed { header: line.header, signature: line.signature };
        let block =
            Self { signed, leaves: leaves.ok_or_else(|| malformed("the leaves are not hashes"))? };
        if block.to_line()? == text {
            Ok(block)
        } else {
            Err(malformed("it is not written as a seal is"))
        }
    }
}

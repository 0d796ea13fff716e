//! Shows to somebody who has nothing but public keys that one event is in the log.
use serde::{Deserialize, Serialize};

use crate::block::{Block, Signed};
use crate::{Hash, PublicKeys, SealedEvent, merkle};

const FORMAT: &str = "cairn.proof.1";

/// An event, its way to the root of its block, and the block's signed header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Names this layout.
    pub format: String,
    /// The event as it is stored.
    pub event: SealedEvent,
    /// Roots beside the way from the event's leaf to the block's root.
    pub path: Vec<Hash>,
    /// The block.
    pub block: Signed,
}

/// What a proof that holds has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// Place of the event in the log.
    pub position: i64,
    /// Its wire name.
    pub event_type: String,
    /// What it is about.
    pub aggregate_id: String,
    /// The log.
    pub log_id: String,
    /// Number of its block.
    pub block: u64,
    /// Hash of the block's header: the next block and the published copy name it.
    pub block_hash: Hash,
    /// The key that signed.
    pub key_id: Hash,
    /// When the block was sealed, in microseconds since 1970 UTC.
    pub sealed_at_micros: i64,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a proof of this layout.
    #[error("this is not a proof: {0}")]
    Malformed(String),
    /// Signed by somebody else.
    #[error("the block is signed by the key {0}, which is not among these public keys")]
    UnknownKey(Hash),
    /// The signature does not hold.
    #[error("the signature is not of this block")]
    Signature,
    /// The event is not in the block.
    #[error("the event does not lead to the root of its block")]
    Path,
}

impl Proof {
    /// That an event is in a block. `None` when it is not in the block's range.
    #[must_use]
    pub fn new(event: SealedEvent, block: &Block) -> Option<Self> {
        let index = usize::try_from(event.position.checked_sub(block.signed.header.first)?).ok()?;
        let path = (index < block.leaves.len()).then(|| merkle::path(&block.leaves, index))?;
        Some(Self { format: FORMAT.to_owned(), event, path, block: block.signed.clone() })
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn from_json(text: &str) -> Result<Self, ProofError> {
        let proof: Self =
            serde_json::from_str(text).map_err(|error| ProofError::Malformed(error.to_string()))?;
        if proof.format == FORMAT {
            Ok(proof)
        } else {
            Err(ProofError::Malformed(format!("its format is {}, not {FORMAT}", proof.format)))
        }
    }

    /// Checks it with public keys alone.
    ///
    /// # Errors
    /// [`ProofError`] says where it breaks.
    pub fn check(&self, keys: &PublicKeys) -> Result<Proven, ProofError> {
        let Signed { header, signature } = &self.block;
        let key = keys.index_of(header.key_id).ok_or(ProofError::UnknownKey(header.key_id))?;
        if !header.is_sound() || !keys.verifies(key, &header.canonical(), signature) {
            return Err(ProofError::Signature);
        }
        let index = self.event.position.checked_sub(header.first);
        let index = index.and_then(|index| u64::try_from(index).ok()).ok_or(ProofError::Path)?;
        let root = merkle::reached(self.event.leaf(), index, header.count, &self.path);
        if root != Some(header.root) {
            return Err(ProofError::Path);
        }
        Ok(Proven {
            position: self.event.position,
            event_type: self.event.event_type.clone(),
            aggregate_id: self.event.aggregate_id.clone(),
            log_id: hex::encode(header.log_id),
            block: header.number,
            block_hash: header.hash(),
            key_id: header.key_id,
            sealed_at_micros: header.sealed_at_micros,
        })
    }
}

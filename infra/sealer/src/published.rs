//! A published copy, to verify against.
use std::path::PathBuf;

use cairn_seal::Block;

use crate::{PublishedFile, PublishedObjects, SealError, StoreOptions};

/// A published copy as it stood when it was opened.
#[derive(Debug)]
pub enum Published {
    /// There is none.
    None,
    /// A file, with the places of its lines.
    File(PublishedFile, Vec<(u64, usize)>),
    /// An object store, with its last block.
    Objects(PublishedObjects, u64),
}

impl Published {
    /// A file, or the address of a place in an object store.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn open(place: &str, options: &StoreOptions) -> Result<Self, SealError> {
        if place.contains("://") {
            let objects = PublishedObjects::open(place, options)?;
            let last = objects.last().await?;
            return Ok(Self::Objects(objects, last));
        }
        let file = PublishedFile::at(PathBuf::from(place));
        let lines = file.lines()?;
        Ok(Self::File(file, lines))
    }

    /// Number of its last block; 0 when it has none.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::File(_, lines) => lines.len() as u64,
            Self::Objects(_, last) => *last,
        }
    }

    /// A block, which must be one that it has; or why it is none.
    ///
    /// # Errors
    /// When the copy cannot be read.
    pub async fn block(&self, number: u64) -> Result<Option<Result<Block, String>>, SealError> {
        match self {
            Self::File(file, lines) => {
                let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
                let line = index.and_then(|index| lines.get(index));
                line.map(|line| file.block(*line)).transpose()
            }
            Self::Objects(objects, last) if number <= *last => {
                objects.block(number).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

//! Blocks in an object store, one object each, never written over.
use std::sync::Arc;

use cairn_neighbours::Neighbour;
use cairn_seal::Block;
use futures::TryStreamExt as _;

use crate::{Place, SealError, StoreError, StoreOptions};

/// Blocks at a place in an object store.
#[derive(Debug, Clone)]
pub struct PublishedObjects(Place);

impl PublishedObjects {
    /// At a place by its address, see [`Place::open`].
    ///
    /// # Errors
    /// When no store is behind such an address.
    pub fn open(url: &str, options: &StoreOptions) -> Result<Self, StoreError> {
        Place::open(url, options).map(Self)
    }

    /// The same, whose store is left alone for a while when it does not answer.
    #[must_use]
    pub fn behind(self, neighbour: Option<Arc<Neighbour>>) -> Self {
        match neighbour {
            Some(neighbour) => Self(self.0.behind(neighbour)),
            None => self,
        }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url()
    }

    fn name(number: u64) -> String {
        format!("{number:020}.json")
    }

    /// Number of the last block there; 0 when there is none.
    pub(crate) async fn last(&self) -> Result<u64, SealError> {
        let numbers = self.0.names().map_ok(|name| {
            name.strip_suffix(".json").and_then(|number| number.parse().ok()).unwrap_or(0)
        });
        Ok(numbers.try_fold(0, async |most: u64, number| Ok(most.max(number))).await?)
    }

    /// Writes a block, which may be there already.
    pub(crate) async fn put(&self, block: &Block) -> Result<(), SealError> {
        let number = block.signed.header.number;
        if self.0.create(&Self::name(number), block.to_line()?.into_bytes()).await? {
            return Ok(());
        }
        if self.block(number).await?.as_ref() == Ok(block) {
            return Ok(());
        }
        let (copy, why) = (self.url().to_owned(), "another one is there".to_owned());
        Err(SealError::Disagrees { copy, number, why })
    }

    /// A block; or why it is none.
    pub(crate) async fn block(&self, number: u64) -> Result<Result<Block, String>, SealError> {
        let Some(bytes) = self.0.get(&Self::name(number)).await? else {
            return Ok(Err("it is not there".to_owned()));
        };
        let text = String::from_utf8(bytes).map_err(|error| error.to_string());
        Ok(text.and_then(|text| Block::from_line(&text).map_err(|error| error.to_string())))
    }
}

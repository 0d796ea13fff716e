//! Blocks in an object store, one object each, never written over.
use std::sync::Arc;

use cairn_seal::Block;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use url::Url;

use crate::SealError;

/// A place in an object store.
#[derive(Debug, Clone)]
pub struct PublishedObjects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    url: String,
}

impl PublishedObjects {
    /// A place by its address, for example `file:///var/lib/cairn/seals`.
    ///
    /// # Errors
    /// When no store is behind such an address.
    pub fn open(url: &str) -> Result<Self, SealError> {
        let parsed =
            Url::parse(url).map_err(|error| SealError::Store(format!("{url}: {error}")))?;
        let (store, prefix) = object_store::parse_url(&parsed)?;
        Ok(Self { store: Arc::from(store), prefix, url: url.to_owned() })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn path(&self, number: u64) -> Path {
        self.prefix.clone().join(format!("{number:020}.json"))
    }

    /// Number of the last block there; 0 when there is none.
    pub(crate) async fn last(&self) -> Result<u64, SealError> {
        let names = self.store.list(Some(&self.prefix)).map_ok(|object| {
            let name = object.location.filename().unwrap_or_default().to_owned();
            name.strip_suffix(".json").and_then(|number| number.parse().ok()).unwrap_or(0)
        });
        Ok(names.try_fold(0, async |most: u64, number| Ok(most.max(number))).await?)
    }

    /// Writes a block, which may be there already.
    pub(crate) async fn put(&self, block: &Block) -> Result<(), SealError> {
        let number = block.signed.header.number;
        let line = block.to_line()?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(number), line.into(), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => self.is_the_same(block).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn is_the_same(&self, block: &Block) -> Result<(), SealError> {
        let number = block.signed.header.number;
        if self.block(number).await?.as_ref() == Ok(block) {
            return Ok(());
        }
        let why = "another one is there".to_owned();
        Err(SealError::Disagrees { copy: self.url.clone(), number, why })
    }

    /// A block; or why it is none.
    pub(crate) async fn block(&self, number: u64) -> Result<Result<Block, String>, SealError> {
        let bytes = match self.store.get(&self.path(number)).await {
            Err(object_store::Error::NotFound { .. }) => {
                return Ok(Err("it is not there".to_owned()));
            }
            found => found?.bytes().await?,
        };
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string());
        Ok(text.and_then(|text| Block::from_line(&text).map_err(|error| error.to_string())))
    }
}

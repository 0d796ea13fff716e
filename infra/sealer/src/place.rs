//! A place in an object store, and the few things that are done there. No type of the store's own leaves this crate.
use std::fmt;
use std::sync::Arc;

use cairn_neighbours::Neighbour;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use url::Url;

/// Variables of the environment that say where a store is and who asks, by the names that its vendor's own tools read.
pub const STORE_VARIABLES: [&str; 33] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_SKIP_SIGNATURE",
    "AWS_METADATA_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ALLOW_HTTP",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_MSI_ENDPOINT",
];

/// What some of [`STORE_VARIABLES`] say. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreOptions(Vec<(&'static str, String)>);

impl StoreOptions {
    /// From any lookup.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let said = STORE_VARIABLES.iter().filter_map(|name| Some((*name, lookup(name)?)));
        Self(said.collect())
    }

    /// What is said of AWS: the same names open its other services.
    #[must_use]
    pub fn of_aws(&self) -> Vec<(String, String)> {
        let said = self.0.iter().filter(|(name, _)| name.starts_with("AWS_"));
        said.map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The object store did not do what was asked, or there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {why}")]
pub struct StoreError {
    url: String,
    why: String,
}

/// A place in an object store.
#[derive(Debug, Clone)]
pub struct Place {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    url: String,
    neighbour: Option<Arc<Neighbour>>,
}

impl Place {
    /// A place by its address: `file:///srv/cairn`, `s3://bucket/cairn`, `gs://bucket/cairn` or `az://container/cairn`. Nothing
    /// is asked of the store yet.
    ///
    /// # Errors
    /// When no store is behind such an address, or what it needs to know is missing or malformed.
    pub fn open(url: &str, options: &StoreOptions) -> Result<Self, StoreError> {
        let error = |why: String| StoreError { url: url.to_owned(), why };
        let parsed = Url::parse(url).map_err(|failure| error(failure.to_string()))?;
        if parsed.scheme() == "memory" {
            return Err(error("what is in memory only is nowhere".to_owned()));
        }
        let options = options.0.iter().map(|(name, value)| (name, value.clone()));
        let opened = object_store::parse_url_opts(&parsed, options);
        let (store, prefix) = opened.map_err(|failure| error(failure.to_string()))?;
        let store: Arc<dyn ObjectStore> = match parsed.scheme() {
            // What was written must be on the disk before anything relies on it.
            "file" => Arc::new(LocalFileSystem::new().with_fsync(true)),
            _ => Arc::from(store),
        };
        Ok(Self { store, prefix, url: url.to_owned(), neighbour: None })
    }

    /// The same, whose store is left alone for a while when it does not answer.
    #[must_use]
    pub fn behind(self, neighbour: Arc<Neighbour>) -> Self {
        Self { neighbour: Some(neighbour), ..self }
    }

    /// Asks the store, unless it is left alone.
    async fn ask<T>(
        &self,
        verb: &'static str,
        call: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<Result<T, object_store::Error>, StoreError> {
        let Some(neighbour) = &self.neighbour else { return Ok(call.await) };
        let asked = neighbour.call(verb, call, is_silence).await;
        asked.map_err(|unasked| StoreError { url: self.url.clone(), why: unasked.to_string() })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn error(&self, failure: &object_store::Error) -> StoreError {
        StoreError { url: self.url.clone(), why: failure.to_string() }
    }

    /// The names of what is there, below the place, in no order.
    pub fn names(&self) -> BoxStream<'_, Result<String, StoreError>> {
        let listed = self.store.list(Some(&self.prefix));
        let names = listed.map_ok(|object| {
            let parts = object.location.prefix_match(&self.prefix);
            let parts: Vec<_> =
                parts.into_iter().flatten().map(|part| part.as_ref().to_owned()).collect();
            parts.join("/")
        });
        names.map_err(|failure| self.error(&failure)).boxed()
    }

    /// Writes an object, unless one of this name is there. Says whether it did.
    ///
    /// # Errors
    /// When the store refuses, or does not answer: then it may be there all the same.
    pub async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(name);
        match self.ask("put", self.store.put_opts(&path, bytes.into(), options)).await? {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(failure) => Err(self.error(&failure)),
        }
    }

    /// An object; `None` when there is none of this name.
    ///
    /// # Errors
    /// When the store refuses, or does not answer.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let whole = async { self.store.get(&path).await?.bytes().await };
        match self.ask("get", whole).await? {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(failure) => Err(self.error(&failure)),
        }
    }
}

/// Whether nobody answered: what the store says of objects and rights is an answer.
fn is_silence(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. })
}

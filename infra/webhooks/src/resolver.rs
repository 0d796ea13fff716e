//! Looking names up, and connecting to nothing else than what was found and is public.
//!
//! The client connects to the very addresses that come from here, so a name that says something else a moment later gains nothing.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::target::Strangers;

/// Looks names up.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// The addresses of a name.
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// As this machine does.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect())
    }
}

/// A name leads to where nothing may be sent.
#[derive(Debug)]
pub(crate) struct NotPublic;

impl std::fmt::Display for NotPublic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name leads to an address that is not on the public internet")
    }
}

impl std::error::Error for NotPublic {}

/// Looks up and sorts out.
#[derive(Clone)]
pub(crate) struct Vetted {
    pub lookup: Arc<dyn Lookup>,
    pub strangers: Strangers,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { lookup, strangers } = self.clone();
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
            // One address inside is enough: who is honest has none.
            if !found.iter().all(|address| strangers.admits(*address)) {
                return Err(Box::from(NotPublic));
            }
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

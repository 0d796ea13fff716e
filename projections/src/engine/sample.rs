//! A projection of a few keys only: what a verification by sample folds.
use std::sync::Arc;

use async_trait::async_trait;
use cairn_event_log::Recorded;

use super::build::share_of;
use super::projection::Interest;
use super::{Changes, ProjectError, Projection};

/// One of so many shares of the keys of a projection.
pub(crate) struct Sample {
    pub inner: Arc<dyn Projection>,
    pub share: usize,
    pub shares: usize,
}

#[async_trait]
impl Projection for Sample {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn version(&self) -> i32 {
        self.inner.version()
    }

    fn tables(&self) -> &'static [&'static str] {
        self.inner.tables()
    }

    fn interest(&self) -> Interest {
        self.inner.interest()
    }

    fn key(&self, event: &Recorded) -> String {
        self.inner.key(event)
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        if share_of(&self.key(event), self.shares) == self.share {
            self.inner.project(event, changes).await
        } else {
            Ok(())
        }
    }
}

//! Keys of subjects in a rehearsal: those that are there seal and refuse as ever, and none is made or destroyed.
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_core::Subject;

use crate::ports::{Opened, PersonalPort, PortError, SubjectKey};

/// Another port, without what it writes.
#[derive(Debug)]
pub(crate) struct Unmade(pub(crate) Arc<dyn PersonalPort>);

#[async_trait]
impl PersonalPort for Unmade {
    async fn seal(
        &self,
        subject: &Subject,
        texts: Vec<String>,
    ) -> Result<Option<Vec<String>>, PortError> {
        match self.0.key(subject).await? {
            Some(key) if key.destroyed_at.is_some() => Ok(None),
            Some(_) => self.0.seal(subject, texts).await,
            // It would be made with the first text. What is imagined is stored nowhere.
            None => Ok(Some(texts)),
        }
    }

    async fn open(&self, texts: Vec<String>) -> Result<Vec<Opened>, PortError> {
        self.0.open(texts).await
    }

    async fn key(&self, subject: &Subject) -> Result<Option<SubjectKey>, PortError> {
        self.0.key(subject).await
    }

    async fn destroy(&self, _: &Subject) -> Result<SubjectKey, PortError> {
        Err(PortError::permanent("rehearsal", "nothing is destroyed in a rehearsal"))
    }

    fn forgotten_after(&self) -> Duration {
        self.0.forgotten_after()
    }
}

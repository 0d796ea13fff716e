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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cairn_core::{OrganisationId, Timestamp};

    use super::*;

    /// The keys of some subjects; counts what it is asked to seal.
    #[derive(Debug, Default)]
    struct Keys {
        known: Option<SubjectKey>,
        sealed: AtomicUsize,
    }

    #[async_trait]
    impl PersonalPort for Keys {
        async fn seal(
            &self,
            _: &Subject,
            texts: Vec<String>,
        ) -> Result<Option<Vec<String>>, PortError> {
            self.sealed.fetch_add(1, Ordering::Relaxed);
            Ok(Some(texts.iter().map(|text| format!("sealed {text}")).collect()))
        }

        async fn open(&self, _: Vec<String>) -> Result<Vec<Opened>, PortError> {
            Ok(vec![])
        }

        async fn key(&self, _: &Subject) -> Result<Option<SubjectKey>, PortError> {
            Ok(self.known.clone())
        }

        async fn destroy(&self, _: &Subject) -> Result<SubjectKey, PortError> {
            Err(PortError::permanent("destroyed", "a key was destroyed"))
        }

        fn forgotten_after(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test]
    async fn a_key_that_is_there_seals_a_destroyed_one_refuses_and_none_is_made() {
        let subject = Subject::organisation(OrganisationId::from_bits(1));
        let key = |destroyed_at| SubjectKey {
            subject: subject.clone(),
            key_id: "k".to_owned(),
            created_at: Timestamp::default(),
            destroyed_at,
        };
        for (known, sealed, asked) in [
            (None, Some("text"), 0),
            (Some(key(None)), Some("sealed text"), 1),
            (Some(key(Some(Timestamp::default()))), None, 0),
        ] {
            let keys = Arc::new(Keys { known, ..Keys::default() });
            let unmade = Unmade(Arc::clone(&keys) as _);
            let found = unmade.seal(&subject, vec!["text".to_owned()]).await.unwrap();
            assert_eq!(found.as_deref(), sealed.map(|text| vec![text.to_owned()]).as_deref());
            assert_eq!(keys.sealed.load(Ordering::Relaxed), asked);
            assert_eq!(unmade.destroy(&subject).await.unwrap_err().code, "rehearsal");
        }
    }
}

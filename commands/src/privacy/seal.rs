//! Sealing what is decided, and opening what is read.
use std::net::IpAddr;
use std::sync::Arc;

use cairn_core::personal::ERASED;
use cairn_core::texts::for_each;
use cairn_core::{Decider, Subject, Text, Texts};
use cairn_event_log::{LogError, Metadata, NewEvent};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::texts::{is_sealed, texts_of};
use crate::ports::{FailureKind, Opened, PersonalPort, PortError};
use crate::rehearsal::Unmade;

/// The code under which new personal data of an erased subject is refused.
pub const SUBJECT_ERASED: &str = "subject_erased";

/// What seals and opens; clones share the keys. Without keys nothing is sealed.
#[derive(Debug, Clone, Default)]
pub struct Personal(Option<Arc<dyn PersonalPort>>);

/// What became of events that were to be sealed.
pub(crate) enum Sealed<E> {
    /// Nothing in them is personal.
    Untouched,
    /// As they are stored.
    Events(Vec<E>),
    /// Their subject is erased, and they say who it is.
    Refused,
}

impl From<Arc<dyn PersonalPort>> for Personal {
    fn from(port: Arc<dyn PersonalPort>) -> Self {
        Self(Some(port))
    }
}

impl Personal {
    /// The keys.
    ///
    /// # Errors
    /// When this process has none.
    pub fn port(&self) -> Result<&dyn PersonalPort, PortError> {
        let none = || PortError::permanent("no_keys", "this process has no keys of subjects");
        self.0.as_deref().ok_or_else(none)
    }

    /// The same keys, of which none is made.
    pub(crate) fn unmade(&self) -> Self {
        let unmade = |port: &Arc<dyn PersonalPort>| Arc::new(Unmade(Arc::clone(port))) as _;
        Self(self.0.as_ref().map(unmade))
    }

    /// A text as it was said; `None` when its key was destroyed.
    ///
    /// # Errors
    /// When the keys cannot be reached, or the text is not what it looks like.
    pub async fn open(&self, text: &str) -> Result<Option<String>, PortError> {
        if !is_sealed(text) {
            return Ok(Some(text.to_owned()));
        }
        match self.port()?.open(vec![text.to_owned()]).await?.pop() {
            Some(Opened::Text { text, .. }) => Ok(Some(text)),
            Some(Opened::Erased) => Ok(None),
            Some(Opened::Foreign) | None => {
                Err(PortError::permanent("not_ours", "a text was sealed by no key of ours"))
            }
        }
    }

    /// Opens every text in a document that somebody may see: those of one subject, or all. What is erased reads as [`ERASED`].
    ///
    /// # Errors
    /// When the keys cannot be reached.
    pub async fn open_in(&self, value: &mut Value, of: Option<&Subject>) -> Result<(), PortError> {
        let found = texts_of(value);
        if found.is_empty() || self.0.is_none() {
            return Ok(());
        }
        let mut opened = self.port()?.open(found).await?.into_iter();
        super::texts::each(value, &mut |text| {
            if !is_sealed(text) {
                return;
            }
            match opened.next() {
                Some(Opened::Text { subject, text: plain })
                    if of.is_none_or(|of| *of == subject) =>
                {
                    *text = plain;
                }
                Some(Opened::Erased) => ERASED.clone_into(text),
                Some(Opened::Text { .. } | Opened::Foreign) | None => {}
            }
        });
        Ok(())
    }

    /// A state with the texts opened that a decision compares; `None` when it has none that are sealed.
    pub(crate) async fn opened<A: Decider>(&self, state: &mut A) -> Result<Option<A>, LogError> {
        if !state.personal().iter().any(|text| is_sealed(text)) {
            return Ok(None);
        }
        let mut open = state.clone();
        for text in open.personal() {
            let plain = self.open(text).await.map_err(|error| unsealed(&error))?;
            *text = plain.unwrap_or_else(|| ERASED.to_owned());
        }
        Ok(Some(open))
    }

    /// Seals what is personal in events, both as they are and as they are encoded, which is the same.
    pub(crate) async fn seal<E: Texts>(
        &self,
        subject: impl FnOnce() -> Option<Subject>,
        encoded: &mut [NewEvent],
    ) -> Result<Sealed<E>, LogError> {
        let personal = encoded.iter().any(|event| may_be_personal::<E>(&event.payload));
        let (Some(port), true) = (&self.0, personal) else { return Ok(Sealed::Untouched) };
        let Some(subject) = subject() else { return Ok(Sealed::Untouched) };
        let corrupt = |error: serde_json::Error| LogError::Corrupt(error.to_string());
        let mut payloads: Vec<Value> = vec![];
        let mut texts = vec![];
        for event in &*encoded {
            let mut payload = serde_json::from_str(&event.payload).map_err(corrupt)?;
            for_each(&mut payload, &mut |path, text| {
                if let Some(kind) = personal_at::<E>(path) {
                    texts.push((kind, std::mem::take(text)));
                }
            });
            payloads.push(payload);
        }
        let (kinds, texts): (Vec<Text>, Vec<String>) = texts.into_iter().unzip();
        let sealed = match port.seal(&subject, texts).await.map_err(|error| unsealed(&error))? {
            Some(sealed) => sealed,
            None if kinds.iter().any(|kind| kind.identifies()) => return Ok(Sealed::Refused),
            // Words are left out: what they were said about goes on.
            None => vec![ERASED.to_owned(); kinds.len()],
        };
        let mut sealed = sealed.into_iter();
        let mut events = vec![];
        for (event, mut payload) in encoded.iter_mut().zip(payloads) {
            for_each(&mut payload, &mut |path, text| {
                if personal_at::<E>(path).is_some() {
                    *text = sealed.next().unwrap_or_default();
                }
            });
            let sealed: E = serde_json::from_value(payload).map_err(corrupt)?;
            event.payload = serde_json::to_string(&sealed).map_err(corrupt)?;
            events.push(sealed);
        }
        Ok(Sealed::Events(events))
    }

    /// What a text is found by that nobody may read: the same for the same text, and nothing to who has not the key of the directory.
    ///
    /// # Errors
    /// When the keys cannot be reached.
    pub async fn index(&self, text: &str) -> Result<String, PortError> {
        let sealed = self.port()?.seal(&Subject::directory(), vec![text.to_owned()]).await?;
        let sealed = sealed.and_then(|mut texts| texts.pop());
        let lost =
            || PortError::permanent("no_directory", "the key of the directory was destroyed");
        Ok(hex::encode(Sha256::digest(sealed.ok_or_else(lost)?)))
    }

    /// Seals what the metadata of an event tells about who asked: their address. Whose it is comes with it.
    pub(crate) async fn seal_origin(
        &self,
        subject: Option<Subject>,
        metadata: &mut Metadata,
    ) -> Result<(), LogError> {
        let is_address = |origin: &&mut String| origin.parse::<IpAddr>().is_ok();
        let (Some(port), Some(subject)) = (&self.0, subject) else { return Ok(()) };
        let Some(origin) = metadata.origin.as_mut().filter(is_address) else { return Ok(()) };
        let sealed = port.seal(&subject, vec![origin.clone()]).await;
        let sealed = sealed.map_err(|error| unsealed(&error))?.and_then(|mut texts| texts.pop());
        *origin = sealed.unwrap_or_else(|| ERASED.to_owned());
        Ok(())
    }
}

/// Whether a payload may hold a personal text: the member that its path begins with is there.
fn may_be_personal<E: Texts>(payload: &str) -> bool {
    let personal = E::TEXTS.iter().filter(|(_, text)| text.is_personal());
    personal.into_iter().any(|(path, _)| {
        let member = path.split(['.', '[']).next().unwrap_or(path);
        payload.contains(&format!("\"{member}\":"))
    })
}

/// What the text at a path is, when it is personal.
fn personal_at<E: Texts>(path: &str) -> Option<Text> {
    E::text(path).filter(|text| text.is_personal())
}

/// A command whose texts cannot be sealed or opened is not carried out.
fn unsealed(error: &PortError) -> LogError {
    match error.kind {
        FailureKind::Transient => LogError::Unavailable(error.to_string()),
        FailureKind::Permanent | FailureKind::Refused | FailureKind::Untrusted => {
            LogError::Corrupt(error.to_string())
        }
    }
}

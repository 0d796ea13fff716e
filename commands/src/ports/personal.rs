//! The keys of subjects: what seals personal texts, opens them, and can be destroyed.
use async_trait::async_trait;
use cairn_core::{Subject, Timestamp};
use serde::Serialize;

use super::PortError;

/// What became of a text that was to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It can be read.
    Text {
        /// Whose it is.
        subject: Subject,
        /// The text.
        text: String,
    },
    /// Its key was destroyed: nobody will ever read it.
    Erased,
    /// No key of ours sealed it, or somebody changed it: it is not what it looks like.
    Foreign,
}

/// The key of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubjectKey {
    /// Whose.
    pub subject: Subject,
    /// Its fingerprint. Tells nothing about it.
    pub key_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was destroyed.
    pub destroyed_at: Option<Timestamp>,
}

/// Seals and opens personal texts.
#[async_trait]
pub trait PersonalPort: Send + Sync + std::fmt::Debug {
    /// Seals texts under the key of their subject, which is made with the first. The same text of the same subject is sealed alike, and
    /// what is sealed under this key already stays as it is. `None` when the key was destroyed.
    async fn seal(
        &self,
        subject: &Subject,
        texts: Vec<String>,
    ) -> Result<Option<Vec<String>>, PortError>;

    /// Opens sealed texts, one answer for each.
    async fn open(&self, texts: Vec<String>) -> Result<Vec<Opened>, PortError>;

    /// The key of a subject, if it ever had one.
    async fn key(&self, subject: &Subject) -> Result<Option<SubjectKey>, PortError>;

    /// Destroys the key of a subject, for ever; one that never had a key gets none. Repeating changes nothing. Other processes may
    /// use it until [`PersonalPort::forgotten_after`] has passed.
    async fn destroy(&self, subject: &Subject) -> Result<SubjectKey, PortError>;

    /// How long a process may go on using a key that another has destroyed.
    fn forgotten_after(&self) -> std::time::Duration;
}

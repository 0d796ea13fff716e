//! The erasure of a subject: everything that is personal of it becomes unreadable, for ever. The stream's id is the subject.
//!
//! Lifecycle: `begun → erased`. Between the two its key is destroyed, and what was known of it is looked for; begun is for good.
use cairn_core::{Decider, Refusal, Subject, Text, Texts, Timestamp, cqrs_aggregate, domain_event};
use serde::{Deserialize, Serialize};

/// What was looked for and found once the key was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Searched {
    /// Personal texts that were known. None when an earlier attempt destroyed the key: nobody knew them any more.
    pub texts: u64,
    pub tables: u64,
    pub rows: u64,
    /// Rows in which one of them can still be read.
    pub found: u64,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum ErasureEvent {
    #[serde(rename = "subject.erasure_begun")]
    Begun {
        subject: Subject,
        /// Fingerprint of the key that is destroyed.
        key_id: String,
        reason: String,
        at: Timestamp,
    },
    #[serde(rename = "subject.erased")]
    Erased { subject: Subject, key_id: String, searched: Searched, at: Timestamp },
}

domain_event!(ErasureEvent {
    Begun => "subject.erasure_begun", 1;
    Erased => "subject.erased", 1;
});

impl Texts for ErasureEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("subject", Text::Kept),
        ("key_id", Text::Kept),
        ("reason", Text::Said),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum ErasureCommand {
    Begin {
        subject: Subject,
        key_id: String,
        reason: String,
        at: Timestamp,
    },
    /// The key is destroyed, and what is left was looked for.
    Complete {
        searched: Searched,
        at: Timestamp,
    },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ErasureError {
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
    #[error("the erasure was never begun")]
    NotBegun,
}

impl Refusal for ErasureError {
    fn code(&self) -> &'static str {
        match self {
            Self::ReasonNeeded => "reason_needed",
            Self::NotBegun => "erasure_not_begun",
        }
    }
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Erasure {
    /// Whose, and the key.
    pub begun: Option<(Subject, String)>,
    pub erased_at: Option<Timestamp>,
}

impl Decider for Erasure {
    const TYPE: &'static str = "subject";
    type Command = ErasureCommand;
    type Event = ErasureEvent;
    type Error = ErasureError;

    fn decide(&self, command: ErasureCommand) -> Result<Vec<ErasureEvent>, ErasureError> {
        match command {
            ErasureCommand::Begin { subject, key_id, reason, at } => {
                if reason.is_empty() || reason.chars().count() > 500 {
                    return Err(ErasureError::ReasonNeeded);
                }
                if self.begun.is_some() {
                    return Ok(vec![]);
                }
                Ok(vec![ErasureEvent::Begun { subject, key_id, reason, at }])
            }
            ErasureCommand::Complete { searched, at } => {
                let (subject, key_id) = self.begun.clone().ok_or(ErasureError::NotBegun)?;
                if self.erased_at.is_some() {
                    return Ok(vec![]);
                }
                Ok(vec![ErasureEvent::Erased { subject, key_id, searched, at }])
            }
        }
    }

    fn evolve(mut self, event: ErasureEvent) -> Self {
        match event {
            ErasureEvent::Begun { subject, key_id, .. } => self.begun = Some((subject, key_id)),
            ErasureEvent::Erased { at, .. } => self.erased_at = Some(at),
        }
        self
    }
}

cqrs_aggregate!(Erasure);

//! An intervention: the audit trail of one intent of a process manager that needed a person.
//!
//! Lifecycle: `called → resolved (retry | skip | abandon)`, any number of times. The stream's id is the intent's id.
use cairn_core::{Decider, Refusal, Text, Texts, Timestamp, cqrs_aggregate, domain_event};
use serde::{Deserialize, Serialize};

/// What an operator may do with a stuck intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Try again from now.
    Retry,
    /// Take it as done: the process goes on.
    Skip,
    /// End the process here.
    Abandon,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum InterventionEvent {
    #[serde(rename = "process.needs_operator")]
    Called { process: String, key: String, intent: String, error: String, at: Timestamp },
    #[serde(rename = "process.intervened")]
    Resolved { verb: Verb, reason: String, at: Timestamp },
}

domain_event!(InterventionEvent {
    Called => "process.needs_operator", 1;
    Resolved => "process.intervened", 1;
});

impl Texts for InterventionEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("process", Text::Kept),
        ("key", Text::Kept),
        ("intent", Text::Kept),
        ("error", Text::Reported),
        ("verb", Text::Kept),
        ("reason", Text::Said),
        ("at", Text::Kept),
    ];
}

/// What may be asked.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum InterventionCommand {
    Call { process: String, key: String, intent: String, error: String, at: Timestamp },
    Resolve { verb: Verb, reason: String, at: Timestamp },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum InterventionError {
    #[error("the intent does not wait for an operator")]
    NotWaiting,
    #[error("a reason of 1 to 500 characters is needed")]
    ReasonNeeded,
}

impl Refusal for InterventionError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotWaiting => "intent_not_waiting",
            Self::ReasonNeeded => "reason_needed",
        }
    }
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Intervention {
    pub waiting: bool,
}

impl Decider for Intervention {
    const TYPE: &'static str = "intervention";
    type Command = InterventionCommand;
    type Event = InterventionEvent;
    type Error = InterventionError;

    fn decide(
        &self,
        command: InterventionCommand,
    ) -> Result<Vec<InterventionEvent>, InterventionError> {
        match command {
            InterventionCommand::Call { .. } if self.waiting => Ok(vec![]),
            InterventionCommand::Call { process, key, intent, error, at } => {
                Ok(vec![InterventionEvent::Called { process, key, intent, error, at }])
            }
            InterventionCommand::Resolve { verb, reason, at } => {
                if reason.is_empty() || reason.chars().count() > 500 {
                    return Err(InterventionError::ReasonNeeded);
                }
                if !self.waiting {
                    return Err(InterventionError::NotWaiting);
                }
                Ok(vec![InterventionEvent::Resolved { verb, reason, at }])
            }
        }
    }

    fn evolve(mut self, event: InterventionEvent) -> Self {
        match event {
            InterventionEvent::Called { .. } => self.waiting = true,
            InterventionEvent::Resolved { .. } => self.waiting = false,
        }
        self
    }
}

cqrs_aggregate!(Intervention);

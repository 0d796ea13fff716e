//! The gate that every intent passes: open in production; tests close it to fail, stop and repeat a worker at an exact point.
use async_trait::async_trait;

use crate::ports::PortError;

use super::intent::Action;

/// An intent that a worker has leased.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// Its id: where it was born.
    pub id: String,
    /// The process manager.
    pub process: String,
    /// The instance.
    pub key: String,
    /// What is wanted.
    pub action: Action,
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// How often a timer has fired before.
    pub run: u32,
    /// How often an operator has asked for another try.
    pub round: u32,
    /// Why an operator says that it is done without us.
    pub skip_reason: Option<String>,
    pub(crate) origin: crate::effects::Origin,
    pub(crate) due_at: cairn_core::Timestamp,
    pub(crate) give_up_at: Option<cairn_core::Timestamp>,
    /// An operator was called, and it is tried again all the same.
    pub(crate) called: bool,
    /// The fence: whoever has a newer one owns the intent now.
    pub(crate) token: i64,
}

impl Leased {
    /// The id that commands are derived from: with the round, because first outcomes stand for ever.
    #[must_use]
    pub fn stem(&self) -> String {
        match self.round {
            0 => self.id.clone(),
            round => format!("{}~{round}", self.id),
        }
    }
}

/// What a gate says after an intent was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Pass,
    /// Carry it out once more under ids of its own, as if it had been wanted twice.
    Repeat,
}

/// Stands before and behind every intent.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Before it is carried out; a failure takes the place of the attempt.
    async fn before(&self, intent: &Leased) -> Result<(), PortError>;
    /// After it was carried out and before that is noted.
    async fn after(&self, intent: &Leased) -> Verdict;
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

#[async_trait]
impl Gate for OpenGate {
    async fn before(&self, _: &Leased) -> Result<(), PortError> {
        Ok(())
    }

    async fn after(&self, _: &Leased) -> Verdict {
        Verdict::Pass
    }
}

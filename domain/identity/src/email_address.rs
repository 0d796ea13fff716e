//! An address of mail, by the index it is found by: whose account it opens. One person at a time has it.
//!
//! Lifecycle: `free → claimed → free`. It is claimed when it is verified, so that whoever types a stranger's address takes nothing from them.
use cairn_core::{Decider, Refusal, Text, Texts, Timestamp, UserId, cqrs_aggregate, domain_event};
use serde::{Deserialize, Serialize};

/// What has happened to an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum EmailAddressEvent {
    #[serde(rename = "email_address.claimed")]
    Claimed { user_id: UserId, at: Timestamp },
    #[serde(rename = "email_address.released")]
    Released { user_id: UserId, at: Timestamp },
}

domain_event!(EmailAddressEvent {
    Claimed => "email_address.claimed", 1;
    Released => "email_address.released", 1;
});

impl Texts for EmailAddressEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[("user_id", Text::Kept), ("at", Text::Kept)];
}

/// What may be asked of an address.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum EmailAddressCommand {
    Claim { user_id: UserId, at: Timestamp },
    Release { user_id: UserId, at: Timestamp },
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum EmailAddressError {
    #[error("another account has this address")]
    Taken,
}

impl Refusal for EmailAddressError {
    fn code(&self) -> &'static str {
        match self {
            Self::Taken => "email_taken",
        }
    }
}

/// Whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EmailAddress {
    pub user_id: Option<UserId>,
}

impl Decider for EmailAddress {
    const TYPE: &'static str = "email_address";
    type Command = EmailAddressCommand;
    type Event = EmailAddressEvent;
    type Error = EmailAddressError;

    fn decide(
        &self,
        command: EmailAddressCommand,
    ) -> Result<Vec<EmailAddressEvent>, EmailAddressError> {
        match command {
            EmailAddressCommand::Claim { user_id, at } => match self.user_id {
                None => Ok(vec![EmailAddressEvent::Claimed { user_id, at }]),
                Some(owner) if owner == user_id => Ok(vec![]),
                Some(_) => Err(EmailAddressError::Taken),
            },
            EmailAddressCommand::Release { user_id, at } if self.user_id == Some(user_id) => {
                Ok(vec![EmailAddressEvent::Released { user_id, at }])
            }
            EmailAddressCommand::Release { .. } => Ok(vec![]),
        }
    }

    fn evolve(mut self, event: EmailAddressEvent) -> Self {
        self.user_id = match event {
            EmailAddressEvent::Claimed { user_id, .. } => Some(user_id),
            EmailAddressEvent::Released { .. } => None,
        };
        self
    }
}

cqrs_aggregate!(EmailAddress);

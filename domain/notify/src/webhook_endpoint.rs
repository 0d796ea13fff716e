//! An endpoint of a customer's that webhooks go to: an address, a choice of events, and a secret that signs what is sent.
//!
//! Lifecycle: `created → (disabled ⇄ enabled) → deleted`. A secret that is replaced signs on beside its successor for a while. Secrets
//! come here sealed and are never compared.
use cairn_core::{
    Decider, OrganisationId, Refusal, Subject, Text, Texts, Timestamp, WebhookEndpointId,
    cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

/// Why nothing is sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisableReason {
    /// Somebody asked for it.
    Requested,
    /// The endpoint said that it is gone for good.
    Gone,
    /// It has failed for days.
    Failing,
}

/// What has happened to an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum WebhookEndpointEvent {
    #[serde(rename = "webhook_endpoint.created")]
    Created {
        endpoint_id: WebhookEndpointId,
        organisation_id: OrganisationId,
        url: String,
        /// Types of public events; all of them when empty.
        event_types: Vec<String>,
        /// Sealed.
        secret: String,
        at: Timestamp,
    },
    #[serde(rename = "webhook_endpoint.updated")]
    Updated { url: String, event_types: Vec<String>, at: Timestamp },
    #[serde(rename = "webhook_endpoint.secret_rotated")]
    SecretRotated {
        /// Sealed.
        secret: String,
        /// Until then the one before signs as well.
        previous_until: Timestamp,
        at: Timestamp,
    },
    #[serde(rename = "webhook_endpoint.test_requested")]
    TestRequested { at: Timestamp },
    #[serde(rename = "webhook_endpoint.resend_requested")]
    ResendRequested {
        /// Place in the log of what is told again.
        position: i64,
        at: Timestamp,
    },
    #[serde(rename = "webhook_endpoint.disabled")]
    Disabled { reason: DisableReason, at: Timestamp },
    #[serde(rename = "webhook_endpoint.enabled")]
    Enabled { at: Timestamp },
    #[serde(rename = "webhook_endpoint.deleted")]
    Deleted { at: Timestamp },
}

domain_event!(WebhookEndpointEvent {
    Created => "webhook_endpoint.created", 1;
    Updated => "webhook_endpoint.updated", 1;
    SecretRotated => "webhook_endpoint.secret_rotated", 1;
    TestRequested => "webhook_endpoint.test_requested", 1;
    ResendRequested => "webhook_endpoint.resend_requested", 1;
    Disabled => "webhook_endpoint.disabled", 1;
    Enabled => "webhook_endpoint.enabled", 1;
    Deleted => "webhook_endpoint.deleted", 1;
});

impl Texts for WebhookEndpointEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("endpoint_id", Text::Kept),
        ("organisation_id", Text::Kept),
        ("url", Text::Name),
        ("event_types[]", Text::Kept),
        ("secret", Text::Secret),
        ("previous_until", Text::Kept),
        ("reason", Text::Kept),
        ("at", Text::Kept),
    ];
}

/// What may be asked of an endpoint.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum WebhookEndpointCommand {
    Create {
        endpoint_id: WebhookEndpointId,
        organisation_id: OrganisationId,
        url: String,
        event_types: Vec<String>,
        secret: String,
        at: Timestamp,
    },
    /// What is absent stays as it is.
    Update {
        url: Option<String>,
        event_types: Option<Vec<String>>,
        at: Timestamp,
    },
    RotateSecret {
        secret: String,
        previous_until: Timestamp,
        at: Timestamp,
    },
    RequestTest {
        at: Timestamp,
    },
    RequestResend {
        position: i64,
        at: Timestamp,
    },
    Disable {
        reason: DisableReason,
        at: Timestamp,
    },
    Enable {
        at: Timestamp,
    },
    Delete {
        at: Timestamp,
    },
}

/// Why an endpoint refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum WebhookEndpointError {
    #[error("there is no such webhook endpoint")]
    Unknown,
    #[error("a webhook endpoint's address has 1 to {URL_MAX} characters")]
    BadUrl,
    #[error("a webhook endpoint names at most {EVENT_TYPES_MAX} types of events, each once")]
    BadEventTypes,
    #[error("the webhook endpoint is disabled: enable it first")]
    Disabled,
    #[error("a secret that is replaced signs on for at most 30 days")]
    BadOverlap,
    #[error("the id was used before for something else")]
    IdReused,
}

impl Refusal for WebhookEndpointError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_webhook_endpoint",
            Self::BadUrl => "webhook_url_refused",
            Self::BadEventTypes => "webhook_event_types_invalid",
            Self::Disabled => "webhook_endpoint_disabled",
            Self::BadOverlap => "webhook_overlap_invalid",
            Self::IdReused => "id_reused",
        }
    }
}

const URL_MAX: usize = 2_000;
const EVENT_TYPES_MAX: usize = 100;
const OVERLAP_MAX_MICROS: i64 = 30 * 24 * 3_600 * 1_000_000;
/// Most secrets that sign at once: whoever rotates more often than that has lost the oldest.
const SECRETS_MAX: usize = 4;

/// A secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Previous {
    pub secret: String,
    /// Signs until then.
    pub until: Timestamp,
}

/// What an endpoint remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct WebhookEndpoint {
    pub organisation_id: Option<OrganisationId>,
    pub url: String,
    pub event_types: Vec<String>,
    pub secret: String,
    /// Newest first.
    pub previous: Vec<Previous>,
    pub disabled: Option<DisableReason>,
    pub deleted: bool,
}

impl Decider for WebhookEndpoint {
    const TYPE: &'static str = "webhook_endpoint";
    type Command = WebhookEndpointCommand;
    type Event = WebhookEndpointEvent;
    type Error = WebhookEndpointError;

    fn decide(
        &self,
        command: WebhookEndpointCommand,
    ) -> Result<Vec<WebhookEndpointEvent>, WebhookEndpointError> {
        use WebhookEndpointCommand as C;
        use WebhookEndpointEvent as E;
        if let C::Create { endpoint_id, organisation_id, url, event_types, secret, at } = command {
            check(&url, &event_types)?;
            if self.organisation_id.is_some() {
                return Err(WebhookEndpointError::IdReused);
            }
            let created = E::Created { endpoint_id, organisation_id, url, event_types, secret, at };
            return Ok(vec![created]);
        }
        if self.organisation_id.is_none() || self.deleted {
            return Err(WebhookEndpointError::Unknown);
        }
        match command {
            C::Create { .. } => Err(WebhookEndpointError::IdReused),
            C::Update { url, event_types, at } => self.update(url, event_types, at),
            C::RotateSecret { secret, previous_until, at } => {
                let overlap = previous_until.as_micros().saturating_sub(at.as_micros());
                if !(0..=OVERLAP_MAX_MICROS).contains(&overlap) {
                    return Err(WebhookEndpointError::BadOverlap);
                }
                Ok(vec![E::SecretRotated { secret, previous_until, at }])
            }
            C::RequestTest { .. } | C::RequestResend { .. } if self.disabled.is_some() => {
                Err(WebhookEndpointError::Disabled)
            }
            C::RequestTest { at } => Ok(vec![E::TestRequested { at }]),
            C::RequestResend { position, at } => Ok(vec![E::ResendRequested { position, at }]),
            C::Disable { .. } if self.disabled.is_some() => Ok(vec![]),
            C::Disable { reason, at } => Ok(vec![E::Disabled { reason, at }]),
            C::Enable { .. } if self.disabled.is_none() => Ok(vec![]),
            C::Enable { at } => Ok(vec![E::Enabled { at }]),
            C::Delete { at } => Ok(vec![E::Deleted { at }]),
        }
    }

    fn evolve(mut self, event: WebhookEndpointEvent) -> Self {
        match event {
            WebhookEndpointEvent::Created { organisation_id, url, event_types, secret, .. } => {
                self.organisation_id = Some(organisation_id);
                (self.url, self.event_types, self.secret) = (url, event_types, secret);
            }
            WebhookEndpointEvent::Updated { url, event_types, .. } => {
                (self.url, self.event_types) = (url, event_types);
            }
            WebhookEndpointEvent::SecretRotated { secret, previous_until, .. } => {
                let secret = std::mem::replace(&mut self.secret, secret);
                self.previous.insert(0, Previous { secret, until: previous_until });
                self.previous.truncate(SECRETS_MAX - 1);
            }
            WebhookEndpointEvent::TestRequested { .. }
            | WebhookEndpointEvent::ResendRequested { .. } => {}
            WebhookEndpointEvent::Disabled { reason, .. } => self.disabled = Some(reason),
            WebhookEndpointEvent::Enabled { .. } => self.disabled = None,
            WebhookEndpointEvent::Deleted { .. } => {
                self.deleted = true;
                self.secret.clear();
                self.previous.clear();
            }
        }
        self
    }

    fn subject(&self) -> Option<Subject> {
        self.organisation_id.map(Subject::organisation)
    }

    fn personal(&mut self) -> Vec<&mut String> {
        vec![&mut self.url]
    }
}

impl WebhookEndpoint {
    fn update(
        &self,
        url: Option<String>,
        event_types: Option<Vec<String>>,
        at: Timestamp,
    ) -> Result<Vec<WebhookEndpointEvent>, WebhookEndpointError> {
        let url = url.unwrap_or_else(|| self.url.clone());
        let event_types = event_types.unwrap_or_else(|| self.event_types.clone());
        check(&url, &event_types)?;
        if (&url, &event_types) == (&self.url, &self.event_types) {
            return Ok(vec![]);
        }
        Ok(vec![WebhookEndpointEvent::Updated { url, event_types, at }])
    }

    /// The sealed secrets that sign now, newest first.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Vec<&str> {
        let previous = self.previous.iter().filter(|previous| previous.until > now);
        [self.secret.as_str()].into_iter().chain(previous.map(|it| it.secret.as_str())).collect()
    }
}

fn check(url: &str, event_types: &[String]) -> Result<(), WebhookEndpointError> {
    if !(1..=URL_MAX).contains(&url.chars().count()) {
        return Err(WebhookEndpointError::BadUrl);
    }
    let twice = |at: usize| event_types[..at].contains(&event_types[at]);
    if event_types.len() > EVENT_TYPES_MAX || (0..event_types.len()).any(twice) {
        return Err(WebhookEndpointError::BadEventTypes);
    }
    Ok(())
}

cqrs_aggregate!(WebhookEndpoint);

#[cfg(test)]
mod tests {
    use cairn_core::{Decider as _, OrganisationId, Timestamp, WebhookEndpointId};

    use super::{
        DisableReason, WebhookEndpoint, WebhookEndpointCommand as C, WebhookEndpointError,
    };

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn after(commands: Vec<C>) -> WebhookEndpoint {
        let create = C::Create {
            endpoint_id: WebhookEndpointId::from_bits(1),
            organisation_id: OrganisationId::from_bits(1),
            url: "https://example.org/hook".to_owned(),
            event_types: vec![],
            secret: "one".to_owned(),
            at: NOW,
        };
        [create].into_iter().chain(commands).fold(WebhookEndpoint::default(), |state, command| {
            let events = state.decide(command).unwrap();
            state.evolve_all(events)
        })
    }

    fn rotate(secret: &str, seconds: i64) -> C {
        let previous_until = Timestamp::from_secs(1_790_000_000 + seconds);
        C::RotateSecret { secret: secret.to_owned(), previous_until, at: NOW }
    }

    #[test]
    fn a_replaced_secret_signs_until_its_overlap_is_over() {
        let endpoint = after(vec![rotate("two", 60), rotate("three", 120)]);
        assert_eq!(endpoint.signing(NOW), ["three", "two", "one"]);
        assert_eq!(endpoint.signing(Timestamp::from_secs(1_790_000_060)), ["three", "two"]);
        assert_eq!(endpoint.signing(Timestamp::from_secs(1_790_000_120)), ["three"]);
        for wrong in [-1, 31 * 24 * 3_600] {
            let refused = endpoint.decide(rotate("four", wrong)).unwrap_err();
            assert_eq!(refused, WebhookEndpointError::BadOverlap);
        }
    }

    #[test]
    fn a_disabled_endpoint_is_not_tested_and_a_deleted_one_is_not_there() {
        let disabled = after(vec![C::Disable { reason: DisableReason::Gone, at: NOW }]);
        let refused = disabled.decide(C::RequestTest { at: NOW }).unwrap_err();
        assert_eq!(refused, WebhookEndpointError::Disabled);
        assert_eq!(
            disabled.decide(C::Disable { reason: DisableReason::Failing, at: NOW }),
            Ok(vec![])
        );
        let deleted = after(vec![C::Delete { at: NOW }]);
        let refused = deleted.decide(C::Enable { at: NOW }).unwrap_err();
        assert_eq!(refused, WebhookEndpointError::Unknown);
        assert!(deleted.secret.is_empty(), "what signs no more is not remembered");
    }

    #[test]
    fn what_is_as_it_was_is_no_news() {
        let same = C::Update {
            url: Some("https://example.org/hook".to_owned()),
            event_types: None,
            at: NOW,
        };
        assert_eq!(after(vec![]).decide(same), Ok(vec![]));
        let twice = Some(vec!["a".to_owned(), "a".to_owned()]);
        let wrong = C::Update { url: None, event_types: twice, at: NOW };
        assert_eq!(after(vec![]).decide(wrong), Err(WebhookEndpointError::BadEventTypes));
    }
}

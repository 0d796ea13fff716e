//! Commands: the endpoints of an organisation. Whether an address may be called is for whoever asks to find out first.
use std::time::Duration;

use cairn_core::{OrganisationId, Refusal as _, Timestamp, WebhookEndpointId};
use cairn_notify::{DisableReason, WebhookEndpoint, WebhookEndpointCommand, WebhookEndpointError};
use serde_json::json;

use super::{kinds, secrets};
use crate::answers::first_answer;
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// An endpoint to make. Its secret is made by whoever can show it once; it is sealed here.
#[derive(Clone)]
pub struct CreateEndpoint {
    /// Whose.
    pub organisation_id: OrganisationId,
    /// Where to.
    pub url: String,
    /// Types of public events, or beginnings of types (`cairn.allocation.*`); all when empty.
    pub event_types: Vec<String>,
    /// `whsec_…`
    pub secret: String,
}

/// Makes an endpoint. Answers `{"endpoint_id"}`.
///
/// # Errors
/// `webhook_url_refused`, `webhook_event_types_invalid`, `subject_erased`.
pub async fn create(
    commands: &Commands,
    context: &CommandContext,
    input: CreateEndpoint,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let CreateEndpoint { organisation_id, url, event_types, secret } = input;
    kinds::check(&event_types)?;
    let secret = secrets::seal(commands.executor.personal(), organisation_id, secret).await?;
    let endpoint_id = WebhookEndpointId::from_bits(commands.ids.next());
    let at = commands.clock.now();
    let create = WebhookEndpointCommand::Create {
        endpoint_id,
        organisation_id,
        url,
        event_types,
        secret,
        at,
    };
    let (stream, result) = (endpoint_id.to_string(), json!({ "endpoint_id": endpoint_id }));
    commands.executor.execute::<WebhookEndpoint>(&stream, create, context, result).await
}

/// Which endpoint is to change, for whom, and as what it was seen.
#[derive(Debug, Clone)]
pub struct Change {
    /// Who asks; `None` sees all.
    pub organisation_id: Option<OrganisationId>,
    /// Which.
    pub endpoint_id: WebhookEndpointId,
    /// What was seen of it.
    pub expected: Expected,
}

/// What is to become of an endpoint.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum Wish {
    /// What is absent stays as it is.
    Update {
        url: Option<String>,
        event_types: Option<Vec<String>>,
    },
    /// Both secrets sign for so long.
    RotateSecret {
        secret: String,
        overlap: Duration,
    },
    Test,
    /// What stands there in the log.
    Resend {
        position: i64,
    },
    Disable(DisableReason),
    Enable,
    Delete,
}

/// Changes an endpoint.
///
/// # Errors
/// `unknown_webhook_endpoint`, also when it is somebody else's; `webhook_url_refused`, `webhook_event_types_invalid`,
/// `webhook_overlap_invalid`, `webhook_endpoint_disabled`, `precondition_failed`.
pub async fn change(
    commands: &Commands,
    context: &CommandContext,
    (change, wish): (Change, Wish),
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let stream = change.endpoint_id.to_string();
    let (endpoint, _) = commands.executor.load::<WebhookEndpoint>(&stream).await?;
    let (asks, owner) = (change.organisation_id, endpoint.organisation_id);
    let owner = match owner.filter(|owner| asks.is_none_or(|asks| asks == *owner)) {
        Some(owner) => owner,
        None => {
            let unknown = WebhookEndpointError::Unknown;
            let refusal = (unknown.code(), unknown.to_string());
            return commands.executor.refuse::<WebhookEndpoint>(&stream, refusal, context).await;
        }
    };
    let command = command(commands, owner, wish).await?;
    let result = json!({ "endpoint_id": change.endpoint_id });
    let stream = (stream.as_str(), change.expected);
    commands.executor.execute_upon::<WebhookEndpoint>(stream, command, context, result).await
}

async fn command(
    commands: &Commands,
    owner: OrganisationId,
    wish: Wish,
) -> Result<WebhookEndpointCommand, ExecuteError> {
    let at = commands.clock.now();
    Ok(match wish {
        Wish::Update { url, event_types } => {
            kinds::check(event_types.as_deref().unwrap_or_default())?;
            WebhookEndpointCommand::Update { url, event_types, at }
        }
        Wish::RotateSecret { secret, overlap } => {
            let overlap = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
            let previous_until = Timestamp::from_micros(at.as_micros().saturating_add(overlap));
            let secret = secrets::seal(commands.executor.personal(), owner, secret).await?;
            WebhookEndpointCommand::RotateSecret { secret, previous_until, at }
        }
        Wish::Test => WebhookEndpointCommand::RequestTest { at },
        Wish::Resend { position } => WebhookEndpointCommand::RequestResend { position, at },
        Wish::Disable(reason) => WebhookEndpointCommand::Disable { reason, at },
        Wish::Enable => WebhookEndpointCommand::Enable { at },
        Wish::Delete => WebhookEndpointCommand::Delete { at },
    })
}

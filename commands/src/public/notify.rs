//! Endpoints of webhooks, in public: what their owner must hear.
use cairn_notify::{DisableReason, WebhookEndpointEvent as Event};
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, private, public, public_types};

public_types! {
    TestRequested = "cairn.webhook_endpoint.test_requested" 1;
    Disabled = "cairn.webhook_endpoint.disabled" 1;
}

/// Somebody asked for this message, to see it arrive.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestRequested {
    endpoint_id: String,
}

/// Nothing is sent there until somebody enables it again.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Disabled {
    endpoint_id: String,
    /// Why.
    reason: Reason,
    /// When.
    at: String,
}

/// Why an endpoint is disabled.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Requested,
    Gone,
    Failing,
}

pub(super) fn publish(endpoint_id: &str, event: Event) -> Result<Option<Said>, String> {
    let endpoint_id = endpoint_id.to_owned();
    match event {
        Event::TestRequested { .. } => public(&TestRequested { endpoint_id }),
        Event::Disabled { reason, at } => {
            let reason = match reason {
                DisableReason::Requested => Reason::Requested,
                DisableReason::Gone => Reason::Gone,
                DisableReason::Failing => Reason::Failing,
            };
            public(&Disabled { endpoint_id, reason, at: at.to_string() })
        }
        // Where it is, what it wants and how it is signed is between its owner and us.
        Event::Created { .. }
        | Event::Updated { .. }
        | Event::SecretRotated { .. }
        | Event::ResendRequested { .. }
        | Event::Enabled { .. }
        | Event::Deleted { .. } => private(),
    }
}

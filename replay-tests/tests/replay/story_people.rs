//! What people do in the story beside renting and paying.
use cairn_core::{Subject, WebhookEndpointId};
use cairn_identity::{ErasureCommand, Searched};
use cairn_notify::{DisableReason, WebhookEndpointCommand};
use cairn_operations::{ConfigurationCommand, FeatureFlagCommand, InterventionCommand, Verb};

use super::story::{ORGANISATION, at, text};

pub fn intervention() -> [InterventionCommand; 2] {
    let call = InterventionCommand::Call {
        process: text("rent_node"),
        key: text("alloc_1"),
        intent: text("teardown"),
        error: text("timeout"),
        at: at(15),
    };
    [call, InterventionCommand::Resolve { verb: Verb::Retry, reason: text("back"), at: at(16) }]
}

pub fn erasure(subject: &Subject) -> [ErasureCommand; 2] {
    let begin = ErasureCommand::Begin {
        subject: subject.clone(),
        key_id: "4f".repeat(16),
        reason: text("asked by letter"),
        at: at(950),
    };
    let searched = Searched { texts: 7, tables: 44, rows: 1_234, found: 0 };
    [begin, ErasureCommand::Complete { searched, at: at(953) }]
}

pub fn configuration() -> [ConfigurationCommand; 1] {
    let change = ConfigurationCommand::Change {
        setting: text("logging.filter"),
        from: text("info"),
        to: text("debug"),
        said_in: text("/etc/cairn/cairn.toml:7"),
        at: at(960),
    };
    [change]
}

pub fn webhook_endpoint() -> Vec<WebhookEndpointCommand> {
    use WebhookEndpointCommand as C;
    let create = C::Create {
        endpoint_id: WebhookEndpointId::from_bits(1),
        organisation_id: ORGANISATION,
        url: text("https://example.org/hook"),
        event_types: vec![text("cairn.allocation.*")],
        secret: text("whsec_one"),
        at: at(970),
    };
    vec![
        create,
        C::Update { url: Some(text("https://example.org/other")), event_types: None, at: at(971) },
        C::RotateSecret { secret: text("whsec_two"), previous_until: at(1_972), at: at(972) },
        C::RequestTest { at: at(973) },
        C::RequestResend { position: 7, at: at(974) },
        C::Disable { reason: DisableReason::Failing, at: at(975) },
        C::Enable { at: at(976) },
        C::Delete { at: at(977) },
    ]
}

pub fn feature_flag() -> [FeatureFlagCommand; 5] {
    use FeatureFlagCommand as C;
    let (organisation_id, reason) = (ORGANISATION, || text("the nodes are full"));
    let description = text("No new rentals");
    [
        C::Define { flag: text("pause_rentals"), description, at: at(980) },
        C::RollOut { percentage: 25, reason: reason(), at: at(981) },
        C::Override { organisation_id, on: false, reason: reason(), at: at(982) },
        C::ClearOverride { organisation_id, reason: reason(), at: at(983) },
        C::Archive { reason: reason(), at: at(984) },
    ]
}

//! `cairn webhooks`: what customers are told, and what came of it.
use cairn_commands::Expected;
use cairn_commands::notify::endpoints::Change;
use cairn_commands::notify::{again, shown};
use cairn_core::WebhookEndpointId;
use cairn_projections::notify::endpoints as view;
use serde_json::json;

use super::exit::CliError;
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use super::webhooks_args::{ReplayArgs, WebhooksCommand};
use crate::config::Config;
use crate::http::notify_shapes::{WebhookDelivery, WebhookEndpoint};

pub(super) async fn run(
    config: &Config,
    command: WebhooksCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        WebhooksCommand::List { organisation } => {
            parts.catch_up(&[view::NAME]).await?;
            let rows = all_pages(async |after| {
                Ok(view::list(parts.pool(), organisation, after, 200).await?)
            });
            let rows: Vec<_> = rows.await?.into_iter().map(WebhookEndpoint::from).collect();
            let columns = ["endpoint_id", "organisation_id", "url", "status", "disabled_reason"];
            output.rows(&rows, &columns)
        }
        WebhooksCommand::Deliveries { endpoint_id, limit } => {
            deliveries(&parts, endpoint_id, limit, output).await
        }
        WebhooksCommand::Resend { endpoint_id, delivery_id } => {
            let change =
                Change { organisation_id: None, endpoint_id, expected: Expected::Anything };
            let context = parts.context(None);
            let done = again::resend(&parts.commands, &context, (change, delivery_id)).await?;
            output.say("it is on its way as soon as a server runs");
            output.one(&json!({ "endpoint_id": endpoint_id, "position": done.position }))
        }
        WebhooksCommand::Replay(args) => replay(&parts, config, args, output).await,
    })
    .await
}

async fn deliveries(
    parts: &SessionParts,
    endpoint_id: WebhookEndpointId,
    limit: i64,
    output: Output,
) -> Result<(), CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let id = endpoint_id.to_string();
    if view::get(parts.pool(), None, &id).await?.is_none() {
        return Err(CliError::not_found("webhook endpoint", &id));
    }
    let rows = shown::deliveries(parts.pool(), (None, &id), (i64::MAX, limit)).await?;
    let rows: Vec<_> = rows.into_iter().map(WebhookDelivery::from).collect();
    let columns = [
        "delivery_id",
        "event_type",
        "status",
        "attempts",
        "next_attempt_at",
        "last_status",
        "last_error",
    ];
    output.rows(&rows, &columns)
}

async fn replay(
    parts: &SessionParts,
    config: &Config,
    args: ReplayArgs,
    output: Output,
) -> Result<(), CliError> {
    let commands = &parts.commands;
    let from_position = match (args.from_position, args.since) {
        (Some(position), _) => position,
        (None, Some(since)) => again::position_since(commands, since).await?,
        (None, None) => return Err(CliError::usage("say --from-position or --since")),
    };
    let endpoint = (args.endpoint_id, config.event_source.as_str());
    let replayed = again::replay(commands, endpoint, from_position).await?;
    output.say("they are on their way as soon as a server runs");
    output.one(&replayed)
}

//! Arguments of `cairn webhooks`.
use cairn_core::{OrganisationId, Timestamp, WebhookEndpointId};
use clap::{ArgGroup, Args, Subcommand};

/// `webhooks`
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// Shows endpoints.
    List {
        /// Of one organisation only.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Shows what was sent to an endpoint in the last 30 days, newest first, and what came of it.
    Deliveries {
        /// The endpoint's id (`whe_…`).
        endpoint_id: WebhookEndpointId,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
    /// Sends one message once more, whatever came of it. A running server does it.
    Resend {
        /// The endpoint's id (`whe_…`).
        endpoint_id: WebhookEndpointId,
        /// The message's id: the position of its event.
        delivery_id: i64,
    },
    /// Sends an endpoint everything again that it is told of, from a place in the log to its end. A running server does it.
    Replay(ReplayArgs),
}

/// `webhooks replay`
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("when").required(true).args(["from_position", "since"])))]
pub struct ReplayArgs {
    /// The endpoint's id (`whe_…`).
    pub endpoint_id: WebhookEndpointId,
    /// From this position of the log.
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(1..))]
    pub from_position: Option<i64>,
    /// From what was recorded at this instant, for example `2026-01-31T09:00:00Z`.
    #[arg(long, value_name = "INSTANT")]
    pub since: Option<Timestamp>,
}

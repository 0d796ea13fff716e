//! One-time tickets: what is shown where no `Authorization` header can be sent.
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::state::Api;
use crate::auth::{Caller, Standing, ticket};
use crate::problem::Problem;
use crate::system::new_secret;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create_ticket))
}

/// What a ticket is to open.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The WebSocket of `/v1/notifications`.
    Notifications,
}

impl Purpose {
    /// As it is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notifications => "notifications",
        }
    }
}

/// A ticket to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketBody {
    /// What it is to open.
    purpose: Purpose,
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketMade {
    /// `cairn_ticket_…`: shown once, opens one thing once.
    ticket: String,
    /// What it opens.
    purpose: &'static str,
    /// RFC 3339; half a minute from now.
    expires_at: String,
}

/// Makes a ticket that opens one thing once, as the caller. Each request makes another one, so it takes no Idempotency-Key.
#[utoipa::path(post, path = "/v1/tickets", operation_id = "create_ticket", tag = "events",
    request_body = TicketBody, security(("api_key" = []), ("session" = [])),
    responses((status = 201, description = "Good for one use within 30 seconds", body = TicketMade)))]
async fn create_ticket(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<(StatusCode, Json<TicketMade>), Problem> {
    let (parts, stream) = request.into_parts();
    let bytes = body::read(stream, body::BODY_MAX).await?;
    let (TicketBody { purpose }, _) = body::parse(&parts.headers, &bytes)?;
    let made: ticket::Ticket =
        new_secret().map_err(|error| Problem::internal(&error.to_string()))?;
    let until =
        ticket::keep(api.pool(), &made, (purpose.name(), &Standing::of(&caller).to_string()))
            .await?;
    let (ticket, expires_at) = (made.expose().to_owned(), until.to_string());
    let purpose = purpose.name();
    Ok((StatusCode::CREATED, Json(TicketMade { ticket, purpose, expires_at })))
}

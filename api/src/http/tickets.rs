//! One-time tickets: what is shown where no `Authorization` header can be sent.
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::downloads::{File, may_have};
use super::state::Api;
use crate::auth::{Caller, Standing, ticket};
use crate::problem::{FieldError, Problem};
use crate::system::new_secret;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create_ticket))
}

/// What kind of thing a ticket is to open.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The WebSocket of `/v1/notifications`.
    Notifications,
    /// One file, by `POST /v1/downloads`.
    Download,
}

/// What a ticket opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// The WebSocket of `/v1/notifications`.
    Notifications,
    /// A file.
    Download(File),
}

impl Opens {
    /// As it is stored: a ticket for one thing is none for another.
    #[must_use]
    pub fn kept(self) -> String {
        match self {
            Self::Notifications => "notifications".to_owned(),
            Self::Download(file) => format!("download {}", file.name()),
        }
    }
}

/// A ticket to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketBody {
    /// What it is to open.
    purpose: Purpose,
    /// Which file, when it is for a download.
    of: Option<File>,
}

impl TicketBody {
    fn opens(&self) -> Result<Opens, Problem> {
        let wrong = |detail| Problem::invalid(vec![FieldError::new("/of", "body_invalid", detail)]);
        match (self.purpose, self.of) {
            (Purpose::Notifications, None) => Ok(Opens::Notifications),
            (Purpose::Download, Some(file)) => Ok(Opens::Download(file)),
            (Purpose::Notifications, Some(_)) => Err(wrong("only a download is of a file")),
            (Purpose::Download, None) => Err(wrong("say of which file: organisation_export")),
        }
    }
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketMade {
    /// `cairn_ticket_…`: shown once, opens one thing once.
    ticket: String,
    /// What it opens: `notifications` or `download`.
    purpose: &'static str,
    /// Which file, when it is for a download: `organisation_export`.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'static str>,
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
    let (body, _) = body::parse::<TicketBody>(&parts.headers, &bytes)?;
    let (opens, standing) = (body.opens()?, Standing::of(&caller));
    // Whoever may not have a file is told so now, and not when the form is sent.
    if let Opens::Download(file) = opens {
        may_have(&api, &standing, file).await?;
    }
    let made: ticket::Ticket =
        new_secret().map_err(|error| Problem::internal(&error.to_string()))?;
    let kept = (&*opens.kept(), &*standing.to_string());
    let until = ticket::keep(api.pool(), &made, kept).await?;
    let (ticket, expires_at) = (made.expose().to_owned(), until.to_string());
    let (purpose, of) = match opens {
        Opens::Notifications => ("notifications", None),
        Opens::Download(file) => ("download", Some(file.name())),
    };
    Ok((StatusCode::CREATED, Json(TicketMade { ticket, purpose, of, expires_at })))
}

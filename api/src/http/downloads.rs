//! Files that a browser saves: a form posts a one-time ticket, and gets the file. Neither a key nor the ticket stands in an address.
//!
//! Whose page posts the form is not asked, as it is for a WebSocket: a page that says nothing of where it comes from (`no-referrer`) posts
//! with the origin `null`, and only whoever has the ticket gets anything.
use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admit::{self, Wanted};
use super::body;
use super::identity::export::{OrganisationExport, organisation_export};
use super::state::Api;
use super::tickets::Opens;
use crate::auth::ticket::{self, Ticket};
use crate::auth::{Caller, Standing};
use crate::problem::{FieldError, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(download_file))
}

/// What can be saved as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum File {
    /// What `GET /v1/organisation/export` answers.
    OrganisationExport,
}

impl File {
    /// Every file.
    pub const ALL: [Self; 1] = [Self::OrganisationExport];

    /// As it is asked for.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrganisationExport => "organisation_export",
        }
    }

    /// The read that answers the same: who may do that may have the file.
    const fn read(self) -> Wanted<'static> {
        match self {
            Self::OrganisationExport => {
                Wanted { operation: "export_organisation", context: "identity", is_read: true }
            }
        }
    }
}

/// Whoever came in so, if they may have a file now.
///
/// # Errors
/// Those of `admit::again`, and `operation_paused`.
pub async fn may_have(api: &Api, standing: &Standing, file: File) -> Result<Caller, Problem> {
    let wanted = file.read();
    let caller = admit::again(api, standing, &wanted).await?;
    api.features.check(wanted.operation, caller.organisation_id).await?;
    Ok(caller)
}

/// A ticket to use.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadBody {
    /// `cairn_ticket_…` of `POST /v1/tickets`, made for a file.
    ticket: String,
}

/// Gives the file that a ticket was made for, once, if whoever it was made for may still have it. A form of HTML may post it.
#[utoipa::path(post, path = "/v1/downloads", operation_id = "download_file", tag = "events",
    request_body(content((DownloadBody = "application/x-www-form-urlencoded"), (DownloadBody = "application/json"))),
    responses((status = 200, description = "The file, to be saved", body = OrganisationExport,
        headers(("Content-Disposition" = String, description = "`attachment`, and what to call it")))))]
async fn download_file(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let ticket = shown(request).await?;
    let (file, standing) = redeem(&api, &ticket).await?;
    // Whoever could not make the ticket any more cannot use it either, such as an organisation that was suspended.
    let making = Wanted { operation: "create_ticket", context: "events", is_read: false };
    admit::again(&api, &standing, &making).await?;
    let caller = may_have(&api, &standing, file).await?;
    match file {
        File::OrganisationExport => {
            let export = organisation_export(&api, &caller).await?;
            let day = export.made_at.get(..10).unwrap_or_default();
            attached(&format!("{}-{day}.json", caller.organisation_id), &export)
        }
    }
}

/// The ticket, out of a form or out of JSON.
async fn shown(request: Request) -> Result<String, Problem> {
    let (mut parts, stream) = request.into_parts();
    let bytes = body::read(stream, body::BODY_MAX).await?;
    if !is_form(&parts.headers) {
        return Ok(body::parse::<DownloadBody>(&parts.headers, &bytes)?.0.ticket);
    }
    // A body that was read is as long as it is.
    parts.headers.remove(header::CONTENT_LENGTH);
    let read =
        Form::<DownloadBody>::from_request(Request::from_parts(parts, Body::from(bytes)), &());
    let Form(body) = read.await.map_err(|rejection| {
        let wrong = FieldError::new("/ticket", "body_invalid", rejection.body_text());
        Problem::invalid(vec![wrong])
    })?;
    Ok(body.ticket)
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Uses a ticket up; answers what it was made for, and how its holder came in.
async fn redeem(api: &Api, text: &str) -> Result<(File, Standing), Problem> {
    let refused = || {
        let detail = "this ticket is unknown, used or over, or was made for something else";
        Problem::new("ticket_invalid", detail)
    };
    let ticket = Ticket::parse(text.trim()).map_err(|_| refused())?;
    for file in File::ALL {
        let made_for = Opens::Download(file).kept();
        if let Some(standing) = ticket::redeem(api.pool(), &ticket, &made_for).await? {
            return Ok((file, standing.parse().map_err(|()| refused())?));
        }
    }
    Err(refused())
}

/// What a browser that shows a file after all makes of it: nothing.
const SANDBOXED: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox";

/// As a file of this name, which is of the letters of ids and dates alone.
fn attached(name: &str, file: &impl Serialize) -> Result<Response, Problem> {
    let broken = |error: &dyn std::fmt::Display| Problem::internal(&error.to_string());
    let bytes = serde_json::to_vec(file).map_err(|error| broken(&error))?;
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_DISPOSITION, disposition.map_err(|error| broken(&error))?),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOXED)),
    ];
    Ok((headers, bytes).into_response())
}

//! Grants to support: a customer lets the platform look, for a while, and every look is under the grant's name.
use axum::extract::{Path, State};
use cairn_commands::identity::organisations;
use cairn_core::Timestamp;
use cairn_projections::identity::{organisations as view, organisations_query as query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::answer::Done;
use super::super::page::Page;
use super::super::reader::{ListQuery, Reader, Seen};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::super::wish::Wish;
use super::seen;
use crate::problem::Problem;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_support_grants, grant_support))
        .routes(routes!(end_support_grant))
}

/// A grant to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantBody {
    /// What support is to look at: 1 to 500 characters.
    #[schema(example = "the rental of yesterday does not start")]
    reason: String,
    /// For how long, 1 to 168.
    #[schema(example = 24)]
    hours: u32,
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    /// `grant_…`
    grant_id: String,
    /// Why.
    reason: String,
    /// RFC 3339.
    granted_at: String,
    /// RFC 3339.
    expires_at: String,
    /// RFC 3339; absent when nobody ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

/// Which grant it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantDone {
    /// `grant_…`
    grant_id: String,
}

/// Lets the platform's support read what the organisation reads, for a while.
#[utoipa::path(post, path = "/v1/support-grants", operation_id = "grant_support", tag = "identity",
    request_body = GrantBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Granted", body = GrantDone)))]
async fn grant_support(
    State(api): State<Api>,
    wish: Wish<GrantBody>,
) -> Result<Done<GrantDone>, Problem> {
    let id = wish.caller.organisation_id;
    let ends = api.commands.clock.now().plus_secs(i64::from(wish.body.hours) * 3_600);
    let wanted = (wish.body.reason, ends);
    let done = organisations::grant_support(&api.commands, &wish.context, id, wanted).await?;
    seen(&api, view::NAME, done.position).await;
    let grant_id = done.result["grant_id"].as_str().unwrap_or_default().to_owned();
    let location = "/v1/support-grants".to_owned();
    Ok(Done::created(&done, location, GrantDone { grant_id }).without_version())
}

/// When support was let look, and why.
#[utoipa::path(get, path = "/v1/support-grants", operation_id = "list_support_grants", tag = "identity",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page, newest first", body = Page<Grant>)))]
async fn list_support_grants(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<Grant>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let own = reader.caller.organisation_id;
    let rows =
        query::grants(&mut *api.read_for(&reader.caller).await?, own, page.after, page.limit)
            .await?;
    Ok(at.saw(reader.shown(rows, |row| Grant {
        grant_id: row.grant_id,
        reason: row.reason,
        granted_at: Timestamp::from(row.granted_at).to_string(),
        expires_at: Timestamp::from(row.expires_at).to_string(),
        ended_at: row.ended_at.map(|at| Timestamp::from(at).to_string()),
    })?))
}

/// Ends a grant at once.
#[utoipa::path(post, path = "/v1/support-grants/{grant_id}/end", operation_id = "end_support_grant",
    tag = "identity", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("grant_id" = String, Path, description = "`grant_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Ended", body = GrantDone)))]
async fn end_support_grant(
    State(api): State<Api>,
    Path(grant_id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<GrantDone>, Problem> {
    let id = wish.caller.organisation_id;
    let unknown = |_| Problem::new("unknown_grant", "there is no such grant");
    let grant = grant_id.parse().map_err(unknown)?;
    let done = organisations::end_grant(&api.commands, &wish.context, id, grant).await?;
    seen(&api, view::NAME, done.position).await;
    Ok(Done::ok(&done, GrantDone { grant_id }).without_version())
}

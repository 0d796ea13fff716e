//! Webhooks to customers: endpoints, and what was delivered to them.
use std::time::Duration;

use axum::extract::{Path, State};
use cairn_commands::notify::again;
use cairn_commands::notify::endpoints::{self, Change, CreateEndpoint, Wish as Becomes};
use cairn_commands::{Executed, Expected};
use cairn_core::WebhookEndpointId;
use cairn_notify::{DisableReason, WebhookEndpoint as Endpoint};
use cairn_projections::notify::endpoints as view;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::notify_shapes::{
    WebhookDelivery, WebhookDeliveryDetail, WebhookEndpoint, WebhookEndpointDone, WebhookSecretDone,
};
use super::page::Page;
use super::preview::{Answer, Staged};
use super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::shapes::Nothing;
use super::state::Api;
use super::wish::Wish;
use crate::problem::{Missing, Problem};
use crate::system::new_webhook_secret;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_webhook_endpoints, create_webhook_endpoint))
        .routes(routes!(get_webhook_endpoint, update_webhook_endpoint))
        .routes(routes!(rotate_webhook_secret))
        .routes(routes!(test_webhook_endpoint))
        .routes(routes!(disable_webhook_endpoint))
        .routes(routes!(enable_webhook_endpoint))
        .routes(routes!(delete_webhook_endpoint))
        .routes(routes!(list_webhook_deliveries))
        .routes(routes!(get_webhook_delivery))
        .routes(routes!(resend_webhook_delivery))
}

/// Makes an endpoint. Its secret is told here and never again: who loses it rotates it.
#[utoipa::path(post, path = "/v1/webhook-endpoints", operation_id = "create_webhook_endpoint", tag = "notify",
    request_body = WebhookEndpointBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Made", body = WebhookSecretDone)))]
async fn create_webhook_endpoint(
    State(api): State<Api>,
    wish: Wish<WebhookEndpointBody>,
) -> Result<Done<WebhookSecretDone>, Problem> {
    let WebhookEndpointBody { url, event_types } = wish.body;
    check(&api, Some(&url))?;
    let secret = new_secret()?;
    let organisation_id = wish.caller.organisation_id;
    let input = CreateEndpoint { organisation_id, url, event_types, secret: secret.clone() };
    let done = endpoints::create(&api.commands, &wish.context, input).await?;
    let location = format!("/v1/webhook-endpoints/{}", done.aggregate_id);
    Ok(Done::created(&done, location, WebhookSecretDone::of(&done, secret)))
}

/// Endpoints, newest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints", operation_id = "list_webhook_endpoints", tag = "notify",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<WebhookEndpoint>)))]
async fn list_webhook_endpoints(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<WebhookEndpoint>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let whose = reader.caller.narrowed_to();
    let rows = view::list(&mut *api.read_for(&reader.caller).await?, whose, page.after, page.limit)
        .await?;
    Ok(at.saw(reader.shown(rows, WebhookEndpoint::from)?))
}

/// One endpoint.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint_id}", operation_id = "get_webhook_endpoint", tag = "notify",
    params(("endpoint_id" = String, Path, description = "`whe_…`"), OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = WebhookEndpoint)))]
async fn get_webhook_endpoint(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<WebhookEndpoint>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let row =
        view::get(&mut *api.read_for(&reader.caller).await?, reader.caller.narrowed_to(), &id)
            .await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::WebhookEndpoint))?;
    at.saw_one::<Endpoint, _>(&api, (&id, row.into())).await
}

/// Changes where an endpoint is, or what it is told. What waits goes to the new address.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}", operation_id = "update_webhook_endpoint",
    tag = "notify", request_body = WebhookEndpointChange, security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Changed", body = WebhookEndpointDone)))]
async fn update_webhook_endpoint(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<WebhookEndpointChange>,
) -> Result<Done<WebhookEndpointDone>, Problem> {
    let WebhookEndpointChange { url, event_types } = wish.body.clone();
    check(&api, url.as_deref())?;
    changed(&api, (&id, &wish), Becomes::Update { url, event_types }).await
}

/// Makes a new secret, told here and never again. The old one signs as well until its overlap is over.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/rotate-secret", operation_id = "rotate_webhook_secret",
    tag = "notify", request_body = Option<WebhookRotation>, security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Rotated", body = WebhookSecretDone)))]
async fn rotate_webhook_secret(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<WebhookRotation>,
) -> Result<Done<WebhookSecretDone>, Problem> {
    let overlap = wish.body.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    let overlap = Duration::from_secs(overlap.into());
    let secret = new_secret()?;
    let becomes = Becomes::RotateSecret { secret: secret.clone(), overlap };
    let done = change(&api, (&id, &wish), becomes).await?;
    Ok(Done::ok(&done, WebhookSecretDone::of(&done, secret)))
}

/// Sends `cairn.webhook_endpoint.test_requested.v1` there, whatever it asked for.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/test", operation_id = "test_webhook_endpoint",
    tag = "notify", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 202, description = "It is on its way", body = WebhookEndpointDone)))]
async fn test_webhook_endpoint(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<WebhookEndpointDone>, Problem> {
    let done = change(&api, (&id, &wish), Becomes::Test).await?;
    let location = format!("/v1/webhook-endpoints/{id}/deliveries/{:020}", done.position);
    Ok(Done::accepted(&done, location, WebhookEndpointDone::of(&id)))
}

/// Sends nothing there until it is enabled. What happens meanwhile is not sent later.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/disable", operation_id = "disable_webhook_endpoint",
    tag = "notify", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Disabled", body = WebhookEndpointDone)))]
async fn disable_webhook_endpoint(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<WebhookEndpointDone>, Problem> {
    changed(&api, (&id, &wish), Becomes::Disable(DisableReason::Requested)).await
}

/// Sends there again, and what waited first.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/enable", operation_id = "enable_webhook_endpoint",
    tag = "notify", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Enabled", body = WebhookEndpointDone)))]
async fn enable_webhook_endpoint(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<WebhookEndpointDone>, Problem> {
    changed(&api, (&id, &wish), Becomes::Enable).await
}

/// Deletes an endpoint for good. What waits is not sent.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/delete", operation_id = "delete_webhook_endpoint",
    tag = "notify", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Deleted", body = WebhookEndpointDone)))]
async fn delete_webhook_endpoint(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<Nothing>,
) -> Result<Answer<WebhookEndpointDone>, Problem> {
    let input = (target(&id, &wish)?, Becomes::Delete);
    let done = endpoints::change(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    Ok(Done::ok(&done, WebhookEndpointDone::of(&id)).into())
}

/// Messages to an endpoint in the last 30 days, newest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint_id}/deliveries", operation_id = "list_webhook_deliveries",
    tag = "notify", security(("api_key" = []), ("session" = [])),
    params(("endpoint_id" = String, Path, description = "`whe_…`"), ListQuery),
    responses((status = 200, description = "One page", body = Page<WebhookDelivery>)))]
async fn list_webhook_deliveries(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Page<WebhookDelivery>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let whose = reader.caller.narrowed_to();
    let known = view::get(&mut *api.read_for(&reader.caller).await?, whose, &id).await?;
    known.ok_or_else(|| Problem::missing(Missing::WebhookEndpoint))?;
    let wrong = || Problem::new("cursor_invalid", "give the next_cursor of the page before");
    let before = page.after.map(|after| after.parse().map_err(|_| wrong())).transpose()?;
    let stretch = (before.unwrap_or(i64::MAX), page.limit);
    let rows =
        WebhookDelivery::page(&mut *api.read_for(&reader.caller).await?, (whose, &id), stretch)
            .await?;
    Ok(at.saw(reader.shown(rows, WebhookDelivery::from)?))
}

/// One message, with every attempt.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}",
    operation_id = "get_webhook_delivery", tag = "notify", security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("delivery_id" = String, Path, description = "Its `webhook-id`"),
        OneQuery,
    ),
    responses((status = 200, description = "As it stands", body = WebhookDeliveryDetail)))]
async fn get_webhook_delivery(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path((id, delivery_id)): Path<(String, String)>,
) -> Result<Seen<WebhookDeliveryDetail>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let missing = || Problem::missing(Missing::WebhookDelivery);
    let position = position(&delivery_id).ok_or_else(missing)?;
    let whose = (reader.caller.narrowed_to(), &*id);
    let found =
        WebhookDeliveryDetail::find(&mut *api.read_for(&reader.caller).await?, whose, position)
            .await?;
    Ok(at.saw(found.ok_or_else(missing)?))
}

/// Sends a message once more, whatever came of it. It keeps its `webhook-id`.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/resend",
    operation_id = "resend_webhook_delivery", tag = "notify", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("endpoint_id" = String, Path, description = "`whe_…`"),
        ("delivery_id" = String, Path, description = "Its `webhook-id`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 202, description = "It is on its way", body = WebhookEndpointDone)))]
async fn resend_webhook_delivery(
    State(api): State<Api>,
    Path((id, delivery_id)): Path<(String, String)>,
    wish: Wish<Nothing>,
) -> Result<Done<WebhookEndpointDone>, Problem> {
    let position = position(&delivery_id);
    let position = position.ok_or_else(|| Problem::missing(Missing::WebhookDelivery))?;
    let input = (target(&id, &wish)?, position);
    let done = again::resend(&api.commands, &wish.context, input).await?;
    let location = format!("/v1/webhook-endpoints/{id}/deliveries/{delivery_id}");
    Ok(Done::accepted(&done, location, WebhookEndpointDone::of(&id)))
}

/// How long an old secret signs on when nobody says.
const OVERLAP_SECONDS: u32 = 24 * 3_600;

/// The place in the log that a message's id names.
fn position(delivery_id: &str) -> Option<i64> {
    let digits = delivery_id.len() == 20 && delivery_id.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| delivery_id.parse().ok()).flatten()
}

fn new_secret() -> Result<String, Problem> {
    new_webhook_secret().map_err(|error| Problem::internal(&error.to_string()))
}

/// Whether an address may be called.
fn check(api: &Api, url: Option<&str>) -> Result<(), Problem> {
    let checked = url.map_or(Ok(()), |url| api.webhooks.check(url));
    checked.map_err(|error| Problem::new("webhook_url_refused", error.message))
}

fn target<T>(id: &str, wish: &Wish<T>) -> Result<Change, Problem> {
    let endpoint_id: WebhookEndpointId =
        id.parse().map_err(|_| Problem::missing(Missing::WebhookEndpoint))?;
    let organisation_id = wish.caller.narrowed_to();
    let expected: Expected = wish.expected.clone();
    Ok(Change { organisation_id, endpoint_id, expected })
}

async fn change<T>(
    api: &Api,
    (id, wish): (&str, &Wish<T>),
    becomes: Becomes,
) -> Result<Executed, Problem> {
    let input = (target(id, wish)?, becomes);
    Ok(endpoints::change(&api.commands, &wish.context, input).await?)
}

async fn changed<T>(
    api: &Api,
    wish: (&str, &Wish<T>),
    becomes: Becomes,
) -> Result<Done<WebhookEndpointDone>, Problem> {
    let done = change(api, wish, becomes).await?;
    Ok(Done::ok(&done, WebhookEndpointDone::of(wish.0)))
}

/// An endpoint to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpointBody {
    /// Where to: `https://`, port 443 or 8443, on the public internet.
    #[schema(example = "https://example.org/cairn")]
    url: String,
    /// Types of events, or beginnings of types such as `cairn.allocation.*`. All, also those to come, when empty or absent.
    #[serde(default)]
    event_types: Vec<String>,
}

/// What is to change. What is absent stays as it is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookEndpointChange {
    /// Where to.
    #[schema(example = "https://example.org/cairn")]
    url: Option<String>,
    /// Types of events; all when empty.
    event_types: Option<Vec<String>>,
}

/// How a secret is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRotation {
    /// For how long the old secret signs as well; a day when absent, 30 days at most.
    overlap_seconds: Option<u32>,
}

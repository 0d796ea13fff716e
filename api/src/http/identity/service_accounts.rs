//! Service accounts of the organisation that is acted for: the programs that it knows by name. Their keys are made where keys are.
use axum::extract::{Path, State};
use cairn_commands::Executed;
use cairn_commands::identity::organisations::{self, OnServiceAccount};
use cairn_core::{ServiceAccountId, Timestamp};
use cairn_identity::{Organisation, ServiceAccountWish as Becomes};
use cairn_projections::identity::{organisations as view, service_accounts_query as query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::answer::Done;
use super::super::page::Page;
use super::super::preview::{Answer, Staged};
use super::super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::super::wish::Wish;
use super::{role, seen};
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_service_accounts, create_service_account))
        .routes(routes!(get_service_account, update_service_account))
        .routes(routes!(disable_service_account))
        .routes(routes!(enable_service_account))
        .routes(routes!(remove_service_account))
}

/// An account to make.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccountBody {
    /// How people tell it apart: 1 to 100 characters.
    #[schema(example = "deployments")]
    name: String,
    /// What it may do: `admin`, `finance`, `developer` or `viewer`; not more than one's own role.
    #[schema(example = "developer")]
    role: String,
}

/// What is to change. What is absent stays as it is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccountChange {
    /// How people tell it apart: 1 to 100 characters.
    #[schema(example = "deployments")]
    name: Option<String>,
    /// What it may do from now on, and all of its keys with it.
    #[schema(example = "viewer")]
    role: Option<String>,
}

/// A service account.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceAccount {
    /// `sa_…`
    service_account_id: String,
    /// How people tell it apart.
    name: String,
    /// What it may do.
    role: String,
    /// RFC 3339.
    created_at: String,
    /// Since when its keys open nothing, RFC 3339; absent while they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
    /// When one of its keys was last used, RFC 3339, to the minute; absent when none ever was.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

impl From<query::ServiceAccount> for ServiceAccount {
    fn from(row: query::ServiceAccount) -> Self {
        let text = |at: Option<cairn_projections::At>| at.map(|at| Timestamp::from(at).to_string());
        Self {
            service_account_id: row.service_account_id,
            name: row.name,
            role: row.role,
            created_at: Timestamp::from(row.added_at).to_string(),
            disabled_at: text(row.disabled_at),
            last_used_at: text(row.last_used_at),
        }
    }
}

/// Which account it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceAccountDone {
    /// `sa_…`
    service_account_id: String,
}

impl ServiceAccountDone {
    fn of(done: &Executed) -> Self {
        let id = done.result["service_account_id"].as_str().unwrap_or_default();
        Self { service_account_id: id.to_owned() }
    }
}

/// Makes a service account. It has no key yet: `POST /v1/keys` makes its keys.
#[utoipa::path(post, path = "/v1/service-accounts", operation_id = "create_service_account", tag = "identity",
    request_body = ServiceAccountBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Made", body = ServiceAccountDone)))]
async fn create_service_account(
    State(api): State<Api>,
    wish: Wish<ServiceAccountBody>,
) -> Result<Done<ServiceAccountDone>, Problem> {
    let ServiceAccountBody { name, role: wanted } = wish.body.clone();
    let add = Becomes::Add { name, role: role(&wanted)? };
    let id = ServiceAccountId::from_bits(api.commands.ids.next());
    let done = change(&api, (id, &wish), add).await?;
    let made = ServiceAccountDone::of(&done);
    let location = format!("/v1/service-accounts/{}", made.service_account_id);
    Ok(Done::created(&done, location, made))
}

/// The organisation's service accounts, disabled ones included.
#[utoipa::path(get, path = "/v1/service-accounts", operation_id = "list_service_accounts", tag = "identity",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page, newest first", body = Page<ServiceAccount>)))]
async fn list_service_accounts(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<ServiceAccount>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let own = reader.caller.organisation_id;
    let rows =
        query::list(&mut *api.read_for(&reader.caller).await?, own, page.after, page.limit).await?;
    Ok(at.saw(reader.shown(rows, ServiceAccount::from)?))
}

/// One service account. It is a part of its organisation, and so is its version: whatever else changes there makes another one.
#[utoipa::path(get, path = "/v1/service-accounts/{service_account_id}", operation_id = "get_service_account",
    tag = "identity", security(("api_key" = []), ("session" = [])),
    params(("service_account_id" = String, Path, description = "`sa_…`"), OneQuery),
    responses((status = 200, description = "As it stands", body = ServiceAccount)))]
async fn get_service_account(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<ServiceAccount>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let own = reader.caller.organisation_id;
    let row = query::get(&mut *api.read_for(&reader.caller).await?, own, &id).await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::ServiceAccount))?;
    at.saw_one::<Organisation, _>(&api, (&own.to_string(), row.into())).await
}

/// Gives a service account another name or another role, which all of its keys have at once.
#[utoipa::path(post, path = "/v1/service-accounts/{service_account_id}", operation_id = "update_service_account",
    tag = "identity", request_body = ServiceAccountChange, security(("api_key" = []), ("session" = [])),
    params(
        ("service_account_id" = String, Path, description = "`sa_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Changed", body = ServiceAccountDone)))]
async fn update_service_account(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<ServiceAccountChange>,
) -> Result<Done<ServiceAccountDone>, Problem> {
    let ServiceAccountChange { name, role: wanted } = wish.body.clone();
    let becomes = Becomes::Update { name, role: wanted.as_deref().map(role).transpose()? };
    changed(&api, (&id, &wish), becomes).await
}

/// Shuts all keys of a service account until it is enabled; streams that they hold open end.
#[utoipa::path(post, path = "/v1/service-accounts/{service_account_id}/disable", operation_id = "disable_service_account",
    tag = "identity", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("service_account_id" = String, Path, description = "`sa_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Disabled", body = ServiceAccountDone)))]
async fn disable_service_account(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<ServiceAccountDone>, Problem> {
    changed(&api, (&id, &wish), Becomes::Disable).await
}

/// Lets the keys of a service account open again, but for those that were revoked or have expired.
#[utoipa::path(post, path = "/v1/service-accounts/{service_account_id}/enable", operation_id = "enable_service_account",
    tag = "identity", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("service_account_id" = String, Path, description = "`sa_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Enabled", body = ServiceAccountDone)))]
async fn enable_service_account(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<ServiceAccountDone>, Problem> {
    changed(&api, (&id, &wish), Becomes::Enable).await
}

/// Removes a service account for good: all of its keys are as if they were revoked.
#[utoipa::path(post, path = "/v1/service-accounts/{service_account_id}/remove", operation_id = "remove_service_account",
    tag = "identity", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("service_account_id" = String, Path, description = "`sa_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Removed", body = ServiceAccountDone)))]
async fn remove_service_account(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<Nothing>,
) -> Result<Answer<ServiceAccountDone>, Problem> {
    let id = parse(&id)?;
    let input = input((id, &wish), Becomes::Remove);
    let done = organisations::service_account(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    forget(&api, (id, &done)).await;
    Ok(Done::ok(&done, ServiceAccountDone::of(&done)).into())
}

async fn changed<T>(
    api: &Api,
    (id, wish): (&str, &Wish<T>),
    becomes: Becomes,
) -> Result<Done<ServiceAccountDone>, Problem> {
    let done = change(api, (parse(id)?, wish), becomes).await?;
    Ok(Done::ok(&done, ServiceAccountDone::of(&done)))
}

/// What is no id names nothing.
fn parse(id: &str) -> Result<ServiceAccountId, Problem> {
    id.parse().map_err(|_| Problem::missing(Missing::ServiceAccount))
}

async fn change<T>(
    api: &Api,
    (service_account_id, wish): (ServiceAccountId, &Wish<T>),
    becomes: Becomes,
) -> Result<Executed, Problem> {
    let input = input((service_account_id, wish), becomes);
    let done = organisations::service_account(&api.commands, &wish.context, input).await?;
    forget(api, (service_account_id, &done)).await;
    Ok(done)
}

fn input<T>(
    (service_account_id, wish): (ServiceAccountId, &Wish<T>),
    becomes: Becomes,
) -> OnServiceAccount {
    let organisation = (wish.caller.organisation_id, wish.expected.clone());
    let by = wish.caller.role;
    OnServiceAccount { organisation, service_account_id, wish: becomes, by }
}

/// What it may do has changed.
async fn forget(api: &Api, (service_account_id, done): (ServiceAccountId, &Executed)) {
    seen(api, view::NAME, done.position).await;
    api.directory.forget_service_account(service_account_id);
}

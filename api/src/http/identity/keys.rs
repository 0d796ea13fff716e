//! API keys of the organisation that is acted for: each is shown once.
use axum::extract::{Path, State};
use cairn_commands::identity::{self, AccountKey, CreateKey, RevokeKey, RotateKey, keys::Rotated};
use cairn_core::{ApiKeyId, IdError, ServiceAccountId, Timestamp};
use cairn_identity::Role;
use cairn_projections::identity::api_keys;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::answer::Done;
use super::super::page::Page;
use super::super::preview::{Answer, Staged};
use super::super::reader::{AsksPage, AsksPosition, OneQuery, Reader, Seen};
use super::super::state::Api;
use super::super::wish::Wish;
use super::{new_key, open, role, seen};
use crate::auth::{ApiKeySecret, Caller, Who, table};
use crate::problem::{FieldError, Missing, Problem};

/// How long an old key works on beside its successor when nothing is said: a day.
const OVERLAP_SECS: i64 = 24 * 3_600;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_keys, create_key))
        .routes(routes!(get_key))
        .routes(routes!(rotate_key))
        .routes(routes!(revoke_key))
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBody {
    /// How people tell it apart: 1 to 100 characters.
    #[schema(example = "ci")]
    name: String,
    /// What its holder may do; not more than one's own role. A service account's key has the role of the account, and none is said.
    #[schema(example = "developer")]
    role: Option<String>,
    /// `sa_…`: the service account that it is to be; it is the organisation's when absent.
    service_account_id: Option<String>,
    /// What of it, as `compute:read` or `payments:write`; all of it when absent.
    #[serde(default)]
    scopes: Vec<String>,
    /// For how many seconds it works; until it is revoked when absent.
    expires_in_seconds: Option<u32>,
}

/// How a key is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    /// For how many seconds the old key works on; a day when absent.
    overlap_seconds: Option<u32>,
    /// For how many seconds the new key works; until it is revoked when absent.
    expires_in_seconds: Option<u32>,
}

/// Why a key is revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// For the audit trail.
    #[schema(example = "leaked")]
    reason: String,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyMade {
    /// `key_…`
    key_id: String,
    /// The key itself. Shown only now: absent when the same wish is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// When the key that it replaces ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_expires_at: Option<String>,
}

/// Which key it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyDone {
    /// `key_…`
    key_id: String,
}

/// A key, without what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    /// `key_…`
    key_id: String,
    /// How people tell it apart.
    name: String,
    /// What its holder may do; of a service account's key what the account may now.
    role: String,
    /// What of it; all of it when there is none.
    scopes: Vec<String>,
    /// `user_…`, whom it stands for while they belong to the organisation in its role; absent when it is the organisation's.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// `sa_…`, the service account that it is; absent when it is none's.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_id: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339, to the minute; absent when it was never used.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
    /// RFC 3339; absent when it works until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// The key that takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
    /// Since when it opens nothing, as it was revoked or its service account removed, RFC 3339; absent while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

impl From<api_keys::ApiKey> for Key {
    fn from(row: api_keys::ApiKey) -> Self {
        let text = |at: Option<cairn_projections::At>| at.map(|at| Timestamp::from(at).to_string());
        Self {
            key_id: row.key_id,
            name: row.name,
            role: row.role,
            scopes: row.scopes,
            user_id: row.user_id,
            service_account_id: row.service_account_id,
            created_at: Timestamp::from(row.created_at).to_string(),
            last_used_at: text(row.last_used_at),
            expires_at: text(row.expires_at),
            successor: row.successor,
            revoked_at: text(row.revoked_at),
        }
    }
}

/// Query of keys.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeysQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items per page, 1 to 200, 50 when absent.
    pub limit: Option<i64>,
    /// Only keys of this service account: `sa_…`.
    pub service_account_id: Option<String>,
}

impl AsksPosition for KeysQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }

    fn filter(&self) -> String {
        self.service_account_id.clone().unwrap_or_default()
    }
}

impl AsksPage for KeysQuery {
    fn page(&self) -> (Option<&str>, Option<i64>) {
        (self.cursor.as_deref(), self.limit)
    }
}

/// The organisation's keys.
#[utoipa::path(get, path = "/v1/keys", operation_id = "list_keys", tag = "identity",
    params(KeysQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page, newest first", body = Page<Key>)))]
async fn list_keys(
    State(api): State<Api>,
    reader: Reader<KeysQuery>,
) -> Result<Seen<Page<Key>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, api_keys::NAME).await?;
    let account = reader.query.service_account_id.as_deref().map(str::parse).transpose();
    let account =
        account.map_err(|error: IdError| Problem::new("query_invalid", error.to_string()))?;
    let which = (Some(reader.caller.organisation_id), account);
    let rows =
        api_keys::list(&mut *api.read_for(&reader.caller).await?, which, page.after, page.limit)
            .await?;
    Ok(at.saw(reader.shown(rows, Key::from)?))
}

/// One key.
#[utoipa::path(get, path = "/v1/keys/{key_id}", operation_id = "get_key", tag = "identity",
    params(("key_id" = String, Path, description = "`key_…`"), OneQuery),
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = Key)))]
async fn get_key(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Key>, Problem> {
    let at = reader.reach(&api, api_keys::NAME).await?;
    let row = own_key(&api, &reader.caller, &id).await?;
    at.saw_one::<cairn_identity::ApiKey, _>(&api, (&id, row.into())).await
}

async fn own_key(api: &Api, caller: &Caller, id: &str) -> Result<api_keys::ApiKey, Problem> {
    let row =
        api_keys::get(&mut *api.read_for(caller).await?, Some(caller.organisation_id), id).await?;
    row.ok_or_else(|| Problem::missing(Missing::Key))
}

/// Makes a key: one of the organisation's, with a role, or one of a service account.
#[utoipa::path(post, path = "/v1/keys", operation_id = "create_key", tag = "identity",
    request_body = KeyBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Made; the key is shown only now", body = KeyMade)))]
async fn create_key(State(api): State<Api>, wish: Wish<KeyBody>) -> Result<Done<KeyMade>, Problem> {
    let KeyBody { name, role: wanted, service_account_id, scopes, expires_in_seconds } = wish.body;
    super::scopes(&scopes)?;
    within(&api, &wish.caller, &scopes).await?;
    let (secret, organisation_id) = (new_key(&api)?, wish.caller.organisation_id);
    let secret_sha256 = secret.sha256();
    let expires_at = expires_in_seconds.map(|span| after(&api, i64::from(span)));
    let done = match stands_for(wanted, service_account_id)? {
        StandsFor::Organisation(wanted) => {
            let role = given(&wish.caller, wanted)?;
            let holder = None;
            let input = CreateKey {
                organisation_id,
                role,
                scopes,
                name,
                secret_sha256,
                holder,
                expires_at,
            };
            identity::create_key(&api.commands, &wish.context, input).await?
        }
        // Whoever makes keys may give every role that an account has: none is an owner.
        StandsFor::Account(service_account_id) => {
            let input = AccountKey {
                organisation_id,
                service_account_id,
                scopes,
                name,
                secret_sha256,
                expires_at,
            };
            identity::create_account_key(&api.commands, &wish.context, input).await?
        }
    };
    seen(&api, api_keys::NAME, done.position).await;
    let (key_id, key) = (done.aggregate_id.clone(), shown(&secret, done.replayed));
    let location = format!("/v1/keys/{key_id}");
    Ok(Done::created(&done, location, KeyMade { key_id, key, old_expires_at: None }))
}

/// What a key is to stand for.
enum StandsFor {
    Organisation(Role),
    Account(ServiceAccountId),
}

/// Reads which of the two is said.
fn stands_for(wanted: Option<String>, account: Option<String>) -> Result<StandsFor, Problem> {
    let wrong = |pointer: &str, detail: String| {
        Problem::invalid(vec![FieldError::new(pointer, "body_invalid", detail)])
    };
    match (wanted, account) {
        (Some(wanted), None) => Ok(StandsFor::Organisation(role(&wanted)?)),
        (None, Some(account)) => {
            let read = account.parse().map(StandsFor::Account);
            read.map_err(|error: IdError| wrong("/service_account_id", error.to_string()))
        }
        (None, None) => {
            let detail = "say the role of the key, or the service account that it is to be";
            Err(wrong("/role", detail.to_owned()))
        }
        (Some(_), Some(_)) => {
            let detail =
                "a service account's key has the role of the account: say only one of both";
            Err(wrong("/role", detail.to_owned()))
        }
    }
}

/// A key is made once, and shown once.
fn shown(secret: &ApiKeySecret, replayed: bool) -> Option<String> {
    (!replayed).then(|| secret.expose().to_owned())
}

fn after(api: &Api, seconds: i64) -> Timestamp {
    api.commands.clock.now().plus_secs(seconds)
}

/// A role that the caller may give to a key.
fn given(caller: &Caller, wanted: Role) -> Result<Role, Problem> {
    if caller.role.may_give(wanted) {
        return Ok(wanted);
    }
    let detail = format!("the role {} gives no key the role {}", caller.role.name(), wanted.name());
    Err(Problem::new("role_too_high", detail))
}

/// Whoever comes with a key of some scopes makes none that may do more.
async fn within(api: &Api, caller: &Caller, scopes: &[String]) -> Result<(), Problem> {
    let (Who::Key(key_id) | Who::Service(_, key_id)) = caller.who else { return Ok(()) };
    let own = own_key(api, caller, &key_id.to_string()).await?.scopes;
    if table::scopes_reach(&own, scopes) {
        return Ok(());
    }
    let detail = format!("a key with only the scopes {} gives no others to a key", own.join(", "));
    Err(Problem::new("scope_missing", detail))
}

/// Makes a key like another, which works on for a while.
#[utoipa::path(post, path = "/v1/keys/{key_id}/rotate", operation_id = "rotate_key", tag = "identity",
    request_body = RotateBody, security(("api_key" = []), ("session" = [])),
    params(
        ("key_id" = String, Path, description = "`key_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 201, description = "Made; the key is shown only now", body = KeyMade)))]
async fn rotate_key(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<RotateBody>,
) -> Result<Done<KeyMade>, Problem> {
    let old = own_key(&api, &wish.caller, &id).await?;
    if old.revoked_at.is_some() {
        return Err(Problem::new("api_key_revoked", "it was revoked: make a new key"));
    }
    let known = Role::named(&old.role).ok_or_else(|| Problem::internal("a key has no role"))?;
    let holder = old.holder().map_err(|_| Problem::internal("a key has no holder"))?;
    within(&api, &wish.caller, &old.scopes).await?;
    let secret = new_key(&api)?;
    let erased = || Problem::new("subject_erased", "whose it was is erased");
    let successor = CreateKey {
        organisation_id: wish.caller.organisation_id,
        role: given(&wish.caller, known)?,
        scopes: old.scopes,
        name: open(&api, &old.name).await?.ok_or_else(erased)?,
        secret_sha256: secret.sha256(),
        holder,
        expires_at: wish.body.expires_in_seconds.map(|span| after(&api, i64::from(span))),
    };
    let over = after(&api, wish.body.overlap_seconds.map_or(OVERLAP_SECS, i64::from));
    let ends_at = old.expires_at.map_or(over, |known| Timestamp::from(known).min(over));
    let key_id = parse(&id)?;
    let input = RotateKey { key_id, successor, ends_at };
    let Rotated { made, ended } = identity::rotate_key(&api.commands, &wish.context, input).await?;
    let ended = ended?;
    seen(&api, api_keys::NAME, ended.position.max(made.position)).await;
    api.directory.forget_key(key_id);
    let (key_id, key) = (made.aggregate_id.clone(), shown(&secret, made.replayed));
    let old_expires_at = (!made.replayed).then(|| ends_at.to_string());
    let location = format!("/v1/keys/{key_id}");
    Ok(Done::created(&made, location, KeyMade { key_id, key, old_expires_at }))
}

/// Revokes a key, for ever.
#[utoipa::path(post, path = "/v1/keys/{key_id}/revoke", operation_id = "revoke_key", tag = "identity",
    request_body = RevokeBody, security(("api_key" = []), ("session" = [])),
    params(
        ("key_id" = String, Path, description = "`key_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It opens nothing", body = KeyDone)))]
async fn revoke_key(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<RevokeBody>,
) -> Result<Answer<KeyDone>, Problem> {
    own_key(&api, &wish.caller, &id).await?;
    let key_id = parse(&id)?;
    let input = RevokeKey { key_id, reason: wish.body.reason };
    let done = identity::revoke_key(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    seen(&api, api_keys::NAME, done.position).await;
    api.directory.forget_key(key_id);
    Ok(Done::ok(&done, KeyDone { key_id: id }).into())
}

/// What is no id names nothing.
fn parse(id: &str) -> Result<ApiKeyId, Problem> {
    id.parse().map_err(|_| Problem::missing(Missing::Key))
}

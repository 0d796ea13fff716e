//! The second factor: one-time passwords of a device, and codes for when it is lost.
use axum::Json;
use axum::extract::State;
use cairn_commands::CommandContext;
use cairn_commands::identity::people;
use cairn_projections::identity::{people as people_view, people_query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::own::OwnOnce;
use super::super::shapes::Nothing;
use super::super::state::Api;
use super::people::{UserDone, user_id};
use super::sessions::own_user;
use super::{new_secret, open, seen};
use crate::auth::one_time;
use crate::auth::secret::Recovery;
use crate::problem::Problem;

/// Codes that are shown at once.
const RECOVERY_CODES: usize = 10;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(begin_totp))
        .routes(routes!(confirm_totp))
        .routes(routes!(remove_totp))
}

/// A secret to share with a device. Shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotpBegun {
    /// Base 32.
    secret: String,
    /// What the device scans: `otpauth://…`
    address: String,
}

/// What the device shows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmBody {
    /// Six digits.
    #[schema(example = "287082")]
    one_time_password: String,
}

/// One-time passwords are in use.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotpConfirmed {
    /// Each opens the account once without the device. Shown only now.
    recovery_codes: Vec<String>,
}

/// Begins to share a secret with a device. Nothing is demanded until it is confirmed.
#[utoipa::path(post, path = "/v1/totp", operation_id = "begin_totp", tag = "identity",
    request_body = Option<Nothing>, security(("session" = [])),
    responses((status = 200, description = "To be scanned", body = TotpBegun)))]
async fn begin_totp(
    State(api): State<Api>,
    OwnOnce { person, context, .. }: OwnOnce<Nothing>,
) -> Result<Json<TotpBegun>, Problem> {
    let known = own_user(&api, person).await?;
    let secret = one_time::new_secret()?;
    let begun = people::begin_totp(&api.commands, &context, person.user_id, secret.clone());
    let done = begun.await?;
    seen(&api, people_view::NAME, done.position).await;
    let email = open(&api, &known.email).await?.unwrap_or_default();
    Ok(Json(TotpBegun { address: one_time::address(&secret, &email), secret }))
}

/// Proves that the device has the secret. From then on every sign-in needs a one-time password.
#[utoipa::path(post, path = "/v1/totp/confirm", operation_id = "confirm_totp", tag = "identity",
    request_body = ConfirmBody, security(("session" = [])),
    responses((status = 200, description = "In use", body = TotpConfirmed)))]
async fn confirm_totp(
    State(api): State<Api>,
    OwnOnce { person, context, body }: OwnOnce<ConfirmBody>,
) -> Result<Json<TotpConfirmed>, Problem> {
    let known = own_user(&api, person).await?;
    let step = shown(&api, &context, (&known, &body.one_time_password)).await?;
    let codes = (0..RECOVERY_CODES).map(|_| new_secret::<Recovery>());
    let codes = codes.collect::<Result<Vec<_>, _>>()?;
    let hashes = codes.iter().map(crate::auth::Secret::sha256).collect();
    let confirmed = (step, hashes);
    let done = people::confirm_totp(&api.commands, &context, person.user_id, confirmed).await?;
    seen(&api, people_view::NAME, done.position).await;
    let recovery_codes = codes.iter().map(|code| code.expose().to_owned()).collect();
    Ok(Json(TotpConfirmed { recovery_codes }))
}

/// Demands one-time passwords no longer.
#[utoipa::path(post, path = "/v1/totp/remove", operation_id = "remove_totp", tag = "identity",
    request_body = ConfirmBody, security(("session" = [])),
    responses((status = 200, description = "Removed", body = UserDone)))]
async fn remove_totp(
    State(api): State<Api>,
    OwnOnce { person, context, body }: OwnOnce<ConfirmBody>,
) -> Result<Json<UserDone>, Problem> {
    let known = own_user(&api, person).await?;
    shown(&api, &context, (&known, &body.one_time_password)).await?;
    let done = people::remove_totp(&api.commands, &context, person.user_id).await?;
    seen(&api, people_view::NAME, done.position).await;
    Ok(Json(UserDone::of(person)))
}

/// The step of a one-time password that the device shows now. One that is none counts as a failure to prove oneself.
async fn shown(
    api: &Api,
    context: &CommandContext,
    (known, password): (&people_query::User, &str),
) -> Result<u64, Problem> {
    let begin = || Problem::new("totp_not_begun", "there is no secret to prove: begin first");
    let secret = known.totp_secret.as_deref().ok_or_else(begin)?;
    let secret = open(api, secret).await?.ok_or_else(begin)?;
    match one_time::step(&secret, password, api.commands.clock.now()) {
        Ok(step) => Ok(step),
        Err(problem) => {
            people::fail_sign_in(&api.commands, context, user_id(known)?).await?;
            Err(problem)
        }
    }
}

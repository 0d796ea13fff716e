//! What an organisation pays with: methods that the payment provider keeps, so that they can be charged without anybody being there.
use axum::extract::{Extension, Path, State};
use cairn_commands::payments::{self, MethodWish, RequestMethod};
use cairn_core::PaymentMethodId;
use cairn_payments::{Method, MethodDetails, MethodStatus, PaymentMethods};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::payments::{ClientSecret, is_method};
use super::preview::{Answer, Staged};
use super::shapes::Nothing;
use super::state::Api;
use super::wish::Wish;
use crate::auth::Caller;
use crate::problem::{FieldError, Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_payment_methods, create_payment_method))
        .routes(routes!(get_payment_method))
        .routes(routes!(get_payment_method_secret))
        .routes(routes!(prefer_payment_method))
        .routes(routes!(remove_payment_method))
}

/// Has a payment method kept. Without one in the body, the customer chooses it in the browser with the client secret.
#[utoipa::path(post, path = "/v1/payment-methods", operation_id = "create_payment_method", tag = "payments",
    request_body = PaymentMethodBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "The provider will be asked", body = PaymentMethodDone)))]
async fn create_payment_method(
    State(api): State<Api>,
    wish: Wish<PaymentMethodBody>,
) -> Result<Done<PaymentMethodDone>, Problem> {
    let payment_method = wish.body.payment_method;
    if payment_method.as_deref().is_some_and(|method| !is_method(method)) {
        let detail = "a payment method is 1 to 100 letters, digits and '_'";
        let error = FieldError::new("/payment_method", "body_invalid", detail);
        return Err(Problem::invalid(vec![error]));
    }
    let organisation_id = wish.caller.organisation_id;
    let input = RequestMethod { organisation_id, payment_method };
    let done = payments::request_method(&api.commands, &wish.context, input).await?;
    let body = PaymentMethodDone::of(&done.result);
    let location = format!("/v1/payment-methods/{}", body.payment_method_id);
    Ok(Done::created(&done, location, body).without_version())
}

/// The organisation's payment methods, oldest first: those that are kept or about to be, and the last few that were refused.
#[utoipa::path(get, path = "/v1/payment-methods", operation_id = "list_payment_methods", tag = "payments",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "All of them", body = PaymentMethodList)))]
async fn list_payment_methods(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<PaymentMethodList>, Problem> {
    let methods = payments::methods(&api.commands.executor, caller.organisation_id).await?;
    let items = methods.shown().map(|method| PaymentMethod::of(&methods, method)).collect();
    Ok(axum::Json(PaymentMethodList { items }))
}

/// One payment method.
#[utoipa::path(get, path = "/v1/payment-methods/{payment_method_id}", operation_id = "get_payment_method",
    tag = "payments", security(("api_key" = []), ("session" = [])),
    params(("payment_method_id" = String, Path, description = "`method_…`")),
    responses((status = 200, description = "As it stands", body = PaymentMethod)))]
async fn get_payment_method(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<PaymentMethod>, Problem> {
    let (methods, method) = own(&api, &caller, &id).await?;
    Ok(axum::Json(PaymentMethod::of(&methods, &method)))
}

/// What the customer's browser needs to choose a payment method at the provider. Never stored.
#[utoipa::path(get, path = "/v1/payment-methods/{payment_method_id}/client-secret",
    operation_id = "get_payment_method_secret", tag = "payments",
    security(("api_key" = []), ("session" = [])),
    params(("payment_method_id" = String, Path, description = "`method_…`")),
    responses((status = 200, description = "The secret", body = ClientSecret)))]
async fn get_payment_method_secret(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<ClientSecret>, Problem> {
    let (_, method) = own(&api, &caller, &id).await?;
    let setup_id = method.setup_id.ok_or_else(|| {
        let detail = "the provider does not know of it yet; ask again";
        Problem::new("payment_method_in_wrong_state", detail)
    })?;
    let client_secret = api.payments.setup_secret(&setup_id).await?;
    Ok(axum::Json(ClientSecret { client_secret }))
}

/// Makes a payment method the one that is charged where none is named.
#[utoipa::path(post, path = "/v1/payment-methods/{payment_method_id}/default",
    operation_id = "prefer_payment_method", tag = "payments", request_body = Option<Nothing>,
    security(("api_key" = []), ("session" = [])),
    params(
        ("payment_method_id" = String, Path, description = "`method_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "So it is", body = PaymentMethodDone)))]
async fn prefer_payment_method(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<Nothing>,
) -> Result<Done<PaymentMethodDone>, Problem> {
    let input = (wish.caller.organisation_id, named(&id)?, MethodWish::Default);
    let done = payments::change_method(&api.commands, &wish.context, input).await?;
    Ok(Done::ok(&done, PaymentMethodDone::of(&done.result)).without_version())
}

/// Removes a payment method: it is charged no more, and the provider keeps it no more. What was paid with it stays paid.
#[utoipa::path(post, path = "/v1/payment-methods/{payment_method_id}/remove",
    operation_id = "remove_payment_method", tag = "payments", request_body = Option<Nothing>,
    security(("api_key" = []), ("session" = [])),
    params(
        ("payment_method_id" = String, Path, description = "`method_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Removed", body = PaymentMethodDone)))]
async fn remove_payment_method(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<Nothing>,
) -> Result<Answer<PaymentMethodDone>, Problem> {
    let input = (wish.caller.organisation_id, named(&id)?, MethodWish::Removed);
    let done = payments::change_method(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.without_version().into());
    }
    Ok(Done::ok(&done, PaymentMethodDone::of(&done.result)).without_version().into())
}

/// A method as the log has it, if it is the caller's.
async fn own(api: &Api, caller: &Caller, id: &str) -> Result<(PaymentMethods, Method), Problem> {
    let id = named(id)?;
    let methods = payments::methods(&api.commands.executor, caller.organisation_id).await?;
    let found = methods.shown().find(|method| method.method_id == id).cloned();
    let found = found.ok_or_else(|| Problem::missing(Missing::PaymentMethod))?;
    Ok((methods, found))
}

/// The method that a path or a body names.
pub(super) fn named(id: &str) -> Result<PaymentMethodId, Problem> {
    id.parse().map_err(|_| Problem::missing(Missing::PaymentMethod))
}

/// What to pay with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentMethodBody {
    /// The provider's payment method, from its element in the browser; without it the customer chooses one with the client secret.
    #[schema(example = "pm_card_visa")]
    payment_method: Option<String>,
}

/// Something was done with a payment method.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentMethodDone {
    /// `method_…`
    payment_method_id: String,
}

impl PaymentMethodDone {
    fn of(result: &serde_json::Value) -> Self {
        let id = result["payment_method_id"].as_str().unwrap_or_default();
        Self { payment_method_id: id.to_owned() }
    }
}

/// An organisation's payment methods.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentMethodList {
    /// Oldest first.
    items: Vec<PaymentMethod>,
}

/// A payment method as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentMethod {
    /// `method_…`
    payment_method_id: String,
    /// `requested`, `pending`, `saved` or `failed`. Only what is saved is charged.
    status: String,
    /// Whether it is charged where none is named.
    is_default: bool,
    /// The provider's word for what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "card")]
    kind: Option<String>,
    /// Of a card its brand, of an account its bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "visa")]
    brand: Option<String>,
    /// Its last characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4242")]
    last4: Option<String>,
    /// Of a card the month after which it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2031-04")]
    expires: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_code: Option<String>,
    /// Why it failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_message: Option<String>,
    /// RFC 3339.
    requested_at: String,
}

impl PaymentMethod {
    fn of(methods: &PaymentMethods, method: &Method) -> Self {
        let (failure_code, failure_message) = method.failure.clone().unzip();
        let (kind, brand, last4, expires) = match method.details.clone() {
            Some(MethodDetails { kind, brand, last4, expires }) => {
                (Some(kind), Some(brand), Some(last4), expires)
            }
            None => (None, None, None, None),
        };
        let status = match method.status {
            MethodStatus::Requested => "requested",
            MethodStatus::Pending => "pending",
            MethodStatus::Saved => "saved",
            MethodStatus::Failed => "failed",
            MethodStatus::Removed => "removed",
        };
        Self {
            payment_method_id: method.method_id.to_string(),
            status: status.to_owned(),
            is_default: methods.default_id == Some(method.method_id),
            kind,
            brand,
            last4,
            expires,
            failure_code,
            failure_message,
            requested_at: method.requested_at.to_string(),
        }
    }
}

//! Payments: top-ups through the provider, and true refunds against them.
use axum::extract::{Path, State};
use cairn_commands::payments::{self, RequestKeptTopUp, RequestRefund, RequestTopUp};
use cairn_core::{OrganisationId, PaymentId};
use cairn_payments::Payment;
use cairn_projections::payments::{payments as payment_view, refunds as refund_view};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::money;
use super::page::Page;
use super::payment_methods;
use super::preview::{Answer, Staged};
use super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::state::Api;
use crate::auth::Caller;
use crate::problem::{FieldError, Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(create_top_up, list_top_ups))
        .routes(routes!(get_top_up))
        .routes(routes!(get_top_up_secret))
        .routes(routes!(create_refund, list_refunds))
        .routes(routes!(get_refund))
}

/// Pays money in.
#[utoipa::path(post, path = "/v1/top-ups", operation_id = "create_top_up", tag = "payments",
    request_body = TopUpBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "The provider will be asked", body = TopUpRequested)))]
async fn create_top_up(
    State(api): State<Api>,
    Staged { wish, stage }: Staged<TopUpBody>,
) -> Result<Answer<TopUpRequested>, Problem> {
    let commands = stage.commands(&api);
    let done = match wish.body.input(wish.caller.organisation_id)? {
        With::Anything(input) => payments::request_top_up(commands, &wish.context, input).await?,
        With::Kept(input) => payments::request_kept_top_up(commands, &wish.context, input).await?,
    };
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    let body = TopUpRequested::of(&done.aggregate_id);
    Ok(Done::created(&done, format!("/v1/top-ups/{}", done.aggregate_id), body).into())
}

/// Top-ups, newest first.
#[utoipa::path(get, path = "/v1/top-ups", operation_id = "list_top_ups", tag = "payments",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<TopUp>)))]
async fn list_top_ups(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<TopUp>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, payment_view::NAME).await?;
    let organisation = reader.caller.narrowed_to();
    let rows = payment_view::list(
        &mut *api.read_for(&reader.caller).await?,
        organisation,
        page.after,
        page.limit,
    )
    .await?;
    Ok(at.saw(reader.shown(rows, TopUp::from)?))
}

/// One top-up.
#[utoipa::path(get, path = "/v1/top-ups/{top_up_id}", operation_id = "get_top_up", tag = "payments",
    params(("top_up_id" = String, Path, description = "`pay_…`"), OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = TopUp)))]
async fn get_top_up(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<TopUp>, Problem> {
    let at = reader.reach(&api, payment_view::NAME).await?;
    let row = payment_view::get(
        &mut *api.read_for(&reader.caller).await?,
        reader.caller.narrowed_to(),
        &id,
    )
    .await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Payment))?;
    at.saw_one::<Payment, _>(&api, (&id, row.into())).await
}

/// What the customer's browser needs to confirm a top-up at the provider. Never stored.
#[utoipa::path(get, path = "/v1/top-ups/{top_up_id}/client-secret", operation_id = "get_top_up_secret",
    tag = "payments", security(("api_key" = []), ("session" = [])),
    params(("top_up_id" = String, Path, description = "`pay_…`"), OneQuery),
    responses((status = 200, description = "The secret", body = ClientSecret)))]
async fn get_top_up_secret(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<ClientSecret>, Problem> {
    let at = reader.reach(&api, payment_view::NAME).await?;
    let payment = own_payment(&api, &reader.caller, &id).await?;
    let provider_id = payment.provider_id.ok_or_else(|| {
        Problem::new("payment_in_wrong_state", "the provider does not know of it yet; ask again")
    })?;
    let client_secret = api.payments.client_secret(&provider_id).await?;
    Ok(at.saw(ClientSecret { client_secret }))
}

/// Gives money back to the card it came from. The wallet is reduced at once; a failed refund returns it.
#[utoipa::path(post, path = "/v1/refunds", operation_id = "create_refund", tag = "payments",
    request_body = RefundBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "The provider will be asked", body = RefundRequested)))]
async fn create_refund(
    State(api): State<Api>,
    Staged { wish, stage }: Staged<RefundBody>,
) -> Result<Answer<RefundRequested>, Problem> {
    let input = wish.body.input(&wish.caller)?;
    let done = payments::request_refund(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.without_version().into());
    }
    let body = RefundRequested::of(&done.result);
    let location = format!("/v1/refunds/{}", body.refund_id);
    Ok(Done::created(&done, location, body).without_version().into())
}

/// Refunds, newest first.
#[utoipa::path(get, path = "/v1/refunds", operation_id = "list_refunds", tag = "payments",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<Refund>)))]
async fn list_refunds(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<Refund>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, refund_view::NAME).await?;
    let organisation = reader.caller.narrowed_to();
    let filter = refund_view::Filter { organisation, payment_id: None };
    let rows = refund_view::list(
        &mut *api.read_for(&reader.caller).await?,
        filter,
        page.after,
        page.limit,
    )
    .await?;
    Ok(at.saw(reader.shown(rows, Refund::from)?))
}

/// One refund.
#[utoipa::path(get, path = "/v1/refunds/{refund_id}", operation_id = "get_refund", tag = "payments",
    params(("refund_id" = String, Path, description = "`refund_…`"), OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = Refund)))]
async fn get_refund(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Refund>, Problem> {
    let at = reader.reach(&api, refund_view::NAME).await?;
    let row = refund_view::get(
        &mut *api.read_for(&reader.caller).await?,
        reader.caller.narrowed_to(),
        &id,
    )
    .await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Refund))?;
    at.saw_one::<cairn_payments::Refund, _>(&api, (&id, row.into())).await
}

/// A payment as the log has it, if it is the caller's.
async fn own_payment(api: &Api, caller: &Caller, id: &str) -> Result<Payment, Problem> {
    let id: PaymentId = id.parse().map_err(|_| Problem::missing(Missing::Payment))?;
    let (payment, _) = api.commands.executor.load::<Payment>(&id.to_string()).await?;
    let seen = payment.organisation_id.is_some_and(|owner| caller.sees(owner));
    if seen { Ok(payment) } else { Err(Problem::missing(Missing::Payment)) }
}

/// How much to pay in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopUpBody {
    /// Decimal, in whole cents.
    #[schema(example = "20.00")]
    amount: String,
    /// CHF, EUR, GBP or USD.
    #[schema(example = "USD")]
    currency: String,
    /// The provider's payment method to confirm with at once; without it the customer confirms with the client secret.
    #[schema(example = "pm_card_visa")]
    payment_method: Option<String>,
    /// A payment method that is kept, `method_…`: it is charged without the customer.
    payment_method_id: Option<String>,
}

/// What a top-up is paid with.
enum With {
    /// Whatever the customer brings.
    Anything(RequestTopUp),
    /// What the provider keeps.
    Kept(RequestKeptTopUp),
}

impl TopUpBody {
    fn input(self, organisation_id: OrganisationId) -> Result<With, Problem> {
        let amount = money::parse(&self.amount, &self.currency).map_err(Problem::invalid)?;
        if let Some(id) = &self.payment_method_id {
            if self.payment_method.is_some() {
                let detail = "name one that is kept or one that is not, not both";
                let error = FieldError::new("/payment_method_id", "body_invalid", detail);
                return Err(Problem::invalid(vec![error]));
            }
            let method_id = Some(payment_methods::named(id)?);
            return Ok(With::Kept(RequestKeptTopUp { organisation_id, amount, method_id }));
        }
        if self.payment_method.as_deref().is_some_and(|m| !is_method(m)) {
            let detail = "a payment method is 1 to 100 letters, digits and '_'";
            return Err(Problem::invalid(vec![FieldError::new(
                "/payment_method",
                "body_invalid",
                detail,
            )]));
        }
        let payment_method = self.payment_method;
        Ok(With::Anything(RequestTopUp { organisation_id, amount, payment_method }))
    }
}

/// Whether a text may be the name of a payment method at the provider.
pub(super) fn is_method(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=100).contains(&text.len()) && text.bytes().all(allowed)
}

/// A top-up was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopUpRequested {
    /// `pay_…`
    top_up_id: String,
    /// `requested`
    status: String,
}

impl TopUpRequested {
    fn of(id: &str) -> Self {
        Self { top_up_id: id.to_owned(), status: "requested".to_owned() }
    }
}

/// A top-up as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopUp {
    /// `pay_…`
    pub top_up_id: String,
    /// `org_…`
    pub organisation_id: String,
    /// `requested`, `pending`, `requires_action` (the customer confirms with the client secret, within a day), `processing` (the bank takes
    /// its time, and nothing is credited yet), `succeeded` or `failed`.
    pub status: String,
    /// Decimal.
    pub amount: String,
    /// What the provider keeps of it; the platform bears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// Why it failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<String>,
    /// RFC 3339.
    pub requested_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

impl From<payment_view::Payment> for TopUp {
    fn from(row: payment_view::Payment) -> Self {
        Self {
            top_up_id: row.payment_id,
            organisation_id: row.organisation_id,
            status: row.status,
            amount: money::decimal(row.amount_nanos),
            fee: row.fee_nanos.map(money::decimal),
            currency: row.currency,
            failure_code: row.failure_code,
            failure_message: row.failure_message,
            requested_at: row.requested_at.to_string(),
            ended_at: row.ended_at.map(|at| at.to_string()),
        }
    }
}

/// The provider's secret for one payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientSecret {
    /// For the provider's browser library.
    pub(super) client_secret: String,
}

/// How much to give back of which top-up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundBody {
    /// The top-up to refund, `pay_…`.
    top_up_id: String,
    /// Decimal, in whole cents; with `currency`. All that is left of the top-up and not held when absent.
    #[schema(example = "5.00")]
    amount: Option<String>,
    /// The top-up's currency.
    #[schema(example = "USD")]
    currency: Option<String>,
    /// Why, for the statement.
    reason: Option<String>,
}

impl RefundBody {
    fn input(self, caller: &Caller) -> Result<RequestRefund, Problem> {
        let wrong = |pointer, code, detail: &str| {
            Problem::invalid(vec![FieldError::new(pointer, code, detail)])
        };
        let amount = match (&self.amount, &self.currency) {
            (Some(amount), Some(currency)) => {
                Some(money::parse(amount, currency).map_err(Problem::invalid)?)
            }
            (None, None) => None,
            (Some(_), None) => return Err(wrong("/currency", "body_invalid", "is missing")),
            (None, Some(_)) => return Err(wrong("/amount", "body_invalid", "is missing")),
        };
        let reason = self.reason.unwrap_or_else(|| "requested by customer".to_owned());
        if reason.is_empty() || reason.chars().count() > 500 {
            return Err(wrong("/reason", "reason_needed", "a reason is 1 to 500 characters"));
        }
        let payment_id = self.top_up_id.parse().map_err(|_| Problem::missing(Missing::Payment))?;
        Ok(RequestRefund { organisation_id: caller.organisation_id, payment_id, amount, reason })
    }
}

/// A refund was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundRequested {
    /// `refund_…`
    refund_id: String,
    /// `requested`
    status: String,
}

impl RefundRequested {
    fn of(result: &serde_json::Value) -> Self {
        let refund_id = result["refund_id"].as_str().unwrap_or_default().to_owned();
        Self { refund_id, status: "requested".to_owned() }
    }
}

/// A refund as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refund {
    /// `refund_…`
    pub refund_id: String,
    /// The top-up it goes against, `pay_…`.
    pub top_up_id: String,
    /// `org_…`
    pub organisation_id: String,
    /// `requested`, `pending`, `succeeded` or `failed`.
    pub status: String,
    /// Decimal.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// RFC 3339.
    pub requested_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

impl From<refund_view::Refund> for Refund {
    fn from(row: refund_view::Refund) -> Self {
        Self {
            refund_id: row.refund_id,
            top_up_id: row.payment_id,
            organisation_id: row.organisation_id,
            status: row.status,
            amount: money::decimal(row.amount_nanos),
            currency: row.currency,
            failure_code: row.failure_code,
            requested_at: row.requested_at.to_string(),
            ended_at: row.ended_at.map(|at| at.to_string()),
        }
    }
}

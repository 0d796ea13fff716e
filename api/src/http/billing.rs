//! Billing details: whom an organisation's invoices are made out to.
use axum::extract::{Extension, State};
use cairn_commands::finance::{FinanceError, entity};
use cairn_core::OrganisationId;
use cairn_finance::{Billing, Customer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::state::Api;
use super::wish::Wish;
use crate::auth::Caller;
use crate::problem::Problem;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_billing_details, set_billing_details))
}

/// Whom invoices are made out to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BillingDetails {
    /// 1 to 200 characters.
    #[schema(example = "Analytical Engines Ltd")]
    name: String,
    /// 1 to 500 characters, lines apart by line feeds.
    #[schema(example = "12 Example Street\nLondon")]
    address: String,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "GB")]
    country: String,
    /// Number with the tax authorities, up to 50 characters; empty when there is none.
    #[serde(default)]
    tax_id: String,
    /// Where invoices and credit notes go to; empty: to whoever sees to the organisation's money.
    #[serde(default)]
    email: String,
}

/// Billing details as they stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillingDetailsShown {
    /// `org_…`
    organisation_id: String,
    /// Absent when nobody has said yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<BillingDetails>,
}

impl From<Customer> for BillingDetails {
    fn from(customer: Customer) -> Self {
        let Customer { name, address, country, tax_id, email } = customer;
        Self { name, address, country, tax_id, email }
    }
}

/// Whom the organisation's invoices are made out to.
#[utoipa::path(get, path = "/v1/organisation/billing", operation_id = "get_billing_details", tag = "ledger",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = BillingDetailsShown)))]
async fn get_billing_details(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<BillingDetailsShown>, Problem> {
    Ok(axum::Json(shown(&api, caller.organisation_id).await?))
}

/// Says whom invoices are made out to from now on. What was issued stays as it is.
#[utoipa::path(put, path = "/v1/organisation/billing", operation_id = "set_billing_details", tag = "ledger",
    request_body = BillingDetails, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "So it is", body = BillingDetailsShown)))]
async fn set_billing_details(
    State(api): State<Api>,
    wish: Wish<BillingDetails>,
) -> Result<Done<BillingDetailsShown>, Problem> {
    let id = wish.caller.organisation_id;
    let BillingDetails { name, address, country, tax_id, email } = wish.body;
    let customer = Customer { name, address, country, tax_id, email };
    let done = entity::set_billing(&api.commands, &wish.context, (id, customer)).await?;
    Ok(Done::ok(&done, shown(&api, id).await?).without_version())
}

async fn shown(api: &Api, id: OrganisationId) -> Result<BillingDetailsShown, Problem> {
    let (billing, _) = api.commands.executor.load::<Billing>(&id.to_string()).await?;
    let details = billing.customer.map(BillingDetails::from);
    Ok(BillingDetailsShown { organisation_id: id.to_string(), details })
}

impl From<FinanceError> for Problem {
    fn from(error: FinanceError) -> Self {
        match error {
            FinanceError::Case(error) => error.into(),
            FinanceError::Database(error) => Self::from(cairn_projections::QueryError::from(error)),
            error @ (FinanceError::BadPeriod(_)
            | FinanceError::Port(_)
            | FinanceError::Corrupt(_)) => Self::internal(&error.to_string()),
        }
    }
}

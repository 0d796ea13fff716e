//! Spending limits: how much an organisation lets itself use in a month.
use axum::extract::{Extension, State};
use cairn_commands::ledger::{self, SetSpendingLimits};
use cairn_core::{Currency, Month, OrganisationId};
use cairn_ledger::{SpendingLimits as Limits, Wallet, wallet_id};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::money;
use super::preview::{Answer, Staged};
use super::state::Api;
use crate::auth::Caller;
use crate::problem::Problem;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_spending_limits, set_spending_limits))
}

/// How much may be used in a calendar month (UTC), in one currency.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendingLimitsWish {
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
    /// From there on owners, administrators and finance members are told by mail. Absent: nobody is.
    #[schema(example = "50.00")]
    warn: Option<String>,
    /// Beyond that nothing is set aside: what runs is stopped, its data is kept. Absent: no limit but the balance.
    #[schema(example = "100.00")]
    stop: Option<String>,
}

/// How much may be used this month, and what was.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpendingLimits {
    /// ISO 4217.
    currency: String,
    /// Decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    warn: Option<String>,
    /// Decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<String>,
    /// For example `2026-10`.
    month: String,
    /// Decimal: used in it, taxes and what promotional credit paid for included.
    spent: String,
    /// Decimal: how much more may be set aside in it; absent without a stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
}

/// Spending limits of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpendingLimitsShown {
    /// `org_…`
    organisation_id: String,
    /// One for each currency.
    items: Vec<SpendingLimits>,
}

/// What may be used this month, and what was, in each currency.
#[utoipa::path(get, path = "/v1/spending-limits", operation_id = "get_spending_limits", tag = "ledger",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = SpendingLimitsShown)))]
async fn get_spending_limits(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<SpendingLimitsShown>, Problem> {
    Ok(axum::Json(shown(&api, caller.organisation_id).await?))
}

/// Says what may be used in a month from now on. What is absent is no limit.
#[utoipa::path(put, path = "/v1/spending-limits", operation_id = "set_spending_limits", tag = "ledger",
    request_body = SpendingLimitsWish, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "So it is", body = SpendingLimitsShown)))]
async fn set_spending_limits(
    State(api): State<Api>,
    Staged { wish, stage }: Staged<SpendingLimitsWish>,
) -> Result<Answer<SpendingLimitsShown>, Problem> {
    let organisation_id = wish.caller.organisation_id;
    let (currency, limits) = limits(&wish.body)?;
    let input = SetSpendingLimits { organisation_id, currency, limits };
    let done = ledger::set_spending_limits(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.without_version().into());
    }
    Ok(Done::ok(&done, shown(&api, organisation_id).await?).without_version().into())
}

fn limits(wish: &SpendingLimitsWish) -> Result<(Currency, Limits), Problem> {
    let currency = money::parse_currency("/currency", &wish.currency);
    let of = |pointer, amount: &Option<String>| {
        amount.as_deref().map(|amount| money::amount(pointer, amount)).transpose()
    };
    match (currency, of("/warn", &wish.warn), of("/stop", &wish.stop)) {
        (Ok(currency), Ok(warn_nanos), Ok(stop_nanos)) => {
            Ok((currency, Limits { warn_nanos, stop_nanos }))
        }
        (currency, warn, stop) => {
            let wrong = currency.err().into_iter().chain(warn.err()).chain(stop.err());
            Err(Problem::invalid(wrong.collect()))
        }
    }
}

async fn shown(api: &Api, organisation_id: OrganisationId) -> Result<SpendingLimitsShown, Problem> {
    let now = api.commands.clock.now();
    let month = Month::of(now).map_err(|error| Problem::internal(&error.to_string()))?;
    let mut items = vec![];
    for currency in Currency::ALL {
        let id = wallet_id(organisation_id, currency);
        let (wallet, _) = api.commands.executor.load::<Wallet>(&id).await?;
        let Limits { warn_nanos, stop_nanos } = wallet.spending.limits;
        items.push(SpendingLimits {
            currency: currency.to_string(),
            warn: warn_nanos.map(money::decimal),
            stop: stop_nanos.map(money::decimal),
            month: month.to_string(),
            spent: money::decimal(wallet.spending.spent_at(now)),
            left: wallet.room_at(now).map(money::decimal),
        });
    }
    Ok(SpendingLimitsShown { organisation_id: organisation_id.to_string(), items })
}

//! Spending limits: how much an organisation lets itself use in a month, in all and in each project.
use axum::extract::{Extension, Path, State};
use cairn_commands::ledger::{self, SetSpendingLimits};
use cairn_commands::{Commands, ExecuteError};
use cairn_core::{Currency, OrganisationId, ProjectId};
use cairn_identity::Organisation;
use cairn_ledger::{SpendingLimits as Limits, Wallet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::by_currency::{in_each, this_month};
use super::money;
use super::preview::{Answer, Staged};
use super::state::Api;
use crate::auth::Caller;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_spending_limits, set_spending_limits))
        .routes(routes!(get_project_spending_limits, set_project_spending_limits))
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
    /// Decimal: how much more may be set aside in it, as far as this limit goes; absent without a stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
}

/// Spending limits of an organisation, or of one of its projects.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpendingLimitsShown {
    /// `org_…`
    organisation_id: String,
    /// `proj_…`, when they are a project's.
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<String>,
    /// One for each currency.
    pub(crate) items: Vec<SpendingLimits>,
}

/// What may be used this month, and what was, in each currency.
#[utoipa::path(get, path = "/v1/spending-limits", operation_id = "get_spending_limits", tag = "ledger",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = SpendingLimitsShown)))]
async fn get_spending_limits(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<SpendingLimitsShown>, Problem> {
    Ok(axum::Json(shown(&api.commands, caller.organisation_id, None).await?))
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
    Ok(Done::ok(&done, shown(&api.commands, organisation_id, None).await?).without_version().into())
}

/// What the rentals of a project may use this month, and did, in each currency.
#[utoipa::path(get, path = "/v1/projects/{project_id}/spending-limits", operation_id = "get_project_spending_limits", tag = "ledger",
    params(("project_id" = String, Path, description = "`proj_…`")), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = SpendingLimitsShown)))]
async fn get_project_spending_limits(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<SpendingLimitsShown>, Problem> {
    let organisation_id = caller.organisation_id;
    let project_id = known_project(&api, organisation_id, &id).await?;
    Ok(axum::Json(shown(&api.commands, organisation_id, Some(project_id)).await?))
}

/// Says what the rentals of a project may use in a month from now on. What is absent is no limit of its own: the organisation's holds as well.
#[utoipa::path(put, path = "/v1/projects/{project_id}/spending-limits", operation_id = "set_project_spending_limits", tag = "ledger",
    request_body = SpendingLimitsWish, security(("api_key" = []), ("session" = [])),
    params(
        ("project_id" = String, Path, description = "`proj_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "So it is", body = SpendingLimitsShown)))]
async fn set_project_spending_limits(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<SpendingLimitsWish>,
) -> Result<Answer<SpendingLimitsShown>, Problem> {
    let (organisation_id, project_id) = (wish.caller.organisation_id, project(&id)?);
    let (currency, limits) = limits(&wish.body)?;
    let input = SetSpendingLimits { organisation_id, currency, limits };
    let commands = stage.commands(&api);
    let done = ledger::set_project_limits(commands, &wish.context, project_id, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.without_version().into());
    }
    let shown = shown(&api.commands, organisation_id, Some(project_id)).await?;
    Ok(Done::ok(&done, shown).without_version().into())
}

/// A project that there is.
pub(super) async fn known_project(
    api: &Api,
    organisation_id: OrganisationId,
    id: &str,
) -> Result<ProjectId, Problem> {
    let project_id = project(id)?;
    let id = organisation_id.to_string();
    let (owner, _) = api.commands.executor.load::<Organisation>(&id).await?;
    owner.has_project(project_id).map_err(|_| Problem::missing(Missing::Project))?;
    Ok(project_id)
}

/// What is no id names nothing.
pub(super) fn project(id: &str) -> Result<ProjectId, Problem> {
    id.parse().map_err(|_| Problem::missing(Missing::Project))
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

/// As they stand, of the whole or of a project.
pub(crate) async fn shown(
    commands: &Commands,
    organisation_id: OrganisationId,
    project_id: Option<ProjectId>,
) -> Result<SpendingLimitsShown, ExecuteError> {
    let (now, month) = this_month(commands)?;
    let limits = |currency: Currency, wallet: Wallet| {
        let (Limits { warn_nanos, stop_nanos }, spent_nanos, left_nanos) = match project_id {
            None => (wallet.spending.limits, wallet.spending.spent_at(now), wallet.room_at(now)),
            Some(id) => (wallet.limits_of(id), wallet.spent_in(id, now), wallet.room_in(id, now)),
        };
        SpendingLimits {
            currency: currency.to_string(),
            warn: warn_nanos.map(money::decimal),
            stop: stop_nanos.map(money::decimal),
            month: month.to_string(),
            spent: money::decimal(spent_nanos),
            left: left_nanos.map(money::decimal),
        }
    };
    Ok(SpendingLimitsShown {
        organisation_id: organisation_id.to_string(),
        project_id: project_id.map(|id| id.to_string()),
        items: in_each(commands, organisation_id, limits).await?,
    })
}

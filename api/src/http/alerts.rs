//! Alerts: of what whoever sees to the money of an organisation wants to be told, of the whole and of each project.
use axum::extract::{Extension, Path, State};
use cairn_commands::ledger::{self, SetAlerts};
use cairn_commands::{Commands, ExecuteError};
use cairn_core::{Currency, Month, OrganisationId, ProjectId};
use cairn_ledger::{Alert as Wanted, AlertOn as On, Alerts, Wallet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::by_currency::{in_each, this_month};
use super::money;
use super::spending::{known_project, project};
use super::state::Api;
use super::wish::Wish;
use crate::auth::Caller;
use crate::problem::{FieldError, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get_alerts, set_alerts))
        .routes(routes!(get_project_alerts, set_project_alerts))
}

/// What is looked at.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertOn {
    /// As much was used in the calendar month (UTC): told once in it.
    Spent,
    /// Less than that is left, what is set aside for rentals included: told each time that it falls below.
    BalanceBelow,
}

impl From<AlertOn> for On {
    fn from(on: AlertOn) -> Self {
        match on {
            AlertOn::Spent => Self::Spent,
            AlertOn::BalanceBelow => Self::BalanceBelow,
        }
    }
}

const fn name(on: On) -> &'static str {
    match on {
        On::Spent => "spent",
        On::BalanceBelow => "balance_below",
    }
}

/// Of what to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertWish {
    on: AlertOn,
    /// Decimal, more than zero.
    #[schema(example = "25.00")]
    amount: String,
}

/// All the alerts that there shall be in one currency.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertsWish {
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
    /// At most 10, each once. None: nobody is told.
    alerts: Vec<AlertWish>,
}

/// Of what somebody is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alert {
    /// `spent` or `balance_below`.
    on: &'static str,
    /// Decimal.
    pub(crate) amount: String,
    /// It was told: in this month, or since the balance was there last.
    pub(crate) told: bool,
}

/// The alerts of one currency, and what they look at.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertsOfCurrency {
    /// ISO 4217.
    currency: String,
    alerts: Vec<Alert>,
    /// For example `2026-10`.
    month: String,
    /// Decimal: used in it, taxes and what promotional credit paid for included.
    spent: String,
    /// Decimal: what is left, what is set aside for rentals included.
    balance: String,
}

/// The alerts of an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertsShown {
    /// `org_…`
    organisation_id: String,
    /// One for each currency.
    items: Vec<AlertsOfCurrency>,
}

/// The alerts of a project in one currency, and what they look at.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectAlertsOfCurrency {
    /// ISO 4217.
    pub(crate) currency: String,
    pub(crate) alerts: Vec<Alert>,
    /// For example `2026-10`.
    pub(crate) month: String,
    /// Decimal: used in the project in it, taxes and what promotional credit paid for included.
    pub(crate) spent: String,
}

/// The alerts of a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectAlertsShown {
    /// `org_…`
    organisation_id: String,
    /// `proj_…`
    project_id: String,
    /// One for each currency.
    pub(crate) items: Vec<ProjectAlertsOfCurrency>,
}

/// Of what is told, and whether it was.
#[utoipa::path(get, path = "/v1/alerts", operation_id = "get_alerts", tag = "ledger",
    security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = AlertsShown)))]
async fn get_alerts(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<AlertsShown>, Problem> {
    Ok(axum::Json(shown(&api.commands, caller.organisation_id).await?))
}

/// Says of what to be told in one currency, in place of what was said before. What stays the same stays told.
#[utoipa::path(put, path = "/v1/alerts", operation_id = "set_alerts", tag = "ledger",
    request_body = AlertsWish, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 200, description = "So it is", body = AlertsShown)))]
async fn set_alerts(
    State(api): State<Api>,
    wish: Wish<AlertsWish>,
) -> Result<Done<AlertsShown>, Problem> {
    let organisation_id = wish.caller.organisation_id;
    let (currency, alerts) = wanted(&wish.body)?;
    let input = SetAlerts { organisation_id, currency, alerts };
    let done = ledger::set_alerts(&api.commands, &wish.context, input).await?;
    Ok(Done::ok(&done, shown(&api.commands, organisation_id).await?).without_version())
}

/// Of what in a project is told, and whether it was.
#[utoipa::path(get, path = "/v1/projects/{project_id}/alerts", operation_id = "get_project_alerts", tag = "ledger",
    params(("project_id" = String, Path, description = "`proj_…`")), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As they stand", body = ProjectAlertsShown)))]
async fn get_project_alerts(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<ProjectAlertsShown>, Problem> {
    let organisation_id = caller.organisation_id;
    let project_id = known_project(&api, organisation_id, &id).await?;
    Ok(axum::Json(shown_of_project(&api.commands, organisation_id, project_id).await?))
}

/// Says of what in a project to be told in one currency, in place of what was said before: of `spent`, since a project has no balance.
/// What stays the same stays told.
#[utoipa::path(put, path = "/v1/projects/{project_id}/alerts", operation_id = "set_project_alerts", tag = "ledger",
    request_body = AlertsWish, security(("api_key" = []), ("session" = [])),
    params(
        ("project_id" = String, Path, description = "`proj_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "So it is", body = ProjectAlertsShown)))]
async fn set_project_alerts(
    State(api): State<Api>,
    Path(id): Path<String>,
    wish: Wish<AlertsWish>,
) -> Result<Done<ProjectAlertsShown>, Problem> {
    let (organisation_id, project_id) = (wish.caller.organisation_id, project(&id)?);
    let (currency, alerts) = wanted(&wish.body)?;
    let input = SetAlerts { organisation_id, currency, alerts };
    let done = ledger::set_project_alerts(&api.commands, &wish.context, project_id, input).await?;
    let shown = shown_of_project(&api.commands, organisation_id, project_id).await?;
    Ok(Done::ok(&done, shown).without_version())
}

fn wanted(wish: &AlertsWish) -> Result<(Currency, Vec<Wanted>), Problem> {
    let mut wrong: Vec<FieldError> = vec![];
    let mut alerts = vec![];
    for (nth, alert) in wish.alerts.iter().enumerate() {
        let on = alert.on.into();
        match money::positive(&format!("/alerts/{nth}/amount"), &alert.amount) {
            Ok(amount_nanos) => alerts.push(Wanted { on, amount_nanos }),
            Err(error) => wrong.push(error),
        }
    }
    match money::parse_currency("/currency", &wish.currency) {
        Ok(currency) if wrong.is_empty() => Ok((currency, alerts)),
        currency => Err(Problem::invalid(currency.err().into_iter().chain(wrong).collect())),
    }
}

async fn shown(
    commands: &Commands,
    organisation_id: OrganisationId,
) -> Result<AlertsShown, ExecuteError> {
    let (now, month) = this_month(commands)?;
    let alerts = |currency: Currency, wallet: Wallet| AlertsOfCurrency {
        currency: currency.to_string(),
        alerts: listed(&wallet.alerts, month),
        month: month.to_string(),
        spent: money::decimal(wallet.spending.spent_at(now)),
        balance: money::decimal(wallet.left_nanos()),
    };
    let items = in_each(commands, organisation_id, alerts).await?;
    Ok(AlertsShown { organisation_id: organisation_id.to_string(), items })
}

/// The alerts of a project as they stand.
pub(crate) async fn shown_of_project(
    commands: &Commands,
    organisation_id: OrganisationId,
    project_id: ProjectId,
) -> Result<ProjectAlertsShown, ExecuteError> {
    let (now, month) = this_month(commands)?;
    let alerts = |currency: Currency, wallet: Wallet| ProjectAlertsOfCurrency {
        currency: currency.to_string(),
        alerts: listed(&wallet.alerts_of(project_id), month),
        month: month.to_string(),
        spent: money::decimal(wallet.spent_in(project_id, now)),
    };
    let items = in_each(commands, organisation_id, alerts).await?;
    let (organisation_id, project_id) = (organisation_id.to_string(), project_id.to_string());
    Ok(ProjectAlertsShown { organisation_id, project_id, items })
}

fn listed(alerts: &Alerts, month: Month) -> Vec<Alert> {
    let alert = |wanted: &Wanted| Alert {
        on: name(wanted.on),
        amount: money::decimal(wanted.amount_nanos),
        told: alerts.was_told(*wanted, month),
    };
    alerts.wanted.iter().map(alert).collect()
}

//! What an organisation uses: over time, by project and rental, this month and to its end.
use std::collections::BTreeMap;

use axum::extract::State;
use cairn_core::{Burn, Currency, Month, MonthError, Nanos, Timestamp};
use cairn_projections::compute::allocations::{self, Burns};
use cairn_projections::ledger::{statement, usage as view};
use cairn_projections::row::NO_PROJECT;
use cairn_projections::{At, QueryError};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ledger::whose_of;
use super::money;
use super::reader::{AsksPosition, Reader, Seen};
use super::rentals::project_of;
use super::state::Api;
use crate::problem::Problem;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_usage))
}

/// How far back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub enum Range {
    /// A day.
    #[serde(rename = "24h")]
    Day,
    /// Two days.
    #[serde(rename = "48h")]
    TwoDays,
    /// A week.
    #[serde(rename = "7d")]
    Week,
    /// A month.
    #[default]
    #[serde(rename = "30d")]
    Month,
    /// A quarter.
    #[serde(rename = "90d")]
    Quarter,
}

impl Range {
    /// How long it is.
    pub(crate) const fn seconds(self) -> i64 {
        match self {
            Self::Day => DAY,
            Self::TwoDays => 2 * DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Quarter => 90 * DAY,
        }
    }
}

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// An hour.
    Hour,
    /// A day, UTC.
    Day,
    /// A month, UTC.
    Month,
}

/// Query of what was used.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// How far back: `24h`, `48h`, `7d`, `30d` (when absent) or `90d`.
    #[param(inline)]
    pub range: Option<Range>,
    /// How long a bucket is: `hour`, `day` or `month`; an hour up to two days, and a day for more, when absent.
    #[param(inline)]
    pub by: Option<By>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Only of this project, `proj_…`; `none` is what is in no project.
    pub project_id: Option<String>,
    /// Another organisation, for those who may see it.
    pub organisation_id: Option<String>,
}

impl AsksPosition for UsageQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }
}

/// What was used, by currency: nothing is converted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Usage {
    /// RFC 3339: where the first bucket begins.
    pub since: String,
    /// RFC 3339: up to when.
    pub until: String,
    /// One for each currency that something was used in lately, or runs in.
    pub currencies: Vec<UsageOf>,
}

/// What was used in one currency. A charge counts when it was made; taxes are included, and so is what promotional credit paid for.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageOf {
    /// ISO 4217.
    pub currency: String,
    /// Decimal: in the whole range.
    pub cost: String,
    /// Decimal: of it, tax.
    pub tax: String,
    /// Decimal: in a time as long right before it.
    pub previous: String,
    /// By how many percent it is more than that, or less; absent when there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend_percent: Option<i64>,
    /// Decimal: since the first of this month, UTC.
    pub month_to_date: String,
    /// Decimal: what everything that runs costs in an hour, in the tiers that it is in.
    pub per_hour: String,
    /// Decimal: what this month will cost if everything runs on as it does.
    pub month_forecast: String,
    /// From the first to the last, empty ones too.
    pub buckets: Vec<UsageBucket>,
    /// Projects, in the order in which they were created; then what is in no project. All of them together are the whole.
    pub projects: Vec<UsageProject>,
    /// Rentals, the dearest first; at most 200.
    pub resources: Vec<UsageResource>,
}

/// What was used in one bucket.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageBucket {
    /// RFC 3339: where it begins.
    pub since: String,
    /// Decimal.
    pub cost: String,
    /// Decimal: of it, tax.
    pub tax: String,
}

/// What the rentals of one project used.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageProject {
    /// `proj_…`; absent for what is in no project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Decimal: in the whole range.
    pub cost: String,
    /// Decimal: of it, tax.
    pub tax: String,
    /// Decimal: in a time as long right before it.
    pub previous: String,
    /// By how many percent it is more than that, or less; absent when there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend_percent: Option<i64>,
    /// Decimal: since the first of this month, UTC.
    pub month_to_date: String,
    /// Decimal: what everything in it that runs costs in an hour, in the tiers that it is in.
    pub per_hour: String,
    /// Decimal: what this month will cost if everything in it runs on as it does.
    pub month_forecast: String,
}

/// What one rental used.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageResource {
    /// `alloc_…`
    pub allocation_id: String,
    /// The project that it is in, `proj_…`; absent when it is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Seconds that it was charged for.
    pub seconds: i64,
    /// Decimal.
    pub cost: String,
    /// Decimal: of it, tax.
    pub tax: String,
}

/// What was used, over time, by project and by rental, with what this month has cost and will.
#[utoipa::path(get, path = "/v1/usage", operation_id = "get_usage", tag = "ledger",
    params(UsageQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "By currency", body = Usage)))]
async fn get_usage(
    State(api): State<Api>,
    reader: Reader<UsageQuery>,
) -> Result<Seen<Usage>, Problem> {
    let query = &reader.query;
    let organisation = whose_of(&reader.caller, query.organisation_id.as_deref())?;
    let currency = query.currency.as_deref().map(str::parse::<Currency>).transpose();
    let currency = currency.map_err(|error| Problem::new("query_invalid", error.to_string()))?;
    let range = query.range.unwrap_or_default();
    let until = api.commands.clock.now();
    let every = match (query.by, range) {
        (Some(By::Hour), _) | (None, Range::Day | Range::TwoDays) => view::Every::Hour,
        (Some(By::Day), _) | (None, _) => view::Every::Day,
        (Some(By::Month), _) => view::Every::Month,
    };
    let span = view::Span { since: until.plus_secs(-range.seconds()), until, every };
    let project = project_of(query.project_id.as_deref())?;
    let at = reader.reach(&api, statement::NAME).await?;
    // It says which rental is in which project.
    let at = at.and(reader.reach(&api, allocations::NAME).await?);
    let mut db = api.read_for(&reader.caller).await?;
    let whose = view::Whose { organisation, currency, project: project.as_deref() };
    let rows = read(&mut db, whose, span).await?;
    let used = Usage::of(span, rows);
    Ok(at.saw(used.map_err(|error| Problem::internal(&error.to_string()))?))
}

/// What was used in a time, and what runs.
pub(crate) async fn read(
    db: &mut PgConnection,
    whose: view::Whose<'_>,
    span: view::Span,
) -> Result<Rows, QueryError> {
    let sums = view::sums(&mut *db, whose, span).await?;
    let buckets = view::buckets(&mut *db, whose, span).await?;
    let resources = view::resources(&mut *db, whose, span).await?;
    let mut burns = allocations::burn_by_project(&mut *db, whose.organisation).await?;
    burns.retain(|(code, id), _| {
        let id = id.as_deref().unwrap_or(NO_PROJECT);
        whose.currency.is_none_or(|wanted| wanted.code() == code)
            && whose.project.is_none_or(|wanted| wanted == id)
    });
    Ok(Rows { sums, buckets, resources, burns })
}

/// What the views say of it.
pub(crate) struct Rows {
    sums: Vec<view::Sum>,
    buckets: Vec<view::Bucket>,
    resources: Vec<view::Resource>,
    burns: Burns,
}

/// What was used where nothing was.
fn nothing(currency: &str, project_id: Option<&str>, since: Timestamp) -> view::Sum {
    view::Sum {
        currency: currency.to_owned(),
        project_id: project_id.map(str::to_owned),
        since: At(since),
        cost_nanos: 0,
        tax_nanos: 0,
        previous_nanos: 0,
        month_nanos: 0,
    }
}

impl Usage {
    /// As it is shown.
    pub(crate) fn of(span: view::Span, rows: Rows) -> Result<Self, MonthError> {
        let Rows { sums, buckets, resources, burns } = rows;
        let since = sums.first().map_or(span.since, |sum| sum.since.0);
        let runs = burns.keys().map(|(currency, _)| nothing(currency, None, since));
        let found = wholes(sums.iter().cloned().chain(runs));
        let month = Month::of(span.until)?;
        let left_secs = month.ends_at().secs_since(span.until);
        let mut projects = projects(sums, &burns, (since, left_secs));
        let currencies = found.into_values().map(|sum| {
            let burn = together(&burns, &sum.currency);
            let of_it = |currency: &str| *currency == sum.currency;
            UsageOf {
                buckets: buckets.iter().filter(|row| of_it(&row.currency)).map(bucket).collect(),
                projects: projects.remove(&sum.currency).unwrap_or_default(),
                resources: resources
                    .iter()
                    .filter(|row| of_it(&row.currency))
                    .map(resource)
                    .collect(),
                cost: money::decimal(sum.cost_nanos),
                tax: money::decimal(sum.tax_nanos),
                previous: money::decimal(sum.previous_nanos),
                trend_percent: trend(sum.cost_nanos, sum.previous_nanos),
                month_to_date: money::decimal(sum.month_nanos),
                per_hour: money::decimal(burn.nanos_per_hour()),
                month_forecast: money::decimal(forecast(sum.month_nanos, &burn, left_secs)),
                currency: sum.currency,
            }
        });
        let currencies = currencies.collect();
        Ok(Self { since: since.to_string(), until: span.until.to_string(), currencies })
    }
}

/// By currency: what was used in all projects and in none.
fn wholes(sums: impl Iterator<Item = view::Sum>) -> BTreeMap<String, view::Sum> {
    let mut wholes = BTreeMap::<String, view::Sum>::new();
    for sum in sums {
        let absent = || nothing(&sum.currency, None, sum.since.0);
        let whole = wholes.entry(sum.currency.clone()).or_insert_with(absent);
        whole.cost_nanos += sum.cost_nanos;
        whole.tax_nanos += sum.tax_nanos;
        whole.previous_nanos += sum.previous_nanos;
        whole.month_nanos += sum.month_nanos;
    }
    wholes
}

/// What everything of a currency that runs costs, whatever project it is in.
fn together(burns: &Burns, currency: &str) -> Burn {
    let mut all = Burn::default();
    for (_, burn) in burns.iter().filter(|((code, _), _)| code == currency) {
        all.join(burn);
    }
    all
}

/// By currency: each project in which something was used or runs, then what is in none.
fn projects(
    sums: Vec<view::Sum>,
    burns: &Burns,
    (since, left_secs): (Timestamp, i64),
) -> BTreeMap<String, Vec<UsageProject>> {
    let key = |currency: &str, id: Option<&str>| {
        (currency.to_owned(), id.is_none(), id.map(str::to_owned))
    };
    let mut found = BTreeMap::new();
    for sum in sums {
        found.insert(key(&sum.currency, sum.project_id.as_deref()), sum);
    }
    for (currency, id) in burns.keys() {
        let absent = || nothing(currency, id.as_deref(), since);
        found.entry(key(currency, id.as_deref())).or_insert_with(absent);
    }
    let mut projects = BTreeMap::<String, Vec<UsageProject>>::new();
    for sum in found.into_values() {
        let burn = burns.get(&(sum.currency.clone(), sum.project_id.clone()));
        let burn = burn.cloned().unwrap_or_default();
        projects.entry(sum.currency).or_default().push(UsageProject {
            project_id: sum.project_id,
            cost: money::decimal(sum.cost_nanos),
            tax: money::decimal(sum.tax_nanos),
            previous: money::decimal(sum.previous_nanos),
            trend_percent: trend(sum.cost_nanos, sum.previous_nanos),
            month_to_date: money::decimal(sum.month_nanos),
            per_hour: money::decimal(burn.nanos_per_hour()),
            month_forecast: money::decimal(forecast(sum.month_nanos, &burn, left_secs)),
        });
    }
    projects
}

fn bucket(row: &view::Bucket) -> UsageBucket {
    UsageBucket {
        since: row.since.to_string(),
        cost: money::decimal(row.cost_nanos),
        tax: money::decimal(row.tax_nanos),
    }
}

fn resource(row: &view::Resource) -> UsageResource {
    UsageResource {
        allocation_id: row.reference.clone(),
        project_id: row.project_id.clone(),
        seconds: row.seconds,
        cost: money::decimal(row.cost_nanos),
        tax: money::decimal(row.tax_nanos),
    }
}

/// By how many percent it is more, towards zero.
fn trend(now_nanos: Nanos, before_nanos: Nanos) -> Option<i64> {
    let more = (i128::from(now_nanos) - i128::from(before_nanos)) * 100;
    let percent = more.checked_div(i128::from(before_nanos))?;
    Some(i64::try_from(percent).unwrap_or(i64::MAX))
}

fn forecast(month_nanos: Nanos, burn: &Burn, left_secs: i64) -> Nanos {
    month_nanos.saturating_add(burn.cost(left_secs.max(0)))
}

#[cfg(test)]
mod tests {
    use super::{forecast, trend};
    use cairn_core::{Burn, Nanos, Tariff};

    #[test]
    fn a_trend_needs_something_before() {
        assert_eq!(trend(150, 100), Some(50));
        assert_eq!(trend(0, 100), Some(-100));
        assert_eq!(trend(5, 0), None);
    }

    #[test]
    fn a_forecast_is_what_was_used_and_what_runs_until_the_end() {
        let burn = |nanos_per_hour| {
            let mut burn = Burn::default();
            burn.add(Tariff::flat(nanos_per_hour), 7);
            burn
        };
        assert_eq!(forecast(10, &burn(3_600), 100), 110);
        assert_eq!(forecast(10, &burn(3_600), -1), 10);
        assert_eq!(forecast(10, &burn(Nanos::MAX), 9_000_000), Nanos::MAX);
    }
}

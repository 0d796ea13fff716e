//! Usage that is not charged because it is not proven, and evidence of it that was rejected: for those who run the nodes and those who keep the books.
use axum::extract::State;
use cairn_core::Timestamp;
use cairn_projections::compute::{allocations, timeline, unproven as view};
use cairn_projections::finance::breaks;
use cairn_projections::fleet::rejected;
use cairn_projections::row::At;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::Page;
use super::reader::{AsksPage, AsksPosition, Reader, Seen};
use super::state::Api;
use crate::problem::Problem;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_disputed_usage)).routes(routes!(list_rejected_usage))
}

/// Query of a list of usage that is not charged.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DisputedQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items per page, 1 to 200, 50 when absent.
    pub limit: Option<i64>,
    /// Only of this organisation, `org_…`.
    pub organisation_id: Option<String>,
    /// Only on this node, `node_…`.
    pub node_id: Option<String>,
    /// Only what ended after this instant, RFC 3339.
    pub since: Option<String>,
    /// Only what began before this instant, RFC 3339.
    pub until: Option<String>,
}

impl AsksPosition for DisputedQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }

    fn filter(&self) -> String {
        let said = |text: &Option<String>| text.clone().unwrap_or_default();
        let all = [&self.organisation_id, &self.node_id, &self.since, &self.until];
        all.map(said).join("\0")
    }
}

impl AsksPage for DisputedQuery {
    fn page(&self) -> (Option<&str>, Option<i64>) {
        (self.cursor.as_deref(), self.limit)
    }
}

impl DisputedQuery {
    fn asked(&self) -> Result<view::Filter, Problem> {
        let filter = view::Filter {
            organisation: said("organisation_id", self.organisation_id.as_deref())?,
            node: said("node_id", self.node_id.as_deref())?,
            since: said("since", self.since.as_deref())?,
            until: said("until", self.until.as_deref())?,
        };
        match (filter.since, filter.until) {
            (Some(since), Some(until)) if since >= until => {
                Err(Problem::new("query_invalid", format!("until: {until} is not after {since}")))
            }
            _ => Ok(filter),
        }
    }
}

/// What a parameter says, if it is there.
pub fn said<T: std::str::FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    let read = text.map(str::parse::<T>).transpose();
    read.map_err(|error| Problem::new("query_invalid", format!("{name}: {error}")))
}

/// Time of a rental in which nothing proved that its node was alive, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DisputedUsage {
    /// `alloc_…`
    pub allocation_id: String,
    /// `org_…`: whose rental it is.
    pub organisation_id: String,
    /// `node_…`
    pub node_id: Option<String>,
    /// RFC 3339: the last proof before it, or where the meter stood.
    pub from: String,
    /// RFC 3339: the first proof after it, or where the meter went on or ended; now, while it lasts.
    pub through: String,
    /// RFC 3339: the same, and nothing while it lasts.
    pub until: Option<String>,
    /// How many seconds of the time between the two it is about; so far, while it lasts.
    pub seconds: i64,
    /// `outage`, `quarantine`, or `silence` when neither is known.
    pub why: String,
    /// RFC 3339: when its node proved late that one boot spans it.
    pub proven_at: Option<String>,
    /// `forgiven`: nobody pays for it. `charged`: it was proven late, and paid for. `in_review`: it was proven too late to be charged by itself, and
    /// a case of it is open. `open`: it lasts.
    pub outcome: String,
    /// RFC 3339: when the meter passed it; now, while it lasts.
    pub noted_at: String,
    /// Whole seconds since it ended.
    pub age_seconds: i64,
}

impl DisputedUsage {
    /// As it is shown now.
    #[must_use]
    pub fn of(row: view::Unproven, now: Timestamp) -> Self {
        let or_now = |at: Option<At>| at.map_or_else(|| now.to_string(), |at| at.to_string());
        Self {
            age_seconds: row.age_seconds(now),
            allocation_id: row.allocation_id,
            organisation_id: row.organisation_id,
            node_id: row.node_id,
            from: row.from_at.to_string(),
            through: or_now(row.through_at),
            until: row.through_at.map(|at| at.to_string()),
            seconds: row.seconds,
            why: row.why,
            proven_at: row.proven_at.map(|at| at.to_string()),
            outcome: row.outcome,
            noted_at: or_now(row.noted_at),
        }
    }
}

/// Time in which a rental was active and that nobody proved when it was used: what lasts, then what is over, the last noted first.
#[utoipa::path(get, path = "/v1/usage/disputed", operation_id = "list_disputed_usage", tag = "ledger",
    params(DisputedQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<DisputedUsage>)))]
async fn list_disputed_usage(
    State(api): State<Api>,
    reader: Reader<DisputedQuery>,
) -> Result<Seen<Page<DisputedUsage>>, Problem> {
    let (page, filter) = (reader.page()?, reader.query.asked()?);
    let at = reader.reach(&api, view::NAME).await?;
    // They say whose it is, on which node, since when it was not suspended, and what is in review.
    let at = at.and(reader.reach(&api, allocations::NAME).await?);
    let at = at.and(reader.reach(&api, timeline::NAME).await?);
    let at = at.and(reader.reach(&api, breaks::NAME).await?);
    let now = api.commands.clock.now();
    let mut db = api.read_for(&reader.caller).await?;
    let rows = view::list(&mut *db, (filter, now), page.after, page.limit).await?;
    Ok(at.saw(reader.shown(rows, |row| DisputedUsage::of(row, now))?))
}

/// Query of a list of evidence that was rejected.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RejectedQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items per page, 1 to 200, 50 when absent.
    pub limit: Option<i64>,
    /// Only of this node, `node_…`.
    pub node_id: Option<String>,
}

impl AsksPosition for RejectedQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }

    fn filter(&self) -> String {
        self.node_id.clone().unwrap_or_default()
    }
}

impl AsksPage for RejectedQuery {
    fn page(&self) -> (Option<&str>, Option<i64>) {
        (self.cursor.as_deref(), self.limit)
    }
}

/// What a node said of itself that cannot be true. While it says so it proves nothing, and its rentals are not charged.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedUsage {
    /// `node_…`
    pub node_id: String,
    /// `contradicts`, `goes_backward` or `in_the_future`.
    pub reason: String,
    /// Which boot it named.
    pub boot_id: String,
    /// For how many milliseconds it said it was up.
    pub sequence: i64,
    /// RFC 3339: what its clock said.
    pub clock_at: String,
    /// RFC 3339
    pub rejected_at: String,
    /// Whole seconds since then.
    pub age_seconds: i64,
}

impl RejectedUsage {
    /// As it is shown now.
    #[must_use]
    pub fn of(row: rejected::Rejected, now: Timestamp) -> Self {
        Self {
            age_seconds: row.age_seconds(now),
            node_id: row.node_id,
            reason: row.reason,
            boot_id: row.boot_id,
            sequence: row.sequence,
            clock_at: row.clock_at.to_string(),
            rejected_at: row.rejected_at.to_string(),
        }
    }
}

/// Evidence of nodes that was rejected, the last first. One stands for a run of answers with the same fault.
#[utoipa::path(get, path = "/v1/usage/rejected", operation_id = "list_rejected_usage", tag = "ledger",
    params(RejectedQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<RejectedUsage>)))]
async fn list_rejected_usage(
    State(api): State<Api>,
    reader: Reader<RejectedQuery>,
) -> Result<Seen<Page<RejectedUsage>>, Problem> {
    let (page, node) = (reader.page()?, said("node_id", reader.query.node_id.as_deref())?);
    let at = reader.reach(&api, rejected::NAME).await?;
    let now = api.commands.clock.now();
    let mut db = api.read_for(&reader.caller).await?;
    let rows = rejected::list(&mut *db, node, page.after, page.limit).await?;
    Ok(at.saw(reader.shown(rows, |row| RejectedUsage::of(row, now))?))
}

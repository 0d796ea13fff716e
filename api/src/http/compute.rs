//! Compute: rentals, from the request to the release.
use axum::extract::{Path, State};
use cairn_commands::compute::{self, RepriceAllocation, RequestAllocation, RequestRelease};
use cairn_compute::{Allocation as Rental, ReleaseReason};
use cairn_core::tax::{TaxTreatment, format_percent};
use cairn_core::{NodeId, ProjectId, Tax};
use cairn_projections::compute::{allocations as view, timeline};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::discounts::DiscountTaken;
use super::disks::AdditionalDisk;
use super::money;
use super::page::Page;
use super::preview::{Answer, Staged};
use super::prices::{PriceTier, list_per_hour};
use super::reader::{OneQuery, Reader, Seen};
use super::rentals::{AllocationsQuery, project_of};
use super::resizing::AllocationResize;
use super::shapes::{Nothing, ResourcesDto};
use super::state::Api;
use crate::auth::Caller;
use crate::problem::{FieldError, Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(request_allocation, list_allocations))
        .routes(routes!(get_allocation))
        .routes(routes!(release_allocation))
        .routes(routes!(reprice_allocation))
        .routes(routes!(get_allocation_steps))
}

/// Rents. The answer comes at once; `Location` shows how it goes.
#[utoipa::path(post, path = "/v1/allocations", operation_id = "request_allocation", tag = "compute",
    request_body = AllocationBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Capacity and funds will be set aside", body = AllocationDone)))]
async fn request_allocation(
    State(api): State<Api>,
    Staged { wish, stage }: Staged<AllocationBody>,
) -> Result<Answer<AllocationDone>, Problem> {
    let input = wish.body.input(&wish.caller)?;
    let done = compute::request_allocation(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    let body = AllocationDone::of(&done.aggregate_id, "requested");
    Ok(Done::created(&done, format!("/v1/allocations/{}", done.aggregate_id), body).into())
}

/// Rentals, newest first.
#[utoipa::path(get, path = "/v1/allocations", operation_id = "list_allocations", tag = "compute",
    params(AllocationsQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<Allocation>)))]
async fn list_allocations(
    State(api): State<Api>,
    reader: Reader<AllocationsQuery>,
) -> Result<Seen<Page<Allocation>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let organisation = reader.caller.narrowed_to();
    let project = project_of(reader.query.project_id.as_deref())?;
    let filter = view::Filter { organisation, project, ..view::Filter::default() };
    let rows =
        view::list(&mut *api.read_for(&reader.caller).await?, filter, page.after, page.limit)
            .await?;
    Ok(at.saw(reader.shown(rows, Allocation::from)?))
}

/// One rental.
#[utoipa::path(get, path = "/v1/allocations/{allocation_id}", operation_id = "get_allocation", tag = "compute",
    params(("allocation_id" = String, Path, description = "`alloc_…`"), OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = Allocation)))]
async fn get_allocation(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Allocation>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let row =
        view::get(&mut *api.read_for(&reader.caller).await?, reader.caller.narrowed_to(), &id)
            .await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Allocation))?;
    let mut shown = Allocation::from(row);
    if let Some(ssh) = &mut shown.ssh {
        ssh.known_hosts = api.enrolments.authority.known_hosts_line().ok();
    }
    at.saw_one::<Rental, _>(&api, (&id, shown)).await
}

/// Ends a rental. The meter stops at once; everything on the node is taken away.
#[utoipa::path(post, path = "/v1/allocations/{allocation_id}/release", operation_id = "release_allocation",
    tag = "compute", request_body = Option<Nothing>, security(("api_key" = []), ("session" = [])),
    params(
        ("allocation_id" = String, Path, description = "`alloc_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 202, description = "It ends", body = AllocationDone)))]
async fn release_allocation(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<Nothing>,
) -> Result<Answer<AllocationDone>, Problem> {
    let allocation_id = id.parse().map_err(|_| Problem::missing(Missing::Allocation))?;
    let organisation_id = wish.caller.narrowed_to();
    let reason = match organisation_id {
        Some(_) => ReleaseReason::Customer,
        None => ReleaseReason::Operator,
    };
    let expected = wish.expected;
    let input = RequestRelease { organisation_id, allocation_id, reason, expected };
    let done = compute::request_release(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    let body = AllocationDone::of(&id, "releasing");
    Ok(Done::accepted(&done, format!("/v1/allocations/{id}"), body).into())
}

/// Moves a rental to the price, and to the tax, that a new one would pay now. What it used by then is charged as before.
#[utoipa::path(post, path = "/v1/allocations/{allocation_id}/price", operation_id = "reprice_allocation",
    tag = "compute", request_body = RepriceBody, security(("api_key" = []), ("session" = [])),
    params(
        ("allocation_id" = String, Path, description = "`alloc_…`"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "It goes on at that price", body = AllocationDone)))]
async fn reprice_allocation(
    State(api): State<Api>,
    Path(id): Path<String>,
    Staged { wish, stage }: Staged<RepriceBody>,
) -> Result<Answer<AllocationDone>, Problem> {
    let allocation_id = id.parse().map_err(|_| Problem::missing(Missing::Allocation))?;
    let (organisation_id, expected) = (wish.caller.narrowed_to(), wish.expected);
    let price_version = wish.body.price_version;
    let input = RepriceAllocation { organisation_id, allocation_id, price_version, expected };
    let done = compute::reprice_allocation(stage.commands(&api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    Ok(Done::ok(&done, AllocationDone::of(&id, "active")).into())
}

/// A price to move to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepriceBody {
    /// The version of the price in `GET /v1/skus`: it must be the one that new rentals pay now.
    #[schema(example = 2)]
    price_version: u32,
}

/// What happened to a rental, step by step.
#[utoipa::path(get, path = "/v1/allocations/{allocation_id}/timeline", operation_id = "get_allocation_steps",
    tag = "compute", security(("api_key" = []), ("session" = [])),
    params(("allocation_id" = String, Path, description = "`alloc_…`"), OneQuery),
    responses((status = 200, description = "In the order it happened", body = Timeline)))]
async fn get_allocation_steps(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Timeline>, Problem> {
    let at = reader.reach(&api, timeline::NAME).await?;
    let rows =
        timeline::list(&mut *api.read_for(&reader.caller).await?, reader.caller.narrowed_to(), &id)
            .await?;
    if rows.is_empty() {
        return Err(Problem::missing(Missing::Allocation));
    }
    Ok(at.saw(Timeline { items: rows.into_iter().map(TimelineEntry::from).collect() }))
}

/// What to rent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllocationBody {
    /// From `GET /v1/skus`.
    #[schema(example = "small")]
    sku_id: String,
    /// GiB beside the disk of the SKU: at most `gib_max` of its `disk_prices`.
    #[serde(default)]
    additional_disk_gib: u32,
    /// The wallet that pays.
    #[schema(example = "USD")]
    currency: String,
    /// One line of a `.pub` file; a comment at its end is dropped.
    #[schema(example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@laptop")]
    ssh_public_key: String,
    /// A node asked for by id; any when absent.
    node_id: Option<String>,
    /// The project that it counts in, `proj_…`; none when absent. It stays in it.
    project_id: Option<String>,
}

impl AllocationBody {
    fn input(self, caller: &Caller) -> Result<RequestAllocation, Problem> {
        let currency = money::parse_currency("/currency", &self.currency);
        let node_id = self.node_id.as_deref().map(str::parse::<NodeId>).transpose();
        let node_id =
            node_id.map_err(|error| FieldError::new("/node_id", "body_invalid", error.to_string()));
        let project_id = self.project_id.as_deref().map(str::parse::<ProjectId>).transpose();
        let project_id = project_id
            .map_err(|error| FieldError::new("/project_id", "body_invalid", error.to_string()));
        let (currency, node_id, project_id) = match (currency, node_id, project_id) {
            (Ok(currency), Ok(node_id), Ok(project_id)) => (currency, node_id, project_id),
            (currency, node_id, project_id) => {
                let errors = [currency.err(), node_id.err(), project_id.err()];
                return Err(Problem::invalid(errors.into_iter().flatten().collect()));
            }
        };
        Ok(RequestAllocation {
            organisation_id: caller.organisation_id,
            sku_id: self.sku_id,
            additional_disk_gib: self.additional_disk_gib,
            currency,
            ssh_public_key: without_comment(&self.ssh_public_key),
            project_id,
            node_id,
        })
    }
}

/// The first two words of one line: type and key.
#[must_use]
pub fn without_comment(key: &str) -> String {
    let line = key.trim_end_matches(['\n', '\r', ' ']);
    if line.contains(['\n', '\r']) {
        return line.to_owned();
    }
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// It is under way.
#[derive(Debug, Serialize, ToSchema)]
pub struct AllocationDone {
    /// `alloc_…`
    allocation_id: String,
    /// What it is now.
    status: String,
}

impl AllocationDone {
    fn of(id: &str, status: &str) -> Self {
        Self { allocation_id: id.to_owned(), status: status.to_owned() }
    }
}

/// Where to log in.
#[derive(Debug, Serialize, ToSchema)]
pub struct SshAccess {
    /// Account.
    pub login: String,
    /// Address of the node.
    pub address: String,
    /// Port of its SSH server.
    pub port: i32,
    /// Line for `known_hosts`: the authority that vouches for every node of this control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
}

/// Why it could not be had.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// The step of provisioning that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A tax on a rental.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tax)]
pub struct TaxDto {
    /// ISO 3166: a country or a part of one.
    pub jurisdiction: String,
    /// What it is called there.
    pub name: String,
    /// Of the net amount, for example `19` or `8.875`.
    pub percent: String,
    /// `inclusive`: the price in the catalogue includes it; `exclusive`: it was added to that; `reverse_charge`: the customer owes it to the
    /// jurisdiction, and it is not in the price.
    pub treatment: String,
}

impl From<Tax> for TaxDto {
    fn from(tax: Tax) -> Self {
        let treatment = match tax.treatment {
            TaxTreatment::Inclusive => "inclusive",
            TaxTreatment::Exclusive => "exclusive",
            TaxTreatment::ReverseCharge => "reverse_charge",
        };
        Self {
            jurisdiction: tax.rate.jurisdiction,
            name: tax.name,
            percent: format_percent(tax.rate.ppm),
            treatment: treatment.to_owned(),
        }
    }
}

/// A rental as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Allocation {
    /// `alloc_…`
    pub allocation_id: String,
    /// `org_…`
    pub organisation_id: String,
    /// The project that it counts in, `proj_…`; absent when it is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// `requested`, `reserved`, `provisioning`, `active`, `suspending`, `suspended`, `resuming`, `compensating`, `releasing`, `settling`,
    /// `released`, `failed`, `rejected`. What is suspended is not paid for, or is being resized: it does not run, costs nothing and keeps its data.
    pub status: String,
    /// Whether it is stuck and somebody looks at it.
    pub needs_operator: bool,
    /// What was rented.
    pub sku_id: String,
    /// What one gets.
    pub resources: ResourcesDto,
    /// Decimal: the pinned price of 3,600 seconds, less the discount, with additional disk, tax included; with tiers in the one that it is in.
    pub per_hour: String,
    /// Decimal: the same without the discount, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_per_hour: Option<String>,
    /// What it has beside the disk of its SKU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_disk: Option<AdditionalDisk>,
    /// The discount that it began with, or was moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<DiscountTaken>,
    /// All tiers, of a price that has some. They count what it was used for at this price.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
    /// The version of that price in the catalogue.
    pub price_version: i64,
    /// The tax on it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxDto>,
    /// ISO 4217.
    pub currency: String,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Where to log in, while it is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshAccess>,
    /// Steps verified on the node.
    pub steps_done: Vec<String>,
    /// Seconds billed so far: from proven readiness to the release request, without those of a suspension.
    pub active_seconds: i64,
    /// Seconds in which nothing proved that its node was alive: not billed.
    pub unproven_seconds: i64,
    /// Seconds that were metered and are taken back: not billed.
    pub corrected_seconds: i64,
    /// Decimal: charged so far, tax included.
    pub charged: String,
    /// Decimal: the tax in it.
    pub charged_tax: String,
    /// The change of size that it is in, or why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<AllocationResize>,
    /// Why it failed or was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why it ends: `customer`, `operator` or `funds_exhausted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_reason: Option<String>,
    /// RFC 3339.
    pub requested_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<String>,
    /// RFC 3339: since when it is suspended, or is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_since: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

impl From<view::Allocation> for Allocation {
    fn from(mut row: view::Allocation) -> Self {
        let resize = AllocationResize::taken(&mut row);
        let ssh = ssh_access(&row);
        let (tariff, used) = (row.tariff(), row.seconds_at_its_price());
        let additional_disk = AdditionalDisk::of(&row);
        let failure = row.failure_code.map(|code| Failure {
            step: row.failed_step,
            code,
            message: row.failure_message.unwrap_or_default(),
        });
        let tax = row.tax_jurisdiction.map(|jurisdiction| TaxDto {
            jurisdiction,
            name: row.tax_name.unwrap_or_default(),
            percent: format_percent(
                row.tax_ppm.and_then(|ppm| u32::try_from(ppm).ok()).unwrap_or(0),
            ),
            treatment: row.tax_treatment.unwrap_or_default(),
        });
        Self {
            ssh,
            resize,
            additional_disk,
            failure,
            tax,
            price_version: row.price_version,
            charged_tax: money::decimal(row.tax_nanos),
            allocation_id: row.allocation_id,
            organisation_id: row.organisation_id,
            project_id: row.project_id,
            status: row.status,
            needs_operator: row.needs_operator,
            sku_id: row.sku_id,
            resources: ResourcesDto::of(
                row.cpu_millis,
                row.memory_bytes,
                row.disk_bytes,
                row.pids_max,
            ),
            per_hour: money::decimal(tariff.per_hour_at(used)),
            list_per_hour: list_per_hour(&tariff, used),
            discount: row.discount_id.map(|id| DiscountTaken::of(id, tariff.discount_bps)),
            tiers: PriceTier::all(&tariff),
            currency: row.currency,
            node_id: row.node_id,
            steps_done: row.steps_done,
            active_seconds: row.active_seconds,
            unproven_seconds: row.unproven_seconds,
            corrected_seconds: row.corrected_seconds,
            charged: money::decimal(row.charged_nanos),
            release_reason: row.release_reason,
            requested_at: row.requested_at.to_string(),
            activated_at: row.activated_at.map(|at| at.to_string()),
            suspended_since: row
                .stopped_at
                .filter(|_| row.ended_at.is_none())
                .map(|at| at.to_string()),
            ended_at: row.ended_at.map(|at| at.to_string()),
        }
    }
}

fn ssh_access(row: &view::Allocation) -> Option<SshAccess> {
    let (login, address) = (row.login.clone()?, row.ssh_address.clone()?);
    let access = SshAccess { login, address, port: row.ssh_port?, known_hosts: None };
    (row.status == "active").then_some(access)
}

/// What happened, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct Timeline {
    /// Oldest first.
    pub items: Vec<TimelineEntry>,
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimelineEntry {
    /// Where in the log it is.
    pub position: i64,
    /// `requested`, `step_completed`, `activated` …
    pub entry: String,
    /// The step of provisioning, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What was observed, or why it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// RFC 3339.
    pub at: String,
}

impl From<timeline::Entry> for TimelineEntry {
    fn from(row: timeline::Entry) -> Self {
        let timeline::Entry { position, entry, step, detail, at, .. } = row;
        Self { position, entry, step, detail, at: at.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::without_comment;

    #[test]
    fn a_comment_is_dropped_and_a_second_line_is_not_hidden() {
        assert_eq!(without_comment("ssh-ed25519 AAAA me@laptop home\n"), "ssh-ed25519 AAAA");
        assert_eq!(without_comment("ssh-ed25519 AAAA"), "ssh-ed25519 AAAA");
        assert_eq!(without_comment("a b\nc d"), "a b\nc d");
    }
}

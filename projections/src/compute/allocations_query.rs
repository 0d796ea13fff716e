//! The row of an allocation, and who may see which.
use std::collections::BTreeMap;

use cairn_core::{Burn, Nanos, OrganisationId, Tariff};
use serde::Serialize;
use sqlx::PgExecutor;

use crate::row::{At, NO_PROJECT, Page, QueryError, before, fetch_limit};
use crate::tier_list::TierList;

/// An allocation as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Allocation {
    pub allocation_id: String,
    /// Where in the log it was requested.
    pub position: i64,
    pub organisation_id: String,
    /// `requested`, `reserved`, `provisioning`, `active`, `suspending`, `suspended`, `resuming`, `compensating`, `releasing`,
    /// `settling`, `released`, `failed` or `rejected`.
    pub status: String,
    pub needs_operator: bool,
    pub sku_id: String,
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub pids_max: i64,
    pub price_version: i64,
    pub currency: String,
    /// Of the first tier.
    pub nanos_per_hour: Nanos,
    /// The tiers after it.
    pub tiers: TierList,
    /// Seconds before it was moved to its price: the tiers begin there.
    pub priced_after_seconds: i64,
    /// Off all of it but the additional disk, in basis points.
    pub discount_id: Option<String>,
    pub discount_bps: i64,
    /// Additional disk and what each GiB of it costs, at a version of the SKU's price of it; zeroes when there is none.
    pub disk_version: i64,
    pub disk_gib: i64,
    pub disk_nanos_per_gib_hour: Nanos,
    /// What of its organisation's it counts in.
    pub project_id: Option<String>,
    pub ssh_public_key: String,
    /// The node asked for, if one was.
    pub wanted_node_id: Option<String>,
    pub node_id: Option<String>,
    pub uid: Option<i64>,
    pub hold_id: Option<String>,
    /// The account to log in to.
    pub login: Option<String>,
    /// Where to connect to over SSH.
    pub ssh_address: Option<String>,
    pub ssh_port: Option<i32>,
    /// Steps of provisioning that are verified on the node.
    pub steps_done: Vec<String>,
    /// What `id` printed when Cairn logged in.
    pub proof: Option<String>,
    /// Whole seconds billed or to be billed: from proven readiness to the release request, or to now, without those of a suspension.
    pub active_seconds: i64,
    /// Since when it is suspended, or is to be: the meter stands still.
    pub stopped_at: Option<At>,
    /// Seconds in which nothing proved that its node was alive: not billed.
    pub unproven_seconds: i64,
    /// Seconds that were metered and are taken back.
    pub corrected_seconds: i64,
    /// Charged so far, what is owed included.
    pub charged_nanos: Nanos,
    /// Seconds that are charged so far.
    pub charged_seconds: i64,
    /// Of it, what neither hold nor wallet covered.
    pub owed_nanos: Nanos,
    /// Who is owed a tax of what is charged, what it is called, in millionths of the net amount, and how it meets the price:
    /// `inclusive`, `exclusive` or `reverse_charge`.
    pub tax_jurisdiction: Option<String>,
    pub tax_name: Option<String>,
    pub tax_ppm: Option<i64>,
    pub tax_treatment: Option<String>,
    /// Of what is charged so far, tax.
    pub tax_nanos: Nanos,
    /// The SKU that it is about to be, and the additional disk that it is about to have.
    pub resize_sku_id: Option<String>,
    pub resize_disk_gib: Option<i64>,
    /// Why it did not become another one the last time.
    pub resize_failure_code: Option<String>,
    pub resize_failure_message: Option<String>,
    pub failed_step: Option<String>,
    pub failure_code: Option<String>,
    pub failure_message: Option<String>,
    /// `customer`, `operator` or `funds_exhausted`.
    pub release_reason: Option<String>,
    pub requested_at: At,
    pub activated_at: Option<At>,
    /// The meter stopped here.
    pub release_requested_at: Option<At>,
    /// Released, failed or rejected.
    pub ended_at: Option<At>,
}

fn tariff(
    (nanos_per_hour, TierList(tiers)): (Nanos, TierList),
    discount_bps: i64,
    (gib, nanos_per_gib_hour): (i64, Nanos),
) -> Tariff {
    let discount_bps = u32::try_from(discount_bps).unwrap_or_default();
    let extra_nanos_per_hour = gib.saturating_mul(nanos_per_gib_hour);
    Tariff { nanos_per_hour, tiers, discount_bps, extra_nanos_per_hour }
}

impl Allocation {
    /// What time costs at its price.
    #[must_use]
    pub fn tariff(&self) -> Tariff {
        let disk = (self.disk_gib, self.disk_nanos_per_gib_hour);
        tariff((self.nanos_per_hour, self.tiers), self.discount_bps, disk)
    }

    /// Seconds that it has been used for at its price.
    #[must_use]
    pub fn seconds_at_its_price(&self) -> i64 {
        (self.active_seconds - self.priced_after_seconds).max(0)
    }
}

/// Which allocations to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this organisation.
    pub organisation: Option<OrganisationId>,
    /// Only in this status.
    pub status: Option<String>,
    /// Only on this node.
    pub node_id: Option<String>,
    /// Only of this project, or of [`NO_PROJECT`].
    pub project: Option<String>,
}

async fn select(
    db: impl PgExecutor<'_>,
    allocation_id: Option<&str>,
    filter: Filter,
    (before, limit): (i64, i64),
) -> Result<Vec<Allocation>, QueryError> {
    let rows = sqlx::query_as!(
        Allocation,
        r#"SELECT a.allocation_id, a.position, a.organisation_id, a.status, a.needs_operator,
             a.sku_id, a.cpu_millis, a.memory_bytes, a.disk_bytes, a.pids_max, a.price_version,
             a.currency, a.nanos_per_hour, a.tiers AS "tiers: TierList", a.priced_after_seconds, a.discount_id, a.discount_bps,
             a.disk_version, a.disk_gib, a.disk_nanos_per_gib_hour,
             a.project_id, a.ssh_public_key, a.wanted_node_id, a.node_id, a.uid,
             a.hold_id, a.login, n.address AS "ssh_address?", n.port AS "ssh_port?", a.steps_done,
             a.proof,
             coalesce(a.active_seconds, greatest(floor(extract(epoch FROM
               coalesce(a.stopped_at, a.release_requested_at, now()) - a.activated_at))::bigint
               - a.unproven_seconds - a.idle_seconds - a.corrected_seconds, 0), 0) AS "active_seconds!",
             a.stopped_at AS "stopped_at: At",
             a.unproven_seconds, a.corrected_seconds,
             a.charged_nanos, a.charged_seconds, a.owed_nanos, a.tax_jurisdiction, a.tax_name,
             a.tax_ppm, a.tax_treatment, a.tax_nanos, a.resize_sku_id, a.resize_disk_gib, a.resize_failure_code,
             a.resize_failure_message, a.failed_step, a.failure_code,
             a.failure_message, a.release_reason, a.requested_at AS "requested_at: At",
             a.activated_at AS "activated_at: At",
             a.release_requested_at AS "release_requested_at: At", a.ended_at AS "ended_at: At"
           FROM compute_allocations a LEFT JOIN compute_addresses n ON n.node_id = a.node_id
           WHERE ($1::text IS NULL OR a.allocation_id = $1)
             AND ($2::text IS NULL OR a.organisation_id = $2)
             AND ($3::text IS NULL OR a.status = $3) AND ($4::text IS NULL OR a.node_id = $4)
             AND ($5::text IS NULL OR coalesce(a.project_id, $6) = $5)
             AND a.position < $7
           ORDER BY a.position DESC LIMIT $8"#,
        allocation_id,
        filter.organisation.map(|id| id.to_string()),
        filter.status,
        filter.node_id,
        filter.project,
        NO_PROJECT,
        before,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// One allocation; to another organisation it does not exist.
///
/// # Errors
/// [`QueryError`].
pub async fn get(
    db: impl PgExecutor<'_>,
    organisation: Option<OrganisationId>,
    allocation_id: &str,
) -> Result<Option<Allocation>, QueryError> {
    let filter = Filter { organisation, ..Filter::default() };
    Ok(select(db, Some(allocation_id), filter, (i64::MAX, 1)).await?.pop())
}

/// Allocations, newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Allocation>, QueryError> {
    let rows = select(db, None, filter, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}

/// What is running and costs, by currency and project.
pub type Burns = BTreeMap<(String, Option<String>), Burn>;

/// What everything that an organisation runs costs, by currency. What is suspended costs nothing.
///
/// # Errors
/// [`QueryError`].
pub async fn burn(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
) -> Result<BTreeMap<String, Burn>, QueryError> {
    let by_currency = |rental: &Running| rental.currency.clone();
    Ok(burns(running(db, organisation).await?, by_currency))
}

/// The same, by project too.
///
/// # Errors
/// [`QueryError`].
pub async fn burn_by_project(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
) -> Result<Burns, QueryError> {
    let by_project = |rental: &Running| (rental.currency.clone(), rental.project_id.clone());
    Ok(burns(running(db, organisation).await?, by_project))
}

fn burns<K: Ord>(rentals: Vec<Running>, key: impl Fn(&Running) -> K) -> BTreeMap<K, Burn> {
    let mut burns = BTreeMap::<K, Burn>::new();
    for rental in rentals {
        burns.entry(key(&rental)).or_default().add(rental.tariff, rental.seconds);
    }
    burns
}

/// A rental that costs.
struct Running {
    currency: String,
    project_id: Option<String>,
    tariff: Tariff,
    /// At its price.
    seconds: i64,
}

async fn running(
    db: impl PgExecutor<'_>,
    organisation: OrganisationId,
) -> Result<Vec<Running>, QueryError> {
    let rows = sqlx::query!(
        r#"SELECT currency, project_id, nanos_per_hour, tiers AS "tiers: TierList", discount_bps,
             disk_gib, disk_nanos_per_gib_hour,
             coalesce(greatest(floor(extract(epoch FROM coalesce(stopped_at, now()) - activated_at))::bigint
               - unproven_seconds - idle_seconds - priced_after_seconds, 0), 0) AS "seconds!"
           FROM compute_allocations
           WHERE organisation_id = $1 AND status IN ('active', 'suspending', 'resuming')"#,
        organisation.to_string(),
    );
    let rows = rows.fetch_all(db).await?.into_iter().map(|row| Running {
        tariff: tariff(
            (row.nanos_per_hour, row.tiers),
            row.discount_bps,
            (row.disk_gib, row.disk_nanos_per_gib_hour),
        ),
        currency: row.currency,
        project_id: row.project_id,
        seconds: row.seconds,
    });
    Ok(rows.collect())
}

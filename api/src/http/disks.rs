//! Additional disk: what it costs beside a SKU, and what a rental has of it.
use axum::extract::{Path, State};
use cairn_commands::catalog::{self, SetDiskPrice};
use cairn_compute::PinnedDisk;
use cairn_projections::catalog::skus as sku_view;
use cairn_projections::compute::allocations as view;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::catalog::SkuDone;
use super::money;
use super::state::Api;
use super::wish::Wish;
use crate::problem::Problem;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(set_disk_price))
}

/// Sets the price of additional disk: for rentals that begin from now on, and for those that are resized. Running ones keep theirs.
#[utoipa::path(post, path = "/v1/skus/{sku_id}/disk-prices", operation_id = "set_disk_price", tag = "catalog",
    request_body = DiskPriceBody, security(("api_key" = []), ("session" = [])),
    params(
        ("sku_id" = String, Path, description = "The SKU"),
        ("Idempotency-Key" = String, Header, description = "Once per wish"),
    ),
    responses((status = 200, description = "Set", body = SkuDone)))]
async fn set_disk_price(
    State(api): State<Api>,
    Path(sku_id): Path<String>,
    wish: Wish<DiskPriceBody>,
) -> Result<Done<SkuDone>, Problem> {
    let DiskPriceBody { amount, currency, gib_max } = wish.body;
    let per_gib_hour = money::parse(&amount, &currency).map_err(Problem::invalid)?;
    let (effective_at, expected) = (None, wish.expected);
    let input =
        SetDiskPrice { sku_id: sku_id.clone(), per_gib_hour, gib_max, effective_at, expected };
    let done = catalog::set_disk_price(&api.commands, &wish.context, input).await?;
    Ok(Done::ok(&done, SkuDone::of(sku_id)))
}

/// A price of additional disk to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskPriceBody {
    /// Decimal: the price of one GiB for 3,600 seconds.
    #[schema(example = "0.0001")]
    amount: String,
    /// CHF, EUR, GBP or USD.
    #[schema(example = "USD")]
    currency: String,
    /// The most GiB that one rental may have, at most 65,536; 0 sells it no longer.
    #[schema(example = 500, maximum = 65_536)]
    gib_max: u32,
}

/// The price of additional disk in one currency.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiskPrice {
    /// ISO 4217.
    pub currency: String,
    /// Decimal: the price of one GiB for 3,600 seconds. No discount is off it.
    pub per_gib_hour: String,
    /// The most GiB that one rental may have.
    pub gib_max: i64,
    /// Version that a rental would pin.
    pub version: i64,
}

impl From<sku_view::DiskPrice> for DiskPrice {
    fn from(price: sku_view::DiskPrice) -> Self {
        Self {
            currency: price.currency,
            per_gib_hour: money::decimal(price.nanos_per_gib_hour),
            gib_max: price.gib_max,
            version: price.version,
        }
    }
}

/// What a rental has beside the disk of its SKU, at the price that it keeps.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdditionalDisk {
    /// How many GiB.
    pub gib: i64,
    /// Decimal: the price of one GiB for 3,600 seconds, tax included.
    pub per_gib_hour: String,
    /// Decimal: the same of all of it.
    pub per_hour: String,
    /// The version of that price in the catalogue.
    pub price_version: i64,
}

impl AdditionalDisk {
    /// Of a row; none when it has none.
    pub fn of(row: &view::Allocation) -> Option<Self> {
        let per_hour = row.disk_gib.saturating_mul(row.disk_nanos_per_gib_hour);
        (row.disk_gib > 0).then(|| Self {
            gib: row.disk_gib,
            per_gib_hour: money::decimal(row.disk_nanos_per_gib_hour),
            per_hour: money::decimal(per_hour),
            price_version: row.disk_version,
        })
    }
}

impl From<PinnedDisk> for AdditionalDisk {
    fn from(disk: PinnedDisk) -> Self {
        Self {
            gib: disk.gib.into(),
            per_gib_hour: money::decimal(disk.nanos_per_gib_hour),
            per_hour: money::decimal(disk.nanos_per_hour()),
            price_version: disk.version.into(),
        }
    }
}

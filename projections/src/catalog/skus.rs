//! What is for sale and at which price: asked by customers before they rent.
//!
//! One row of `catalog_skus` is one SKU, retired ones included. One row of `catalog_prices` is one version of a price; the
//! current one of a currency is the latest that is effective. `catalog_disk_prices` has the same of additional disk.
use async_trait::async_trait;
use cairn_catalog::SkuEvent;
use cairn_core::{Nanos, Tariff};
use cairn_event_log::Recorded;
use serde::Serialize;
use sqlx::PgPool;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{Amounts, At, Page, QueryError, before, fetch_limit};
use crate::tier_list::TierList;

/// Name of this projection.
pub const NAME: &str = "catalog/skus";

/// A SKU with what it costs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Sku {
    pub sku_id: String,
    /// Where in the log it was defined.
    pub position: i64,
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub disk_bytes: i64,
    pub pids_max: i64,
    pub defined_at: At,
    /// Since when it can no longer be rented.
    pub retired_at: Option<At>,
    /// The current price in each currency it is sold in.
    pub prices: Vec<Price>,
    /// That of additional disk, in each currency that it is sold in.
    pub disk_prices: Vec<DiskPrice>,
}

/// One version of the price of additional disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct DiskPrice {
    #[serde(skip)]
    pub sku_id: String,
    pub version: i64,
    pub currency: String,
    /// Exact price of one GiB for 3,600 seconds.
    pub nanos_per_gib_hour: Nanos,
    /// The most that one rental may have; 0 when it is sold no longer.
    pub gib_max: i64,
    pub effective_at: At,
}

/// One version of a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Price {
    #[serde(skip)]
    pub sku_id: String,
    pub version: i64,
    pub currency: String,
    /// Exact price of 3,600 seconds, in the first tier.
    pub nanos_per_hour: Nanos,
    /// The tiers after it.
    pub tiers: TierList,
    pub effective_at: At,
}

impl Price {
    /// What time costs at it.
    #[must_use]
    pub const fn tariff(&self) -> Tariff {
        let TierList(tiers) = self.tiers;
        Tariff { tiers, ..Tariff::flat(self.nanos_per_hour) }
    }
}

/// The projection.
pub struct Skus;

#[async_trait]
impl Projection for Skus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["catalog_skus", "catalog_prices", "catalog_disk_prices"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[SkuEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        match event.decode()? {
            SkuEvent::Defined { sku_id, resources, at } => {
                let amounts = Amounts::from(resources);
                changes.insert(SkuRow {
                    sku_id,
                    position: event.position,
                    cpu_millis: amounts.cpu_millis,
                    memory_bytes: amounts.memory_bytes,
                    disk_bytes: amounts.disk_bytes,
                    pids_max: amounts.pids_max,
                    defined_at: At(at),
                    retired_at: None,
                });
            }
            SkuEvent::Priced { sku_id, price, .. } => changes.insert(PriceRow {
                sku_id,
                version: i64::from(price.version),
                currency: price.currency.code().into(),
                nanos_per_hour: price.nanos_per_hour,
                effective_at: At(price.effective_at),
                tiers: TierList(price.tiers),
            }),
            SkuEvent::DiskPriced { sku_id, price, .. } => changes.insert(DiskPriceRow {
                sku_id,
                version: i64::from(price.version),
                currency: price.currency.code().into(),
                nanos_per_gib_hour: price.nanos_per_gib_hour,
                gib_max: i64::from(price.gib_max),
                effective_at: At(price.effective_at),
            }),
            SkuEvent::Retired { sku_id, at } => {
                changes.change((sku_id,), move |sku: &mut SkuRow| {
                    sku.retired_at = Some(At(at));
                    Ok(())
                })
            }
        }
        Ok(())
    }
}

row! {
    /// What can or could be rented.
    pub(crate) struct SkuRow in "catalog_skus" by (sku_id: String) {
        sku_id: String,
        position: i64,
        cpu_millis: i64,
        memory_bytes: i64,
        disk_bytes: i64,
        pids_max: i64,
        defined_at: At,
        retired_at: Option<At>,
    }
}

row! {
    /// One version of its price.
    pub(crate) struct PriceRow in "catalog_prices" by (sku_id: String, version: i64) {
        sku_id: String,
        version: i64,
        currency: String,
        nanos_per_hour: Nanos,
        effective_at: At,
        tiers: TierList,
    }
}

row! {
    /// One version of the price of additional disk.
    pub(crate) struct DiskPriceRow in "catalog_disk_prices" by (sku_id: String, version: i64) {
        sku_id: String,
        version: i64,
        currency: String,
        nanos_per_gib_hour: Nanos,
        gib_max: i64,
        effective_at: At,
    }
}

async fn select(
    pool: &PgPool,
    sku_id: Option<&str>,
    retired_too: bool,
    (before, limit): (i64, i64),
) -> Result<Vec<Sku>, QueryError> {
    let rows = sqlx::query!(
        r#"SELECT sku_id, position, cpu_millis, memory_bytes, disk_bytes, pids_max,
             defined_at AS "defined_at: At", retired_at AS "retired_at: At"
           FROM catalog_skus
           WHERE ($1::text IS NULL OR sku_id = $1) AND ($2 OR retired_at IS NULL) AND position < $3
           ORDER BY position DESC LIMIT $4"#,
        sku_id,
        retired_too,
        before,
        limit,
    );
    let rows = rows.fetch_all(pool).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.sku_id.clone()).collect();
    let prices = current_prices(pool, &ids).await?;
    let disks = current_disk_prices(pool, &ids).await?;
    let skus = rows.into_iter().map(|row| Sku {
        prices: prices.iter().filter(|price| price.sku_id == row.sku_id).cloned().collect(),
        disk_prices: disks.iter().filter(|price| price.sku_id == row.sku_id).cloned().collect(),
        sku_id: row.sku_id,
        position: row.position,
        cpu_millis: row.cpu_millis,
        memory_bytes: row.memory_bytes,
        disk_bytes: row.disk_bytes,
        pids_max: row.pids_max,
        defined_at: row.defined_at,
        retired_at: row.retired_at,
    });
    Ok(skus.collect())
}

async fn current_prices(pool: &PgPool, sku_ids: &[String]) -> Result<Vec<Price>, QueryError> {
    let rows = sqlx::query_as!(
        Price,
        r#"SELECT DISTINCT ON (sku_id, currency) sku_id, version, currency, nanos_per_hour,
             tiers AS "tiers: TierList", effective_at AS "effective_at: At"
           FROM catalog_prices WHERE sku_id = ANY ($1) AND effective_at <= now()
           ORDER BY sku_id, currency, effective_at DESC, version DESC"#,
        sku_ids,
    );
    Ok(rows.fetch_all(pool).await?)
}

async fn current_disk_prices(
    pool: &PgPool,
    sku_ids: &[String],
) -> Result<Vec<DiskPrice>, QueryError> {
    let rows = sqlx::query_as!(
        DiskPrice,
        r#"SELECT DISTINCT ON (sku_id, currency) sku_id, version, currency, nanos_per_gib_hour, gib_max,
             effective_at AS "effective_at: At"
           FROM catalog_disk_prices WHERE sku_id = ANY ($1) AND effective_at <= now()
           ORDER BY sku_id, currency, effective_at DESC, version DESC"#,
        sku_ids,
    );
    let mut prices = rows.fetch_all(pool).await?;
    prices.retain(|price| price.gib_max > 0);
    Ok(prices)
}

/// One SKU, retired or not.
///
/// # Errors
/// [`QueryError`].
pub async fn get(pool: &PgPool, sku_id: &str) -> Result<Option<Sku>, QueryError> {
    Ok(select(pool, Some(sku_id), true, (i64::MAX, 1)).await?.pop())
}

/// SKUs, the last defined first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    retired_too: bool,
    after: Option<String>,
    limit: i64,
) -> Result<Page<Sku>, QueryError> {
    let rows = select(pool, None, retired_too, (before(after)?, fetch_limit(limit))).await?;
    Ok(Page::of(rows, limit, |row| row.position))
}

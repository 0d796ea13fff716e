//! Additional disk: what a SKU is sold with beside its own, at a price per GiB and hour of its own versions.
use cairn_core::{Currency, Nanos, Resources, Timestamp};
use serde::{Deserialize, Serialize};

use crate::sku::{LARGEST_PRICE, Sku, SkuError, SkuEvent};

/// The largest number of GiB that a price can be for.
pub const DISK_GIB_MAX: u32 = 65_536;

/// One version of the price of additional disk in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPrice {
    /// Counts up from 1 per SKU, apart from the versions of its own price.
    pub version: u32,
    /// Currency.
    pub currency: Currency,
    /// Exact price of one GiB for 3,600 seconds, in nanos.
    pub nanos_per_gib_hour: Nanos,
    /// The most that one rental may have; 0 when it is sold no longer.
    pub gib_max: u32,
    /// From when new rentals, and those that are resized, pay it.
    pub effective_at: Timestamp,
}

impl Sku {
    /// What one gets with so many GiB of additional disk.
    ///
    /// # Errors
    /// [`SkuError::Unknown`] or [`SkuError::Retired`].
    pub fn resources_with(&self, gib: u32) -> Result<Resources, SkuError> {
        let resources = self.for_sale()?;
        let disk_bytes = resources.disk_bytes.saturating_add(u64::from(gib) << 30);
        Ok(Resources { disk_bytes, ..resources })
    }

    /// The price of additional disk at `at`: the latest version effective by then. None where none is sold.
    #[must_use]
    pub fn disk_price_at(&self, currency: Currency, at: Timestamp) -> Option<DiskPrice> {
        self.latest_disk_price(currency, at).filter(|price| price.gib_max > 0)
    }

    /// What so many GiB are sold at; none for none.
    ///
    /// # Errors
    /// [`SkuError::DiskNotSold`] or [`SkuError::DiskBeyondLimit`].
    pub fn additional_disk(
        &self,
        (gib, currency): (u32, Currency),
        at: Timestamp,
    ) -> Result<Option<DiskPrice>, SkuError> {
        if gib == 0 {
            return Ok(None);
        }
        let sku_id = || self.sku_id.clone();
        let price = self.disk_price_at(currency, at);
        let price = price.ok_or_else(|| SkuError::DiskNotSold { sku_id: sku_id(), currency })?;
        if gib > price.gib_max {
            let (sku_id, gib_max) = (sku_id(), price.gib_max);
            return Err(SkuError::DiskBeyondLimit { sku_id, gib_max, wanted: gib });
        }
        Ok(Some(price))
    }

    pub(crate) fn set_disk_price(
        &self,
        price: DiskPrice,
        at: Timestamp,
    ) -> Result<Vec<SkuEvent>, SkuError> {
        self.for_sale()?;
        let sold = (1..=LARGEST_PRICE).contains(&price.nanos_per_gib_hour);
        if !sold || price.gib_max > DISK_GIB_MAX {
            return Err(SkuError::BadDiskPrice);
        }
        let version = self.disk_prices.keys().next_back().map_or(1, |last| last + 1);
        let alike = |known: DiskPrice| {
            let (version, effective_at) = (known.version, known.effective_at);
            known == DiskPrice { version, effective_at, ..price }
        };
        if self.latest_disk_price(price.currency, price.effective_at).is_some_and(alike) {
            return Ok(vec![]);
        }
        let (sku_id, price) = (self.sku_id.clone(), DiskPrice { version, ..price });
        Ok(vec![SkuEvent::DiskPriced { sku_id, price, at }])
    }

    fn latest_disk_price(&self, currency: Currency, at: Timestamp) -> Option<DiskPrice> {
        let effective = |p: &&DiskPrice| p.currency == currency && p.effective_at <= at;
        let effective = self.disk_prices.values().filter(effective);
        effective.max_by_key(|p| (p.effective_at, p.version)).copied()
    }
}

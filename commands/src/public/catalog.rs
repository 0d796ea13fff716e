//! What is for sale, in public.
use cairn_catalog::SkuEvent as Event;
use schemars::JsonSchema;
use serde::Serialize;

use super::envelope::{Said, public, public_types};
use super::shapes::{Money, Price, PriceInTiers, Resources};

public_types! {
    Defined = "cairn.sku.defined" 1;
    Priced = "cairn.sku.priced" 1;
    PricedInTiers = "cairn.sku.priced" 2;
    DiskPriced = "cairn.sku.disk_priced" 1;
    Retired = "cairn.sku.retired" 1;
}

/// A SKU is for sale once it has a price.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Defined {
    sku_id: String,
    resources: Resources,
}

/// What rentals cost that begin from an instant on.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Priced {
    sku_id: String,
    price: Price,
    /// From when on.
    effective_at: String,
}

/// The same, where the price has tiers.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PricedInTiers {
    sku_id: String,
    price: PriceInTiers,
    /// From when on.
    effective_at: String,
}

/// What additional disk costs from an instant on.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiskPriced {
    sku_id: String,
    /// Counts up from 1 per SKU, apart from the versions of its own price.
    price_version: u32,
    /// Exact price of one GiB for 3,600 seconds.
    per_gib_hour: Money,
    /// The most that one rental may have; 0 when it is sold no longer.
    gib_max: u32,
    /// From when on.
    effective_at: String,
}

/// It is sold no longer; running rentals keep it.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Retired {
    sku_id: String,
}

pub(super) fn publish(event: Event) -> Result<Option<Said>, String> {
    match event {
        Event::Defined { sku_id, resources, .. } => {
            public(&Defined { sku_id, resources: resources.into() })
        }
        Event::Priced { sku_id, price, .. } if !price.tiers.is_none() => public(&PricedInTiers {
            sku_id,
            price: PriceInTiers::new(price.version, &price.tariff(), price.currency),
            effective_at: price.effective_at.to_string(),
        }),
        Event::Priced { sku_id, price, .. } => {
            let per_hour = Money::new(price.nanos_per_hour, price.currency);
            let effective_at = price.effective_at.to_string();
            public(&Priced {
                sku_id,
                price: Price { version: price.version, per_hour },
                effective_at,
            })
        }
        Event::DiskPriced { sku_id, price, .. } => public(&DiskPriced {
            sku_id,
            price_version: price.version,
            per_gib_hour: Money::new(price.nanos_per_gib_hour, price.currency),
            gib_max: price.gib_max,
            effective_at: price.effective_at.to_string(),
        }),
        Event::Retired { sku_id, .. } => public(&Retired { sku_id }),
    }
}

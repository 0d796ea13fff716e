//! A SKU: a fixed amount of compute with versioned prices.
//!
//! Lifecycle: `defined → priced (version n, n+1, …) → retired`. A price version never changes once set; a rental pins the one it began with
//! (requirement M9). A price may have tiers, by how long a rental has been used at it. Additional disk has a price of its own, which may end.
use std::collections::BTreeMap;

use cairn_core::upcast::Upcast;
use cairn_core::{
    Currency, Decider, Nanos, Refusal, Resources, Tariff, Text, Texts, Tiers, Timestamp,
    cqrs_aggregate, domain_event,
};
use serde::{Deserialize, Serialize};

use crate::disks::{DISK_GIB_MAX, DiskPrice};

/// One version of a price in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceVersion {
    /// Counts up from 1 per SKU.
    pub version: u32,
    /// Currency.
    pub currency: Currency,
    /// Exact price of 3,600 seconds, in nanos; with tiers that of the first.
    pub nanos_per_hour: Nanos,
    /// The tiers after the first.
    #[serde(default, skip_serializing_if = "Tiers::is_none")]
    pub tiers: Tiers,
    /// From when new rentals pay it.
    pub effective_at: Timestamp,
}

impl PriceVersion {
    /// What time costs at it.
    #[must_use]
    pub const fn tariff(&self) -> Tariff {
        Tariff { tiers: self.tiers, ..Tariff::flat(self.nanos_per_hour) }
    }
}

/// What has happened to a SKU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum SkuEvent {
    #[serde(rename = "sku.defined")]
    Defined { sku_id: String, resources: Resources, at: Timestamp },
    #[serde(rename = "sku.priced")]
    Priced { sku_id: String, price: PriceVersion, at: Timestamp },
    /// Additional disk is sold at this price, or no longer.
    #[serde(rename = "sku.disk_priced")]
    DiskPriced { sku_id: String, price: DiskPrice, at: Timestamp },
    #[serde(rename = "sku.retired")]
    Retired { sku_id: String, at: Timestamp },
}

domain_event!(SkuEvent {
    Defined => "sku.defined", 1;
    Priced => "sku.priced", 2;
    DiskPriced => "sku.disk_priced", 1;
    Retired => "sku.retired", 1;
} upcasts [
    // In version 1 a price had no tiers; a program that knows none would charge the first for ever.
    Upcast { event_type: "sku.priced", from: 1, to_next: std::convert::identity },
]);

impl Texts for SkuEvent {
    const TEXTS: &'static [(&'static str, Text)] = &[
        ("sku_id", Text::Kept),
        ("at", Text::Kept),
        ("price.currency", Text::Kept),
        ("price.effective_at", Text::Kept),
    ];
}

/// What may be asked of a SKU.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum SkuCommand {
    Define {
        sku_id: String,
        resources: Resources,
        at: Timestamp,
    },
    SetPrice {
        currency: Currency,
        nanos_per_hour: Nanos,
        tiers: Tiers,
        effective_at: Timestamp,
        at: Timestamp,
    },
    /// The number of the version is ours to give.
    SetDiskPrice {
        price: DiskPrice,
        at: Timestamp,
    },
    Retire {
        at: Timestamp,
    },
}

/// Why a SKU refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SkuError {
    #[error("a SKU id is 1 to 40 of a-z, 0-9, '-' and '.', and begins with a letter")]
    BadId,
    #[error("cpu, memory, disk and pids must be more than zero (memory and disk at least 16 MiB)")]
    BadResources,
    #[error("a price is more than 0 and at most 1,000,000 per hour, in each of its tiers")]
    BadPrice,
    #[error(
        "additional disk costs more than 0 and at most 1,000,000 per GiB and hour, for at most {DISK_GIB_MAX} GiB"
    )]
    BadDiskPrice,
    #[error("additional disk is not sold with {sku_id} in {currency}")]
    DiskNotSold { sku_id: String, currency: Currency },
    #[error(
        "at most {gib_max} GiB of additional disk are sold with {sku_id}; {wanted} were asked for"
    )]
    DiskBeyondLimit { sku_id: String, gib_max: u32, wanted: u32 },
    #[error("there is no such SKU")]
    Unknown,
    #[error("the SKU is retired")]
    Retired,
    #[error("the SKU exists with other resources; they never change")]
    Exists,
}

impl Refusal for SkuError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadId => "sku_id_invalid",
            Self::BadResources => "sku_resources_invalid",
            Self::BadPrice => "price_invalid",
            Self::BadDiskPrice => "disk_price_invalid",
            Self::DiskNotSold { .. } => "disk_not_sold",
            Self::DiskBeyondLimit { .. } => "disk_beyond_limit",
            Self::Unknown => "unknown_sku",
            Self::Retired => "sku_retired",
            Self::Exists => "sku_exists",
        }
    }
}

/// What a SKU remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Sku {
    pub sku_id: String,
    pub resources: Option<Resources>,
    /// Every version, by number.
    pub prices: BTreeMap<u32, PriceVersion>,
    /// Every version of the price of additional disk, by number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disk_prices: BTreeMap<u32, DiskPrice>,
    pub retired: bool,
}

/// Checks the form of a SKU id.
///
/// # Errors
/// [`SkuError::BadId`].
pub fn check_sku_id(sku_id: &str) -> Result<(), SkuError> {
    let first = sku_id.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if first && sku_id.len() <= 40 && sku_id.bytes().all(rest) {
        Ok(())
    } else {
        Err(SkuError::BadId)
    }
}

pub(crate) const LARGEST_PRICE: Nanos = 1_000_000 * 1_000_000_000;

impl Decider for Sku {
    const TYPE: &'static str = "sku";
    type Command = SkuCommand;
    type Event = SkuEvent;
    type Error = SkuError;

    fn decide(&self, command: SkuCommand) -> Result<Vec<SkuEvent>, SkuError> {
        match command {
            SkuCommand::Define { sku_id, resources, at } => {
                check_sku_id(&sku_id)?;
                if !resources.is_sellable() {
                    return Err(SkuError::BadResources);
                }
                match self.resources {
                    None => Ok(vec![SkuEvent::Defined { sku_id, resources, at }]),
                    Some(_) if self.retired => Err(SkuError::Retired),
                    Some(known) if known == resources => Ok(vec![]),
                    Some(_) => Err(SkuError::Exists),
                }
            }
            SkuCommand::SetPrice { currency, nanos_per_hour, tiers, effective_at, at } => {
                self.for_sale()?;
                let version = self.prices.keys().next_back().map_or(1, |last| last + 1);
                let price = PriceVersion { version, currency, nanos_per_hour, tiers, effective_at };
                let sold = |nanos| (1..=LARGEST_PRICE).contains(&nanos);
                if !price.tariff().all().all(|tier| sold(tier.nanos_per_hour)) {
                    return Err(SkuError::BadPrice);
                }
                let current = self.price_at(currency, effective_at);
                if current.is_some_and(|known| known.tariff() == price.tariff()) {
                    return Ok(vec![]);
                }
                Ok(vec![SkuEvent::Priced { sku_id: self.sku_id.clone(), price, at }])
            }
            SkuCommand::SetDiskPrice { price, at } => self.set_disk_price(price, at),
            SkuCommand::Retire { at } => match (self.resources, self.retired) {
                (None, _) => Err(SkuError::Unknown),
                (Some(_), true) => Ok(vec![]),
                (Some(_), false) => Ok(vec![SkuEvent::Retired { sku_id: self.sku_id.clone(), at }]),
            },
        }
    }

    fn evolve(mut self, event: SkuEvent) -> Self {
        match event {
            SkuEvent::Defined { sku_id, resources, .. } => {
                self.sku_id = sku_id;
                self.resources = Some(resources);
            }
            SkuEvent::Priced { price, .. } => {
                self.prices.insert(price.version, price);
            }
            SkuEvent::DiskPriced { price, .. } => {
                self.disk_prices.insert(price.version, price);
            }
            SkuEvent::Retired { .. } => self.retired = true,
        }
        self
    }
}

cqrs_aggregate!(Sku);

impl Sku {
    /// Whether it is defined and not retired.
    ///
    /// # Errors
    /// [`SkuError::Unknown`] or [`SkuError::Retired`].
    pub fn for_sale(&self) -> Result<Resources, SkuError> {
        let resources = self.resources.ok_or(SkuError::Unknown)?;
        if self.retired { Err(SkuError::Retired) } else { Ok(resources) }
    }

    /// The price that a rental beginning at `at` pays: the latest version effective by then.
    #[must_use]
    pub fn price_at(&self, currency: Currency, at: Timestamp) -> Option<PriceVersion> {
        let effective = |p: &&PriceVersion| p.currency == currency && p.effective_at <= at;
        self.prices.values().filter(effective).max_by_key(|p| (p.effective_at, p.version)).copied()
    }
}

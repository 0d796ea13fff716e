//! What public events of several contexts share.
use cairn_compute::PinnedDisk;
use cairn_core::money::format_nanos;
use cairn_core::tax::format_percent;
use cairn_core::{Currency, Nanos, Tariff, TaxTreatment};
use cairn_ledger::SpendingLimit;
use schemars::JsonSchema;
use serde::Serialize;

/// An amount of money.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Money {
    /// A decimal number with two to nine decimals, exact.
    #[schemars(regex(pattern = "^-?[0-9]+\\.[0-9]{2,9}$"))]
    amount: String,
    /// ISO 4217 code.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    currency: String,
}

impl Money {
    pub(super) fn new(nanos: Nanos, currency: Currency) -> Self {
        Self { amount: format_nanos(nanos), currency: currency.to_string() }
    }
}

/// An amount of compute.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resources {
    /// Thousandths of a CPU core.
    cpu_millis: u32,
    /// Memory in bytes.
    memory_bytes: u64,
    /// Disk in bytes.
    disk_bytes: u64,
    /// Processes and threads at once.
    pids_max: u32,
}

impl From<cairn_core::Resources> for Resources {
    fn from(resources: cairn_core::Resources) -> Self {
        let cairn_core::Resources { cpu_millis, memory_bytes, disk_bytes, pids_max } = resources;
        Self { cpu_millis, memory_bytes, disk_bytes, pids_max }
    }
}

/// A version of a price.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    /// Counts up from 1 per SKU.
    pub(super) version: u32,
    /// Exact price of 3,600 seconds.
    pub(super) per_hour: Money,
}

/// A version of a price that has tiers or a discount.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceInTiers {
    /// Counts up from 1 per SKU.
    version: u32,
    /// By how long a rental has been used at this price; the first begins at 0.
    tiers: Vec<Tier>,
    /// Off all of them, in percent, where there is a discount: a decimal number with at most two decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{1,2}(\\.[0-9]{1,2})?$"))]
    discount_percent: Option<String>,
}

impl PriceInTiers {
    pub(super) fn new(version: u32, tariff: &Tariff, currency: Currency) -> Self {
        let tier = |tier: cairn_core::Tier| Tier {
            from_seconds: tier.from_seconds,
            per_hour: Money::new(tier.nanos_per_hour, currency),
        };
        let percent = |basis_points: u32| format_percent(basis_points * 100);
        let discount = Some(tariff.discount_bps).filter(|basis_points| *basis_points > 0);
        Self {
            version,
            tiers: tariff.all().map(tier).collect(),
            discount_percent: discount.map(percent),
        }
    }
}

/// Additional disk at a price of its own, of which no tier and no discount is: it comes on top.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdditionalDisk {
    /// How much.
    gib: u32,
    /// Counts up from 1 per SKU, apart from the versions of its own price.
    price_version: u32,
    /// Exact price of one GiB for 3,600 seconds.
    per_gib_hour: Money,
}

impl AdditionalDisk {
    pub(super) fn new(disk: &PinnedDisk, currency: Currency) -> Self {
        Self {
            gib: disk.gib,
            price_version: disk.version,
            per_gib_hour: Money::new(disk.nanos_per_gib_hour, currency),
        }
    }
}

/// One tier of a price.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tier {
    /// Seconds of use at this price before it begins.
    from_seconds: i64,
    /// Exact price of 3,600 seconds in it.
    per_hour: Money,
}

/// A spending limit.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhichLimit {
    Warn,
    Stop,
}

impl From<SpendingLimit> for WhichLimit {
    fn from(limit: SpendingLimit) -> Self {
        match limit {
            SpendingLimit::Warn => Self::Warn,
            SpendingLimit::Stop => Self::Stop,
        }
    }
}

/// A tax on what is rented.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tax {
    /// ISO 3166: a country or a part of one.
    #[schemars(regex(pattern = "^[A-Z]{2}(-[A-Z0-9]{1,3})?$"))]
    jurisdiction: String,
    /// What it is called there.
    name: String,
    /// Of the net amount, in percent: a decimal number with at most four decimals.
    #[schemars(regex(pattern = "^[0-9]{1,3}(\\.[0-9]{1,4})?$"))]
    percent: String,
    /// How it meets the price.
    treatment: Treatment,
}

/// How a tax meets a price.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Treatment {
    /// The price of the catalogue includes it.
    Inclusive,
    /// It was added to the price of the catalogue.
    Exclusive,
    /// The customer owes it to the jurisdiction; it is not in the price.
    ReverseCharge,
}

impl From<cairn_core::Tax> for Tax {
    fn from(tax: cairn_core::Tax) -> Self {
        let treatment = match tax.treatment {
            TaxTreatment::Inclusive => Treatment::Inclusive,
            TaxTreatment::Exclusive => Treatment::Exclusive,
            TaxTreatment::ReverseCharge => Treatment::ReverseCharge,
        };
        let percent = format_percent(tax.rate.ppm);
        Self { jurisdiction: tax.rate.jurisdiction, name: tax.name, percent, treatment }
    }
}

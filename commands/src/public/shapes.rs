//! What public events of several contexts share.
use cairn_core::money::format_nanos;
use cairn_core::{Currency, Nanos};
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

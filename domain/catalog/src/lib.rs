//! The catalogue: what is for sale and at which price. No presentation fields (requirement A5).
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod sku;

pub use sku::{PriceVersion, Sku, SkuCommand, SkuError, SkuEvent, check_sku_id};

//! The catalogue: what is for sale, at which price, to whom for less, and which tax is on it. No presentation fields (requirement A5).
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod discounts;
pub mod sku;
pub mod tax_table;

pub use discounts::{
    DISCOUNT_BPS_MAX, Discount, DiscountCommand, DiscountError, DiscountEvent, Discounts,
};
pub use sku::{PriceVersion, Sku, SkuCommand, SkuError, SkuEvent, check_sku_id};
pub use tax_table::{TaxTable, TaxTableCommand, TaxTableError, TaxTableEvent, TaxVersion};

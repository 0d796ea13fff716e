//! The catalogue: what is for sale, at which price, with which additional disk, to whom for less, and which tax is on it. No presentation fields (requirement A5).
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod discounts;
pub mod disks;
pub mod sku;
pub mod tax_table;

pub use discounts::{
    DISCOUNT_BPS_MAX, Discount, DiscountCommand, DiscountError, DiscountEvent, Discounts,
};
pub use disks::{DISK_GIB_MAX, DiskPrice};
pub use sku::{PriceVersion, Sku, SkuCommand, SkuError, SkuEvent, check_sku_id};
pub use tax_table::{TaxTable, TaxTableCommand, TaxTableError, TaxTableEvent, TaxVersion};

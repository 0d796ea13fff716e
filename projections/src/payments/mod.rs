//! Views of payments and refunds.
#[allow(clippy::module_inception)]
pub mod payments;
pub mod refunds;

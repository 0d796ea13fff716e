//! Views of payments and refunds.
#[allow(clippy::module_inception)]
pub mod payments;
mod payments_query;
pub mod refunds;

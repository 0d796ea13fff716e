//! What is seen: each projection folds the log into tables, and its rows and its checkpoint commit together.
//!
//! `engine` follows, rebuilds and verifies; `<context>/<view>.rs` is one view each: table, `project`, queries.
pub mod catalog;
pub mod compute;
mod decode;
pub mod engine;
pub mod finance;
pub mod fleet;
pub mod identity;
pub mod ledger;
pub mod notify;
pub mod operations;
pub mod payments;
pub mod row;
pub mod tenancy;
pub mod tier_list;

pub use engine::{
    Digest, EngineError, Parked, ProjectError, Projection, ProjectionStatus, Projector, Rebuild,
    RebuildProgress, Rebuilt, TableComparison, Verified, WaitError,
};
pub use row::{At, Page, QueryError};
pub use tenancy::Tenancy;
pub use tier_list::TierList;

/// Every projection there is.
#[must_use]
pub fn all() -> Vec<Box<dyn Projection>> {
    vec![
        Box::new(identity::api_keys::ApiKeys),
        Box::new(identity::people::People),
        Box::new(identity::organisations::Organisations),
        Box::new(identity::wishes::Wishes),
        Box::new(catalog::skus::Skus),
        Box::new(catalog::taxes::Taxes),
        Box::new(ledger::balances::Balances),
        Box::new(ledger::statement::Statement),
        Box::new(finance::breaks::Breaks),
        Box::new(finance::periods::Periods),
        Box::new(finance::papers::Papers),
        Box::new(payments::payments::Payments),
        Box::new(payments::refunds::Refunds),
        Box::new(fleet::nodes::Nodes),
        Box::new(fleet::rejected::RejectedEvidence),
        Box::new(compute::allocations::Allocations),
        Box::new(compute::timeline::Timeline),
        Box::new(compute::unproven::UnprovenTimes),
        Box::new(notify::endpoints::Endpoints),
        Box::new(operations::audit::Audit),
        Box::new(operations::interventions::Interventions),
        Box::new(operations::inbox::Inbox),
        Box::new(operations::feature_flags::FeatureFlags),
    ]
}

//! Views of rented compute.
pub mod allocations;
mod allocations_change;
mod allocations_query;
pub mod timeline;
pub mod unproven;
mod unproven_query;

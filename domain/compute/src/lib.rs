//! The compute context: allocations, which are rented shares of a node.
pub mod allocation;
mod decisions;

pub use allocation::{
    Allocation, AllocationCommand, AllocationError, AllocationEvent, AllocationStatus, PinnedPrice,
    Placement, ReleaseReason, Step,
};

//! The compute context: allocations, which are rented shares of a node.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod allocation;
mod corrections;
mod decisions;
pub mod events;
mod late;
pub mod prices;
mod public_key;
pub mod resizing;
mod suspension;

pub use allocation::{Allocation, AllocationCommand, AllocationError, AllocationStatus};
pub use events::{
    AllocationEvent, PinnedDiscount, PinnedDisk, PinnedPrice, Placement, ReleaseReason, Step,
    SuspensionReason,
};
pub use late::Gap;
pub use prices::{Due, Segment};
pub use public_key::check_public_key;
pub use resizing::{Resize, Size};

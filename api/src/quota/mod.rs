//! How often anybody may ask: counted in windows, over all processes of one Cairn.
//!
//! The count of a window is a row that all processes share. A process takes a share of what is left of it at once, an eighth and at
//! least one, and gives that out by itself: so a thousand requests are some fifty round trips, and one that is refused is none. What
//! a process has taken and does not use is lost with the window, so all together allow the quota or a little less, and never more.
mod lease;
mod store;
pub mod table;

pub use lease::Stand;
pub use store::Quotas;
pub use table::{Class, Policy, Rates};

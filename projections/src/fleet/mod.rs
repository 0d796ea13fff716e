//! Views of nodes.
pub mod nodes;
mod nodes_query;
mod nodes_reservations;
pub mod rejected;

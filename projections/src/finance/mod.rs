//! Views of how the books are checked.
pub mod breaks;
pub mod periods;

//! Views of how the books are checked, and of the papers made of them.
pub mod breaks;
pub mod papers;
pub mod periods;

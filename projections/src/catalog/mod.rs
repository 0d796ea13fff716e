//! Views of what is for sale.
pub mod skus;
pub mod taxes;

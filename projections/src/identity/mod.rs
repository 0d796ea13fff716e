//! Views of who may ask.
pub mod api_keys;
pub mod uses;

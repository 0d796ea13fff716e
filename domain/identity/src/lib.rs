//! The identity context. So far: API keys, each bound to an organisation and a role, and the erasure of whoever wants to be forgotten.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod api_key;
pub mod erasure;

pub use api_key::{ApiKey, ApiKeyCommand, ApiKeyError, ApiKeyEvent, Role};
pub use erasure::{Erasure, ErasureCommand, ErasureError, ErasureEvent, Searched};

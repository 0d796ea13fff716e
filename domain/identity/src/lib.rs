//! The identity context. So far: API keys, each bound to an organisation and a role.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod api_key;

pub use api_key::{ApiKey, ApiKeyCommand, ApiKeyError, ApiKeyEvent, Role};

//! The identity context. So far: API keys, each bound to an organisation and a role.
pub mod api_key;

pub use api_key::{ApiKey, ApiKeyCommand, ApiKeyError, ApiKeyEvent, Role};

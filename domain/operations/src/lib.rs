//! The operations context: what people did to the machinery, and why.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod configuration;
pub mod intervention;

pub use configuration::{
    Configuration, ConfigurationCommand, ConfigurationError, ConfigurationEvent,
};
pub use intervention::{
    Intervention, InterventionCommand, InterventionError, InterventionEvent, Verb,
};

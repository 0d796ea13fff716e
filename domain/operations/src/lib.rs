//! The operations context: what people did to the machinery, and why.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod configuration;
pub mod feature_flag;
pub mod intervention;

pub use configuration::{
    Configuration, ConfigurationCommand, ConfigurationError, ConfigurationEvent,
};
pub use feature_flag::{
    FeatureFlag, FeatureFlagCommand, FeatureFlagError, FeatureFlagEvent, check_flag_name,
};
pub use intervention::{
    Intervention, InterventionCommand, InterventionError, InterventionEvent, Verb,
};

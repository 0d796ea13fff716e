//! The operations context: what people did to the machinery, and why.
#![warn(clippy::wildcard_enum_match_arm, clippy::float_arithmetic)]
pub mod intervention;

pub use intervention::{
    Intervention, InterventionCommand, InterventionError, InterventionEvent, Verb,
};

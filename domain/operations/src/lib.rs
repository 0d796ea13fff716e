//! The operations context: what people did to the machinery, and why.
pub mod intervention;

pub use intervention::{
    Intervention, InterventionCommand, InterventionError, InterventionEvent, Verb,
};

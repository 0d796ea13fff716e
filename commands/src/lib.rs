//! What acts: the executor, one module per context, process managers and their effects.
pub mod ports;

//! Time and randomness: the only doors by which they enter.
use cairn_core::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Makes the bits of new ids.
pub trait IdSource: Send + Sync {
    /// 128 bits, time-ordered (see [`cairn_core::id::time_ordered`]); never the same twice.
    fn next(&self) -> u128;
}

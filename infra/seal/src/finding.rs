//! What a verification found.
use serde::Serialize;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An event that was sealed is not there.
    EventMissing,
    /// An event is not what was sealed.
    EventChanged,
    /// There are two events at one position.
    EventTwice,
    /// An event stands where none can be.
    EventMisplaced,
    /// The database cannot read an event.
    EventUnreadable,
    /// The seal of a block is not in the database, but was published.
    SealMissing,
    /// The seal in the database is not what was signed.
    SealBroken,
    /// The published seal is missing or not what was signed.
    PublishedBroken,
    /// Two signed versions of one block: somebody with the key has signed the past anew.
    SealForked,
    /// No list of leaves is left that fits the signed root: the block is not what was sealed, and nothing says where.
    LeavesLost,
}

/// Something that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The position that is wrong; the first of the block when the block's seal itself is.
    pub position: i64,
    /// The block.
    pub block: Option<u64>,
    /// What is wrong.
    pub fault: Fault,
    /// In words.
    pub detail: String,
}

//! Moves the bulk of closed ranges of the log to an object store, and reads through it.
//!
//! [`Archiver`] writes whole sealed blocks as one compressed segment, reads it back, holds it against the seals, records it, and
//! only then lets the log empty payload and metadata of exactly that range; each step may be repeated. [`SegmentReader`] is the
//! log's way back: whoever reads an archived event gets it whole, or an error that names segment and position.
mod archiver;
mod error;
mod plan;
mod reader;
mod segment;
mod store;
mod verify;

pub use archiver::{Archived, Archiver, ArchiverConfig, RunReport};
pub use error::ArchiveError;
pub use plan::{Bound, Piece, Policy, Reader, Standing, archived};
pub use reader::SegmentReader;
pub use segment::Manifest;
pub use verify::{ArchiveFinding, ArchiveReport};

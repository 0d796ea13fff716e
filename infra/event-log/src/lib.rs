//! The log: one table of facts in one gapless order, and the only code that writes it.
//!
//! [`EventLog::append`] hands a request to the one appender task of the process, which commits requests in groups: a stale
//! or repeated request fails alone. What a fact writes into the books is written in the same transaction, under the
//! database's own constraints. A command id is stored with its first outcome for ever.
mod appender;
mod batch;
mod books;
mod bulk;
mod carried;
mod carrier;
mod contract;
mod error;
mod lane;
mod listener;
mod loader;
mod log;
mod payload;
mod pool;
mod queue;
mod reader;
mod rights;
mod schema;
mod segments;
mod session;
mod snapshots;
mod types;

pub use bulk::{Archive, Bulk, BulkyRow, LogSource, Segment, SegmentError};
pub use carried::{CarrierStatus, ParkedStream};
pub use carrier::{Carried, Carrier};
pub use contract::LogContract;
pub use error::LogError;
pub use log::EventLog;
pub use payload::{Payload, Told};
pub use reader::Reader;
pub use rights::Rights;
pub use schema::{APP_ROLE, MIGRATOR, as_app};
pub use segments::{NewSegment, ReturnedBulk, SegmentRecord, segments};
pub use snapshots::Snapshot;
pub use types::{AppendRequest, Appended, Metadata, NewEvent, Outcome, Recorded, StoredOutcome};

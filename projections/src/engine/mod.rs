//! The engine: follows the log, parks what cannot be folded, rebuilds and verifies.
mod advance;
mod checkpoint;
mod digest;
mod error;
mod follow;
mod net;
mod parked;
mod past;
mod projection;
mod projector;
mod rebuild;
mod scratch;
mod status;
mod verify;
mod wait;

pub use digest::Digest;
pub(crate) use digest::one_snapshot_in_tx;
pub use error::{EngineError, ProjectError};
pub use net::{Cause, ColumnDiff, Kind, RowDiff, causes, net};
pub use parked::{Parked, Skip};
pub use past::{ColumnChange, PastError, RowChange, TableAt, ViewAt};
pub use projection::{Interest, Projection};
pub use projector::Projector;
pub use rebuild::{Rebuild, RebuildProgress, Rebuilt};
pub use status::ProjectionStatus;
pub use verify::{TableComparison, Verified};
pub use wait::WaitError;

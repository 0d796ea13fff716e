//! Personal data: sealed before it is stored, opened where somebody entitled looks, erased with its key.
//!
//! | who | when | what |
//! |---|---|---|
//! | the executor | between the decision and the append | personal texts of events are sealed under their subject's key |
//! | effects | before a call to the outside | what the world needs is opened |
//! | `api` | in an answer | what the caller may see is opened |
//! | everybody else | | passes on what is sealed |
//!
//! [`erase()`] destroys the key of a subject and looks for what is left ([`scan()`]); [`export()`] writes down all that is known of it.
mod erase;
mod export;
mod known;
mod leave;
mod mend;
pub mod retention;
mod scan;
mod seal;
mod texts;

pub use erase::{EraseError, Erased, Wish, erase};
pub use export::{Export, ExportedEvent, export};
pub use known::{Archived, Canaries, Known, known};
pub use leave::kept_by;
pub use mend::{Mended, mend};
pub use scan::{Found, Scan, ScannedTable, scan};
pub(crate) use seal::Sealed;
pub use seal::{Personal, SUBJECT_ERASED};

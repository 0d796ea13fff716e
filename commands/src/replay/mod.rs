//! Replay: the log folded again, from its first event, by nothing but the domain.
//!
//! - [`state()`]`(log, "wallet", id, At::Time(t))`: one stream as it stood at a position or an instant.
//! - [`timeline()`]`(log, "wallet", id, At::Head)`: its events, each with who caused it and what it changed in the state.
//! - [`diff()`]`(log, "wallet", id, (from, to))`: what differs between two points, and which event did it.
//! - [`export()`]`(log, &slice, &masks, write)`: whole streams as lines of a golden log, with what is personal masked.
//! - [`verify()`]`(log)`: every stream of the whole log, compared with the books and the snapshots that were written live.
//! - [`BooksVerifier`]: the books alone, while they are written.
//! - [`what_if()`]`(log, personal, &decisions)`: every decision made again by today's code, and the ones that would be others.
//!
//! All only read, each in a read-only transaction of its own.
mod books;
mod books_verifier;
mod diff;
mod error;
mod export;
pub(crate) mod fold;
mod inverse;
mod inverse_finance;
mod inverse_identity;
mod inverse_ledger;
mod inverse_methods;
mod inverse_papers;
mod inverse_top_up;
mod mask;
mod report;
mod state;
pub(crate) mod stones;
mod timeline;
mod verify;
mod what_if;

pub use books_verifier::{BooksVerifier, IN_THE_BOOKS, VerifiedBooks};
pub use diff::{Change, changes};
pub use error::ReplayError;
pub use export::{Exported, ExportedEvent, Slice, export};
pub use mask::Masks;
pub use report::{Difference, VerifyReport};
pub use state::{At, ids, position, state, types};
pub use timeline::{NetChange, StreamDiff, TimelineEntry, diff, timeline};
pub use verify::{verify, verify_in_pages};
pub use what_if::{Decisions, OtherDecision, Refused, TypeAgain, WhatIf};
pub use what_if::{what_if, what_if_in_pages};

pub(crate) use stones::{instant, timestamp};

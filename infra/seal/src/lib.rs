//! What is sealed, and how anybody can check it with nothing but public keys. No database, no network, no clock.
//!
//! Each event's columns become canonical bytes ([`SealedEvent`]), the bytes a leaf, the leaves of a range of positions a Merkle
//! tree as RFC 9162 has it ([`merkle`]). A block ([`Block`]) names its range, its root and the block before it, and is signed.
//! [`Chain`] judges blocks as they stand in the database and in the published copy; [`check_block`] holds the events against
//! them and names the first position that is not what was sealed; [`Proof`] shows one event to somebody who has no database.
mod block;
mod chain;
mod check;
mod event;
mod finding;
mod hash;
mod key;
pub mod merkle;
pub mod mutation;
mod proof;

pub use block::{Block, Header, MalformedBlock, Signed};
pub use chain::{Chain, Copies, Copy, Judged};
pub use check::{BlockView, check_block};
pub use event::{MalformedEvent, SealedEvent};
pub use finding::{Fault, Finding};
pub use hash::Hash;
pub use key::{KeyDirectory, KeyError, PublicKeys, SealKey};
pub use proof::{Proof, ProofError, Proven};

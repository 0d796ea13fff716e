//! Seals the log off the write path, publishes the seals, and holds the log against them.
//!
//! [`Sealer`] reads events by position, seals them in blocks and writes each block into `log_seals`; then it brings the
//! published copies (a file, and an object store when there is one) up to the table. Whatever a crash left out is caught up
//! with by the next turn. [`verify()`] reads everything again and names the first position that is not what was sealed.
mod error;
mod file;
mod object;
mod place;
mod published;
mod report;
mod sealer;
mod table;
mod verify;

pub use error::SealError;
pub use file::PublishedFile;
pub use object::PublishedObjects;
pub use place::{Place, STORE_VARIABLES, StoreError, StoreOptions};
pub use published::Published;
pub use report::{Report, Resume};
pub use sealer::{Evidence, Sealed, Sealer, SealerConfig};
pub use table::{Standing, block, events, log_id, prove, standing};
pub use verify::{Scope, verify};

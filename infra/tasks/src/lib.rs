//! Work that nobody waits for: it has a name, its panics are seen, and it begins anew.
//!
//! A task that panics is gone without a word, unless somebody waits for it. Here every panic of the process is counted and written
//! into the log by one hook ([`watch`]), under the name of the work that it happened in ([`named`]); whoever is to be told hears of it
//! ([`telling`]). What becomes of the work is for its owner: [`kept_up`] begins it anew, [`caught`] makes the panic an error like others.
mod hook;
mod run;
mod scope;

pub use hook::{otherwise, watch};
pub use run::{Panicked, caught, caught_now, kept_up};
pub use scope::{Panic, Told, named, telling};

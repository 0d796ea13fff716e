//! The command line: the same commands and views as HTTP, for those who have the machine.
pub mod args;
pub mod exit;
pub mod output;
pub mod projections_args;
mod projections_diff;

mod access;
mod allocations;
mod archive;
mod archive_args;
mod args_replay;
mod audit;
mod audit_args;
mod config;
mod config_args;
#[cfg(feature = "development")]
mod development;
mod discounts;
mod dispatch;
mod doctor;
mod entry;
mod finance;
mod flags;
mod keys;
mod known;
pub mod login;
mod migrate;
pub(crate) mod nearest;
mod nodes;
mod once;
mod pages;
mod people;
mod privacy;
mod privacy_args;
mod process;
mod projections;
mod projects;
mod relay;
mod reload;
mod replay;
mod replay_text;
mod seal;
mod serve;
mod session;
mod sink;
mod skus;
mod webhooks;
mod webhooks_args;
#[cfg(any(test, not(feature = "development")))]
mod without_development;

pub use self::entry::main;
#[cfg(not(feature = "development"))]
use self::without_development as development;

//! Who may ask: HTTP, the command line, authorisation, problems, configuration, and the composition root.
//!
//! `http/<context>.rs` holds a context's routes, `cli/<context>.rs` its commands. `wiring` joins every part; `config` alone reads the
//! environment. Nothing here decides: requests become commands for `cairn_commands`, questions become queries of `cairn_projections`.
pub mod auth;
pub mod charges;
pub mod cli;
pub mod config;
pub mod database;
pub mod erasure;
pub mod features;
pub mod figures;
pub mod http;
pub mod inbox;
pub mod live;
pub mod nodes;
pub mod organisations;
pub mod outside;
pub mod papers;
pub mod problem;
pub mod quota;
pub mod reconciliation;
pub mod reports;
pub mod retention;
#[cfg(feature = "development")]
pub mod stand_ins;
pub mod system;
pub mod trace;
pub mod traces;
pub mod upkeep;
pub mod verification;
pub mod wiring;

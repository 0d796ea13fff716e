//! The grammar of `cairn login` and what goes with it.
use std::time::Duration;

use clap::{Args, Subcommand};

use super::super::projections_args::span;

/// What somebody does on a machine of their own.
#[derive(Debug, Subcommand)]
pub enum OwnCommand {
    /// Asks a server for a key of your own, which you let in with a browser.
    Login(LoginArgs),
    /// Ends the key that `login` was given, and forgets it.
    Logout,
    /// Says whose key `login` was given, and whether it still works.
    Whoami,
}

/// `login`
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The server, for example `https://cairn.example`; the one logged in at before, or this machine's own, when absent.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// What the key may do, for example `compute:read`; may be repeated. All that you may do when absent.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// For how long the key works: 90s, 30m, 24h or 7d; 30 days when absent, which is the longest.
    #[arg(long, value_parser = span)]
    pub expires_in: Option<Duration>,
    /// What the key is called in the list of keys; your name and this machine's when absent.
    #[arg(long)]
    pub name: Option<String>,
}

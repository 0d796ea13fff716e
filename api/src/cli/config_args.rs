//! `cairn config …`
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// `config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Shows what every setting is here. Secrets are masked.
    Show {
        /// Also where each was said.
        #[arg(long)]
        origin: bool,
    },
    /// Says everything that is wrong: with the configuration as it is here, or with files by themselves.
    Check {
        /// Files, each looked at alone: neither the environment counts nor what files of secrets hold.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Lists every setting that there is.
    Settings,
    /// Prints a file to begin with.
    Template {
        /// For what.
        #[arg(value_enum)]
        purpose: Purpose,
    },
    /// Compares what two files name and how they say it, never what it is.
    Parity {
        /// One file.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
}

/// What a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// A server on one's own machine.
    Development,
    /// A server that tests start and throw away.
    Test,
    /// A server that customers use.
    Production,
}

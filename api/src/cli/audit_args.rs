//! The grammar of `cairn audit`.
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `audit`; without a further word it is `audit list`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// What to show without one.
    #[command(flatten)]
    pub trail: TrailArgs,
}

/// `audit`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The audit trail: who did what, from where, caused by what. Also without this word.
    List(TrailArgs),
    /// Reads the log again and holds every event against its seal. Exits with 7 and names the first bad position.
    Verify(VerifyArgs),
    /// Makes a file that shows to anybody who has the public key that one event is in the log.
    Prove {
        /// The event's position.
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        event: i64,
        /// Where to write it; to stdout when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Checks such a file. Needs no database, no server and no configuration.
    CheckProof(ProofArgs),
    /// Seals and publishes now what is not sealed yet.
    Seal,
    /// Prints the public keys, oldest first, for `check-proof --key`.
    Key {
        /// Makes a new key that signs from now on; the old one is destroyed, and what it signed stays valid.
        #[arg(long)]
        rotate: bool,
    },
}

/// `audit list`
#[derive(Debug, Args)]
pub struct TrailArgs {
    /// Only about this type of thing, for example `allocation`.
    #[arg(long)]
    pub aggregate_type: Option<String>,
    /// Only about this thing.
    #[arg(long)]
    pub aggregate_id: Option<String>,
    /// Only by this one: an API key's id, `operator:<name>`, or a process.
    #[arg(long)]
    pub actor: Option<String>,
    /// Only what this request set in motion.
    #[arg(long)]
    pub correlation_id: Option<String>,
    /// At most so many, newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// `audit verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Does not read events before this position again. The chain of seals is always checked whole.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    pub from: i64,
    /// Blocks that are read at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Goes on where an earlier run with this file stopped or ended, and notes there how far this one came.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// The published copy: a file, or the address of a place in an object store. This server's own file when absent.
    #[arg(long, value_name = "FILE|URL")]
    pub published: Option<String>,
    /// Public keys in PEM, oldest first. Those of the data directory when absent.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// `audit check-proof`
#[derive(Debug, Args)]
pub struct ProofArgs {
    /// The proof.
    pub file: PathBuf,
    /// Public keys in PEM, as `audit key` prints them.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// A published copy that must have the proof's block as well.
    #[arg(long, value_name = "FILE|URL")]
    pub published: Option<String>,
}

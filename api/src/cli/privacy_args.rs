//! Arguments of `cairn privacy`.
use std::path::PathBuf;

use cairn_core::Subject;
use clap::{Args, Subcommand};

use super::args::reason;

/// `privacy`
#[derive(Debug, Subcommand)]
pub enum PrivacyCommand {
    /// Destroys the key of a subject, so that nobody can read its personal data any more, and looks whether anything is left.
    Erase(EraseArgs),
    /// Writes down all that is known of a subject, as JSON.
    Export {
        /// Whose data: an organisation's id (`org_…`).
        subject: Subject,
        /// Into this new file, for its owner only; to stdout when absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Shows whose data can be read, whose is erased, and the master key in use.
    Status {
        /// Of one subject only (`org_…`).
        subject: Option<Subject>,
    },
    /// Shows for how long what is not the log is kept, what the next run would remove, and what the last one did.
    Retention {
        /// Removes nothing, as without it.
        #[arg(long, conflicts_with = "run")]
        dry_run: bool,
        /// Removes now what is past its time, as a running server does every hour.
        #[arg(long)]
        run: bool,
    },
    /// Makes a new master key, wraps every subject's key with it, and forgets the old one.
    Rotate,
}

/// `privacy erase`
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// Whose data: an organisation's id (`org_…`).
    pub subject: Subject,
    /// Why, for the audit trail. Do not name the person.
    #[arg(long, value_parser = reason)]
    pub reason: String,
    /// Does not ask. There is no way back.
    #[arg(long)]
    pub yes: bool,
    /// Also when something readable was found that the key does not seal. It is then no longer known what to look for.
    #[arg(long)]
    pub despite_findings: bool,
}

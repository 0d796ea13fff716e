//! The grammar of `cairn replay`.
use std::path::PathBuf;

use cairn_commands::replay::At;
use clap::{Args, Subcommand};

/// `replay`
#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// The state of one stream, folded from its events.
    State {
        /// Type of the aggregate, for example `allocation`.
        aggregate_type: String,
        /// Id of the stream.
        aggregate_id: String,
        /// As of a position of the log, or of an instant.
        #[arg(long)]
        at: Option<At>,
    },
    /// The rows of a view as they were.
    View {
        /// The view, as `cairn projections status` names it.
        view: String,
        /// Only rows of this key: the columns of the primary key joined by `/`, or the first of them.
        #[arg(long)]
        key: Option<String>,
        /// As of a position of the log, or of an instant.
        #[arg(long)]
        at: Option<At>,
    },
    /// Every event of one stream: when, by whom, caused by what, and what it changed.
    Timeline {
        /// Type of the aggregate, for example `allocation`.
        aggregate_type: String,
        /// Id of the stream.
        aggregate_id: String,
        /// Up to a position of the log, or an instant.
        #[arg(long)]
        at: Option<At>,
    },
    /// What differs between two points of the log, and which event did it.
    Diff(DiffArgs),
    /// The events that set a value in a view, the last one first.
    Why {
        /// The view, as `cairn projections status` names it.
        view: String,
        /// The row: the columns of its primary key joined by `/`, or the first of them.
        key: String,
        /// The column; every one when absent.
        column: Option<String>,
        /// The value as of a position of the log, or of an instant.
        #[arg(long)]
        at: Option<At>,
    },
    /// Prints whole streams as lines of a golden log, with what is personal masked.
    Export(ExportArgs),
    /// Folds every stream again and compares with snapshots and books.
    Verify,
    /// Makes every decision of the log again with this code, and lists those that would be others.
    WhatIf(WhatIfArgs),
}

/// `replay diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Type of the aggregate, for example `allocation`.
    #[arg(requires = "aggregate_id", required_unless_present = "view", conflicts_with = "view")]
    pub aggregate_type: Option<String>,
    /// Id of the stream.
    pub aggregate_id: Option<String>,
    /// A view instead of a stream.
    #[arg(long)]
    pub view: Option<String>,
    /// Only rows of this key.
    #[arg(long, requires = "view")]
    pub key: Option<String>,
    /// The earlier point: a position of the log or an instant. What happened there is not part of the difference.
    #[arg(long)]
    pub from: At,
    /// The later point; now when absent.
    #[arg(long)]
    pub to: Option<At>,
}

/// `replay export`: each stream that has an event in all that is said, from its beginning.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A stream, as `type/id`; may be given several times.
    #[arg(long = "stream", value_name = "TYPE/ID", value_parser = stream)]
    pub streams: Vec<(String, String)>,
    /// What this request set in motion.
    #[arg(long)]
    pub correlation: Option<String>,
    /// What happened at or after this position.
    #[arg(long, required_unless_present_any = ["streams", "correlation", "to"])]
    pub from: Option<i64>,
    /// What happened up to and including this position or instant; now when absent.
    #[arg(long)]
    pub to: Option<At>,
    /// Into a new file instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What the masks are made with: exports with the same secret mask the same text alike. Forgotten when absent.
    #[arg(long, value_name = "TEXT")]
    pub secret: Option<String>,
}

/// `replay what-if`
#[derive(Debug, Args)]
pub struct WhatIfArgs {
    /// Only decisions of this type of aggregate, for example `wallet`.
    #[arg(long = "type", value_name = "TYPE")]
    pub aggregate_type: Option<String>,
    /// Only what was decided at or after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    pub from: i64,
    /// Only what was decided up to and including this position or instant; now when absent.
    #[arg(long)]
    pub to: Option<At>,
}

fn stream(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(kind, id)| !kind.is_empty() && !id.is_empty());
    let (kind, id) = parts.ok_or("a stream is written as type/id, for example sku/small")?;
    Ok((kind.to_owned(), id.to_owned()))
}

//! The grammar of `cairn projections`.
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use cairn_commands::replay::At;
use cairn_projections::engine::Against;
use clap::{Args, Subcommand};

use super::args::reason;

/// `projections`
#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// Where each stands.
    Status,
    /// Builds some anew from the log, beside the old ones, and swaps.
    Rebuild(RebuildArgs),
    /// Goes back to the rows that the last rebuild replaced, while they are kept.
    Rollback {
        /// Its name.
        name: String,
        /// Why; kept with who did it.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
    /// Folds one anew beside its tables and compares them row by row.
    Verify {
        /// Its name; all when absent.
        name: Option<String>,
        /// Only one key in so many, chosen anew each time; a view that does not split by key is compared whole.
        #[arg(long, value_name = "KEYS", num_args = 0..=1, default_missing_value = "20")]
        sample: Option<NonZeroU32>,
    },
    /// Rows that differ from another generation of the view, or from what this program folds up to a position, and the event that made
    /// each differ.
    Diff(DiffViewArgs),
    /// One number for all rows of each.
    Digest {
        /// Its name; all when absent.
        name: Option<String>,
    },
    /// Events that could not be folded, and what to do about them.
    Parked {
        /// What to do.
        #[command(subcommand)]
        command: ParkedCommand,
    },
    /// What people did to views, and why, newest first.
    Actions {
        /// Of one projection; of all when absent.
        name: Option<String>,
    },
}

/// `projections parked`
#[derive(Debug, Subcommand)]
pub enum ParkedCommand {
    /// Shows them, those that wait behind them, and those that were skipped.
    List {
        /// Of one projection; of all when absent.
        name: Option<String>,
    },
    /// Folds the parked events of a key, all of them or none.
    Retry {
        /// The projection.
        name: String,
        /// The key, as `list` prints it.
        key: String,
    },
    /// Goes on without one parked event, for good; `retry` then folds what waits behind it.
    Skip {
        /// The projection.
        name: String,
        /// The event's position, as `list` prints it.
        position: i64,
        /// Why; kept with the event.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
}

/// `projections rebuild`
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// Their names. The log is read once for all of them.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// Every view.
    #[arg(long)]
    pub all: bool,
    /// Connections that fold beside each other, where a view can be split by key.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub workers: u16,
    /// Builds and compares, lists the rows that differ, and swaps nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Stops before anything is folded when an event does not decode, instead of parking it.
    #[arg(long)]
    pub strict: bool,
    /// At most so many events per second.
    #[arg(long, value_name = "EVENTS")]
    pub rate: Option<NonZeroU32>,
    /// How long the replaced rows go on following the log, so that `rollback` is instant: 90s, 30m, 24h or 7d; 0s drops them.
    #[arg(long, default_value = "24h", value_parser = span)]
    pub keep: Duration,
    /// Begins anew instead of going on with what an earlier rebuild left.
    #[arg(long)]
    pub restart: bool,
}

/// `projections diff`
#[derive(Debug, Args)]
pub struct DiffViewArgs {
    /// Its name.
    pub name: String,
    /// `kept` or `building` for the rows that lie beside the live ones, `v2` for those of that version of the code, or a position of the
    /// log or an instant for what this program folds up to there; `head` for all.
    #[arg(long, value_name = "VERSION|POSITION")]
    pub against: Beside,
    /// Describes at most so many rows; all are counted.
    #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// What a live view is held against, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Rows that lie beside the live ones.
    Rows(Against),
    /// What this program folds up to a point.
    Folded(At),
}

impl FromStr for Beside {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let version = text.strip_prefix('v').and_then(|version| version.parse().ok());
        match (text, version) {
            ("kept", _) => Ok(Self::Rows(Against::Kept)),
            ("building", _) => Ok(Self::Rows(Against::Building)),
            (_, Some(version)) => Ok(Self::Rows(Against::Version(version))),
            _ => text.parse().map(Self::Folded).map_err(|_| {
                format!(
                    "'{text}' is neither kept, building, a version such as v2, a position, nor an instant such as \
                     2026-01-31T09:00:00Z"
                )
            }),
        }
    }
}

/// A length of time: a number and `s`, `m`, `h` or `d`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no length of time: 90s, 30m, 24h or 7d");
    let (split, unit) = text.char_indices().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let amount: u32 = text[..split].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(amount) * seconds))
}

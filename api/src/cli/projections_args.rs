//! The grammar of `cairn projections`.
use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::reason;

/// `projections`
#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// Where each stands.
    Status,
    /// Builds one anew from the log, beside the old one, and swaps.
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
    /// Its name.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub name: Option<String>,
    /// Every view, one after the other.
    #[arg(long)]
    pub all: bool,
    /// Connections that fold beside each other, where a view can be split by key.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub workers: u16,
    /// Builds and compares, lists the rows that differ, and swaps nothing.
    #[arg(long)]
    pub dry_run: bool,
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

/// A length of time: a number and `s`, `m`, `h` or `d`.
fn span(text: &str) -> Result<Duration, String> {
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

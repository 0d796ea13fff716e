//! `cairn demo …`
use std::path::PathBuf;

use clap::Args;

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Ends after the story, instead of leaving the server running.
    #[arg(long)]
    pub once: bool,
    /// Where the demo keeps its data; it begins anew each time. `demo` in the data directory when absent.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Seconds that the first rental runs.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
}

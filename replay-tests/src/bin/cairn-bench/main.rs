//! `cairn-bench append`: how many commands a second the executor and the log take, beside stock postgres-es and plain INSERTs.
//!
//! Everything runs on one private, durable cluster in one run, with one ~350-byte event per command, so that the figures compare.
mod measure;
mod note;
mod plain;
mod report;
mod rivals;

use std::path::PathBuf;
use std::time::Duration;

use cairn_cluster::{Cluster, ClusterConfig};
use clap::{Parser, ValueEnum};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Cairn.
#[derive(Debug, Parser)]
enum Bench {
    /// Appends commands.
    Append(Append),
}

/// What to measure and for how long.
#[derive(Debug, clap::Args)]
struct Append {
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Seconds of each cell of the table.
    #[arg(long, default_value_t = 2.5)]
    seconds: f64,
    /// Numbers of concurrent callers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    callers: Vec<usize>,
    /// Where the cluster is made, to be removed afterwards; a directory on the disk that you want to measure.
    #[arg(long)]
    directory: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> Result<(), Failure> {
    let Bench::Append(append) = Bench::parse();
    let parent = append.directory.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(parent)?;
    let cluster = Cluster::start(ClusterConfig {
        directory: scratch.path().to_path_buf(),
        durable: true,
        settings: vec![
            ("max_connections".to_owned(), "100".to_owned()),
            ("shared_buffers".to_owned(), "256MB".to_owned()),
            // As after hours of running: segments of the write-ahead log are there to be used again.
            ("min_wal_size".to_owned(), "2GB".to_owned()),
            ("max_wal_size".to_owned(), "4GB".to_owned()),
        ],
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let span = Duration::from_secs_f64(append.seconds);
    let measured = runtime.block_on(rivals::run(&cluster, &append.callers, span));
    drop(runtime);
    cluster.remove();
    report::print(&measured?, append.output == Output::Json)
}

//! `cairn-bench append`: how many commands a second the executor and the log take, beside stock postgres-es and plain INSERTs.
//! `cairn-bench rebuild`: how fast views are folded anew, beside a bare scan of the log.
//!
//! Everything runs on one private, durable cluster in one run, so that the figures compare.
mod measure;
mod mixed;
mod note;
mod plain;
mod rebuild;
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
    /// Folds balances and allocations anew.
    Rebuild(rebuild::RebuildArgs),
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
    match Bench::parse() {
        Bench::Append(args) => {
            let span = Duration::from_secs_f64(args.seconds);
            let work = async |cluster: &Cluster| rivals::run(cluster, &args.callers, span).await;
            let measured = on_a_cluster(args.directory.clone(), work)?;
            report::print(&measured, args.output == Output::Json)
        }
        Bench::Rebuild(args) => {
            let work = async |cluster: &Cluster| rebuild::run(cluster, &args).await;
            let measured = on_a_cluster(args.directory.clone(), work)?;
            if let Some(plot) = &args.plot {
                rebuild::plot(&measured, plot)?;
            }
            report::print_rebuilds(&measured, args.output == Output::Json)
        }
    }
}

/// Measures on a private, durable cluster, which is gone afterwards.
fn on_a_cluster<T>(
    directory: Option<PathBuf>,
    work: impl AsyncFnOnce(&Cluster) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let parent = directory.unwrap_or_else(std::env::temp_dir);
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
    let measured = runtime.block_on(work(&cluster));
    drop(runtime);
    cluster.remove();
    measured
}

#[allow(clippy::print_stderr, reason = "progress of a command-line tool")]
fn say(line: &str) {
    eprintln!("{line} …");
}

//! `cairn-bench`: how fast Cairn is, beside what else there is, in one run on one private, durable cluster, so that figures compare.
mod append;
mod compare;
mod floor;
mod http;
mod ledger;
mod measure;
mod mixed;
mod note;
mod plain;
mod rebuild;
mod report;
mod stage;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use cairn_cluster::Cluster;
use clap::{Parser, ValueEnum};

/// The server's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Cairn.
#[derive(Debug, Parser)]
enum Bench {
    /// Appends commands.
    Append(Load),
    /// Moves money.
    Ledger(Ledger),
    /// Folds balances and allocations anew.
    Rebuild(rebuild::RebuildArgs),
    /// Asks a server over HTTP, from another process.
    Http(Http),
    /// Says how runs of two builds compare.
    Compare(compare::Compare),
}

/// What to measure and for how long.
#[derive(Debug, clap::Args)]
struct Load {
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
    /// Draws rates against callers into this file, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// The same, beside other ledgers.
#[derive(Debug, clap::Args)]
struct Ledger {
    #[command(flatten)]
    load: Load,
    /// The program that measures other ledgers, `replay-tests/peers`.
    #[arg(long)]
    peers: Option<PathBuf>,
}

/// The same, with a server.
#[derive(Debug, clap::Args)]
struct Http {
    #[command(flatten)]
    load: Load,
    /// The program `cairn` that serves.
    #[arg(long)]
    server: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

impl Load {
    fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn print(&self, report: &impl report::Report) -> Result<(), Failure> {
        if let Some(file) = &self.plot {
            std::fs::write(file, report::plot(report)?)?;
        }
        report::print(report, self.output == Output::Json)
    }
}

fn main() -> Result<(), Failure> {
    match Bench::parse() {
        Bench::Append(load) => {
            let work =
                async |cluster: &Cluster| append::run(cluster, &load.callers, load.span()).await;
            load.print(&on_a_cluster(load.directory.as_ref(), work)?)
        }
        Bench::Ledger(Ledger { load, peers }) => {
            let work = async |cluster: &Cluster| {
                let mut measured = ledger::run(cluster, &load.callers, load.span()).await?;
                if let Some(program) = &peers {
                    measured.peers = Some(ledger::peers(cluster, program, &load)?);
                }
                Ok(measured)
            };
            load.print(&on_a_cluster(load.directory.as_ref(), work)?)
        }
        Bench::Rebuild(args) => {
            let work = async |cluster: &Cluster| rebuild::run(cluster, &args).await;
            let measured = on_a_cluster(args.directory.as_ref(), work)?;
            if let Some(plot) = &args.plot {
                rebuild::plot(&measured, plot)?;
            }
            report::print_rebuilds(&measured, args.output == Output::Json)
        }
        Bench::Http(Http { load, server }) => {
            let house = http::House::build(&server, load.directory.as_ref())?;
            let measured = runtime()?.block_on(http::run(&house, &load.callers, load.span()));
            house.demolish();
            load.print(&measured?)
        }
        Bench::Compare(args) => compare::run(&args),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Measures on a private, durable cluster, which is gone afterwards.
fn on_a_cluster<T>(
    directory: Option<&PathBuf>,
    work: impl AsyncFnOnce(&Cluster) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (cluster, _scratch) = stage::cluster(directory)?;
    let measured = runtime()?.block_on(work(&cluster));
    cluster.remove();
    measured
}

//! The command line: the same commands and views as HTTP, for those who have the machine.
pub mod args;
pub mod exit;
pub mod output;

mod allocations;
mod audit;
mod demo;
mod doctor;
mod finance;
mod keys;
mod migrate;
mod nodes;
mod once;
mod pages;
mod process;
mod projections;
mod replay;
mod serve;
mod session;
mod skus;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use self::args::{Cli, Command};
use self::exit::CliError;
use self::output::Output;
use crate::config::Config;

const FAREWELL: Duration = Duration::from_secs(5);

/// Parses, runs, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.output);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(CliError::from).and_then(|runtime| {
        let mut config = Config::from_env().map_err(|error| CliError::usage(error.to_string()))?;
        config.idempotency = cli.idempotency_key.map(once::once).transpose()?;
        let ended = runtime.block_on(run(cli.command, &config, output));
        // Whoever interrupted us waits: what still blocks has a moment to clear up.
        runtime.shutdown_timeout(FAREWELL);
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.fail(&error);
            error.exit.into()
        }
    }
}

async fn run(command: Command, config: &Config, output: Output) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::serve(config, &args, output).await,
        Command::Dev => serve::dev(config, output).await,
        Command::Migrate(command) => migrate::run(config, command, output).await,
        Command::Keys(command) => keys::run(config, command, output).await,
        Command::Nodes(command) => nodes::run(config, command, output).await,
        Command::Skus(command) => skus::run(config, command, output).await,
        Command::Allocations(command) => allocations::run(config, command, output).await,
        Command::Balance(args) => finance::balance(config, &args, output).await,
        Command::Finance(command) => finance::run(config, command, output).await,
        Command::Replay(command) => replay::run(config, command, output).await,
        Command::Projections(command) => projections::run(config, command, output).await,
        Command::Process(command) => process::run(config, command, output).await,
        Command::Audit(args) => audit::run(config, args, output).await,
        Command::Doctor => doctor::run(config, output).await,
        Command::Demo(args) => demo::run(config, &args, output).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cairn", &mut script);
            output.raw(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}

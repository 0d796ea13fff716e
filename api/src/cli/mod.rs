//! The command line: the same commands and views as HTTP, for those who have the machine.
pub mod args;
pub mod exit;
pub mod output;
pub mod projections_args;
mod projections_diff;

mod access;
mod allocations;
mod archive;
mod archive_args;
mod args_replay;
mod audit;
mod audit_args;
mod config;
mod config_args;
mod demo;
mod doctor;
mod entry;
mod finance;
mod flags;
mod keys;
pub mod login;
mod migrate;
pub(crate) mod nearest;
mod nodes;
mod once;
mod pages;
mod privacy;
mod privacy_args;
mod process;
mod projections;
mod relay;
mod reload;
mod replay;
mod replay_text;
mod seal;
mod serve;
mod session;
mod skus;
mod webhooks;
mod webhooks_args;

use self::args::Command;
pub use self::entry::main;
use self::exit::CliError;
use self::output::Output;
use crate::config::{Config, Reading, Sources};

/// `said` is where `config` was read from, and what was read.
async fn run(
    command: Command,
    config: &Config,
    said: (&Sources, Reading),
    output: Output,
) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::serve(config, said, &args, output).await,
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
        Command::Relay(command) => relay::run(config, command, output).await,
        Command::Flags(command) => flags::run(config, command, output).await,
        Command::Webhooks(command) => webhooks::run(config, command, output).await,
        Command::Process(command) => process::run(config, command, output).await,
        Command::Archive(command) => archive::run(config, command, output).await,
        Command::Audit(args) => audit::run(config, args, output).await,
        Command::Privacy(command) => privacy::run(config, command, output).await,
        Command::Doctor => doctor::run(config, output).await,
        Command::Own(command) => login::run(config, said.0, command, output).await,
        Command::Demo(args) => demo::run(config, &args, output).await,
        // They need no configuration, and have run before there was one.
        Command::Completions { .. } | Command::Config(_) | Command::Access(_) => Ok(()),
    }
}

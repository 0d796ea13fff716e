//! From a parsed command to what carries it out.
use super::args::Command;
use super::exit::CliError;
use super::output::Output;
use super::{
    allocations, archive, audit, development, discounts, doctor, finance, flags, keys, login,
    migrate, nodes, people, privacy, process, projections, projects, relay, replay, serve, skus,
    webhooks,
};
use crate::config::{Config, Reading, Sources};

/// `said` is where `config` was read from, and what was read.
pub(super) async fn run(
    command: Command,
    config: &Config,
    said: (&Sources, Reading),
    output: Output,
) -> Result<(), CliError> {
    match command {
        Command::Serve(args) if args.dev => development::serve(config, said, output).await,
        Command::Serve(_) => serve::serve(config, said, output).await,
        Command::Migrate(command) => migrate::run(config, command, output).await,
        Command::Keys(command) => keys::run(config, command, output).await,
        Command::People(command) => people::run(config, command, output).await,
        Command::Nodes(command) => nodes::run(config, command, output).await,
        Command::Skus(command) => skus::run(config, command, output).await,
        Command::Discounts(command) => discounts::run(config, command, output).await,
        Command::Projects(command) => projects::run(config, command, output).await,
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
        Command::Development(command) => development::run(command, config, output).await,
        // They need no configuration, and have run before there was one.
        Command::Completions { .. } | Command::Config(_) | Command::Access(_) => Ok(()),
    }
}

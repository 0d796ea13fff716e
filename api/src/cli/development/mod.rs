//! What one types in development: `cairn dev`, `cairn serve --dev` and `cairn demo`.
//!
//! Only a build with the feature `development` has it; in others `without_development` stands in its place and says so (ADR 0039).
mod demo;
mod serve;

use std::sync::Arc;

use cairn_commands::ports::PaymentPort;
use clap::Subcommand;

pub(super) use self::demo::DemoArgs;
pub(super) use self::serve::serve;
use super::exit::CliError;
use super::output::Output;
use crate::config::Config;
use crate::outside::OutsideError;
use crate::stand_ins;

/// `dev` and `demo`
#[derive(Debug, Subcommand)]
pub enum DevelopmentCommand {
    /// Runs a server for development: simulated Stripe, an operator's and a customer's key printed once.
    Dev,
    /// The whole story, on real parts. It always has a private PostgreSQL of its own, whatever `DATABASE_URL` says.
    Demo(DemoArgs),
}

pub(super) async fn run(
    command: DevelopmentCommand,
    config: &Config,
    output: Output,
) -> Result<(), CliError> {
    match command {
        DevelopmentCommand::Dev => serve::dev(config, output).await,
        DevelopmentCommand::Demo(args) => demo::run(config, &args, output).await,
    }
}

/// The payment provider, for a command beside a server.
pub(super) fn provider(config: &Config) -> Result<Arc<dyn PaymentPort>, OutsideError> {
    stand_ins::provider(config)
}

/// Whether the demo's node can be a real one here.
pub(super) fn namespaces() -> Option<Result<String, String>> {
    let available = cairn_testbed::is_available();
    Some(available.map(|()| "this machine can run them".to_owned()).map_err(|e| e.to_string()))
}

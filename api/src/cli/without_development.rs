//! What stands in the place of `development` in a build for production: the same words, and where they can be had.
//!
//! Who types them has come from a guide, and shall not have to guess why the command is not there (ADR 0039).
use std::ffi::OsString;
use std::sync::Arc;

use cairn_commands::ports::PaymentPort;
use clap::{Args, Subcommand};

use super::exit::CliError;
use super::output::Output;
use crate::config::{Config, Reading, Sources};
use crate::outside::{self, OutsideError};

/// `dev` and `demo`, which are not here.
#[derive(Debug, Subcommand)]
pub enum DevelopmentCommand {
    /// Not in this build.
    #[command(hide = true, disable_help_flag = true)]
    Dev(Anything),
    /// Not in this build.
    #[command(hide = true, disable_help_flag = true)]
    Demo(Anything),
}

/// Whatever else was typed.
#[derive(Debug, Args)]
pub struct Anything {
    /// Read by nobody.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub(super) async fn run(
    command: DevelopmentCommand,
    _: &Config,
    _: Output,
) -> Result<(), CliError> {
    let (DevelopmentCommand::Dev(said) | DevelopmentCommand::Demo(said)) = &command;
    tracing::debug!(words = ?said.words, "a command of another build");
    Err(elsewhere(match command {
        DevelopmentCommand::Dev(_) => "cairn dev",
        DevelopmentCommand::Demo(_) => "cairn demo",
    }))
}

/// `cairn serve --dev`
pub(super) async fn serve(_: &Config, _: (&Sources, Reading), _: Output) -> Result<(), CliError> {
    Err(elsewhere("cairn serve --dev"))
}

/// The payment provider, for a command beside a server.
pub(super) fn provider(config: &Config) -> Result<Arc<dyn PaymentPort>, OutsideError> {
    Ok(outside::payments(config)?.port)
}

/// No demo, so no node of it.
pub(super) const fn namespaces() -> Option<Result<String, String>> {
    None
}

fn elsewhere(words: &str) -> CliError {
    CliError::usage(format!(
        "`{words}` is for development and not in this build, which is for production: a build with \
         the feature `development` has it, as `cargo build -p cairn-api` makes it"
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{DevelopmentCommand, namespaces, provider, run, serve};
    use crate::cli::exit::{CliError, Exit};
    use crate::cli::output::{Format, Output};
    use crate::config::{Config, Sources};
    use crate::outside::OutsideError;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: DevelopmentCommand,
    }

    fn says(told: Result<(), CliError>, words: &str) {
        let error = told.unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.message.starts_with(&format!("`{words}` is for development")), "{error}");
        assert!(error.message.contains("the feature `development` has it"), "{error}");
    }

    #[tokio::test]
    async fn whoever_types_what_is_not_here_is_told_where_it_is() {
        let (config, output) = (Config::from_lookup(|_| None).unwrap(), Output::new(Format::Json));
        for (typed, words) in [
            (&["cairn", "dev"][..], "cairn dev"),
            (&["cairn", "demo", "--once", "--seconds", "2"], "cairn demo"),
            (&["cairn", "demo", "--help"], "cairn demo"),
        ] {
            let command = Cli::try_parse_from(typed).unwrap().command;
            says(run(command, &config, output).await, words);
        }
        let sources = Sources::of_process(None, vec![]);
        says(serve(&config, (&sources, sources.read()), output).await, "cairn serve --dev");
    }

    #[test]
    fn nobody_stands_in_for_a_provider_that_is_not_named() {
        let config = Config::from_lookup(|_| None).unwrap();
        assert!(matches!(provider(&config), Err(OutsideError::NoStripe)));
        assert!(namespaces().is_none());
    }
}

//! From the words of the command line to an exit code.
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;

use super::args::{Cli, Command, pair};
use super::dispatch::run;
use super::exit::{CliError, Exit};
use super::once::once;
use super::output::{Format, Output};
use super::{access, config};
use crate::config::Sources;

/// How long what still blocks may clear up after the command is over.
const FAREWELL: Duration = Duration::from_secs(5);

/// Parses, runs, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            Output::new(Format::Json).fail(&CliError::usage(error.render().to_string().trim()));
            return Exit::Usage.into();
        }
        Err(error) => error.exit(),
    };
    let output = Output::new(cli.output);
    match start(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.fail(&error);
            error.exit.into()
        }
    }
}

fn start(cli: Cli, output: Output) -> Result<(), CliError> {
    let sources = Sources::of_process(cli.config, sets());
    let command = match cli.command {
        Command::Completions { shell } => return completions(shell, output),
        Command::Config(command) => return config::run(command, &sources, output),
        Command::Access(command) => return access::run(command, output),
        command => command,
    };
    let reading = sources.read();
    let mut config = reading.config()?;
    config.idempotency = cli.idempotency_key.map(|key| once(key, &command)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(run(command, &config, (&sources, reading), output));
    runtime.shutdown_timeout(FAREWELL);
    ended
}

fn completions(shell: Shell, output: Output) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cairn", &mut script);
    output.raw(&String::from_utf8_lossy(&script));
    Ok(())
}

/// Every `--set`, in order. Of an option that may stand anywhere clap keeps what stands behind the last subcommand only.
fn sets() -> Vec<(String, String)> {
    let words: Vec<_> = std::env::args().collect();
    let words = words.split(|word| word == "--").next().unwrap_or_default();
    let pairs = words.iter().zip(words.iter().skip(1).map(Some).chain([None]));
    let said = pairs.filter_map(|(word, next)| match word.strip_prefix("--set")? {
        "" => next.map(String::as_str),
        rest => rest.strip_prefix('='),
    });
    said.filter_map(|text| pair(text).ok()).collect()
}

/// Whether the words ask for JSON, when they cannot be parsed.
fn wants_json() -> bool {
    let words: Vec<_> = std::env::args_os().collect();
    words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}

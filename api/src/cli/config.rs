//! `cairn config`: what the settings are, whether they are right, and files to begin with.
use std::path::PathBuf;

use serde::Serialize;

use super::config_args::{ConfigCommand, Purpose};
use super::exit::{CliError, Exit};
use super::output::Output;
use crate::config::settings::settings;
use crate::config::{ConfigErrors, Problem, Reading, Sources, parity, template};

pub(super) fn run(
    command: ConfigCommand,
    sources: &Sources,
    output: Output,
) -> Result<(), CliError> {
    match command {
        ConfigCommand::Show { origin } => show(&sources.read(), origin, output),
        ConfigCommand::Check { files } => check(&files, sources, output),
        ConfigCommand::Settings => list(output),
        ConfigCommand::Template { purpose } => {
            let (name, template) = match purpose {
                Purpose::Development => ("development", template::DEVELOPMENT),
                Purpose::Test => ("test", template::TEST),
                Purpose::Production => ("production", template::PRODUCTION),
            };
            output.raw(&template::render(name, template));
            Ok(())
        }
        ConfigCommand::Parity { one, other } => {
            let differences = parity::parity(&one, &other)?;
            output.rows(&differences, &["key", "one", "other"])?;
            let count = differences.len();
            if count == 0 {
                return Ok(());
            }
            let says = format!(
                "{count} settings are not said alike in {} and {}",
                one.display(),
                other.display()
            );
            Err(CliError::new(Exit::Differs, "config_differs", says))
        }
    }
}

/// What is wrong is said after what is.
fn show(reading: &Reading, origin: bool, output: Output) -> Result<(), CliError> {
    let columns: &[&str] = if origin { &["key", "value", "origin"] } else { &["key", "value"] };
    let mut rows = reading.shown();
    if !origin {
        rows.iter_mut().for_each(|row| row.origin = None);
    }
    output.rows(&rows, columns)?;
    Ok(reading.config().map(drop)?)
}

/// How a check ended.
#[derive(Serialize)]
struct Checked {
    file: Option<PathBuf>,
    ok: bool,
    problems: Vec<Problem>,
}

fn check(files: &[PathBuf], sources: &Sources, output: Output) -> Result<(), CliError> {
    let mut readings: Vec<_> =
        files.iter().map(|file| (Some(file.clone()), Reading::of_file(file))).collect();
    if readings.is_empty() {
        readings.push((sources.file(), sources.read()));
    }
    let checked = readings.into_iter().map(|(file, reading)| {
        let problems = reading.config().err().map(|errors| errors.0).unwrap_or_default();
        Checked { file, ok: problems.is_empty(), problems }
    });
    let checked: Vec<_> = checked.collect();
    output.rows(&checked, &["file", "ok"])?;
    let problems: Vec<_> = checked.into_iter().flat_map(|checked| checked.problems).collect();
    if problems.is_empty() { Ok(()) } else { Err(ConfigErrors(problems).into()) }
}

/// A row of the table of settings.
#[derive(Serialize)]
struct Listed {
    key: &'static str,
    variable: &'static str,
    kind: &'static str,
    secret: bool,
    reloads: bool,
    default: Option<&'static str>,
    what: &'static str,
}

fn list(output: Output) -> Result<(), CliError> {
    let rows = settings().iter().map(|setting| Listed {
        key: &setting.key,
        variable: setting.variable,
        kind: setting.kind.noun(),
        secret: setting.secret,
        reloads: setting.reloads,
        default: setting.default,
        what: setting.help,
    });
    let rows: Vec<_> = rows.collect();
    output.rows(&rows, &["key", "variable", "kind", "secret", "reloads", "default", "what"])
}

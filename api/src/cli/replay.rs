//! `cairn replay`: state from events.
use cairn_commands::replay::{self, ReplayError};

use super::args::ReplayCommand;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::Session;
use crate::config::Config;

impl From<ReplayError> for CliError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::UnknownType(..) => Self::usage(error.to_string()),
            ReplayError::NotFound(..) => Self::new(Exit::NotFound, "not_found", error.to_string()),
            ReplayError::Corrupt { .. } => {
                Self::new(Exit::Differs, "log_corrupt", error.to_string())
            }
            ReplayError::Database(error) => error.into(),
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: ReplayCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        ReplayCommand::State { aggregate_type, aggregate_id, at } => {
            let at = at.unwrap_or_default();
            let found = replay::state(parts.pool(), &aggregate_type, &aggregate_id, at).await?;
            output.one(&found)
        }
        ReplayCommand::Verify => {
            let report = replay::verify(parts.pool()).await?;
            output.one(&report)?;
            if report.identical {
                return Ok(());
            }
            let message = format!("{} differences", report.differences_found);
            Err(CliError::new(Exit::Differs, "replay_differs", message))
        }
    })
    .await
}

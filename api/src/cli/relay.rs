//! `cairn relay`: public events on their way to Kafka.
use cairn_commands::relay::{self, RelayError};

use super::args::RelayCommand;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::outside;

impl From<RelayError> for CliError {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::Range(_) => Self::usage(error.to_string()),
            RelayError::Log(error) => error.into(),
            RelayError::Topic(error) => error.into(),
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: RelayCommand,
    output: Output,
) -> Result<(), CliError> {
    let topic = outside::topic(config).ok_or_else(nowhere)?;
    Session::run(config, async |parts| {
        let log = log(&parts);
        match command {
            RelayCommand::Status => {
                use cairn_commands::ports::TopicPort as _;
                output.one(&relay::status(log, topic.name()).await?)
            }
            RelayCommand::Verify { from, to } => {
                let source = &config.event_source;
                let report = relay::verify(log, &topic, source, (from, to)).await?;
                output.one(&report)?;
                if report.agrees() {
                    return Ok(());
                }
                let message = "the topic does not tell what the log says";
                Err(CliError::new(Exit::Differs, "relay_differs", message))
            }
        }
    })
    .await
}

fn log(parts: &SessionParts) -> &cairn_event_log::EventLog {
    parts.commands.executor.log()
}

fn nowhere() -> CliError {
    let message = "no brokers are configured: set CAIRN_KAFKA_BROKERS, as for the server";
    CliError::new(Exit::Usage, "no_brokers", message)
}

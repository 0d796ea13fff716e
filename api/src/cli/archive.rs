//! `cairn archive`: the bulk of old events, in an object store.
use cairn_archive::{ArchiveError, Archiver, Policy, Reader};
use cairn_commands::{processes, relay};
use cairn_sealer::Sealer;
use serde::Serialize;

use super::archive_args::{ArchiveCommand, PolicyOfAge};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;

impl From<ArchiveError> for CliError {
    fn from(error: ArchiveError) -> Self {
        let said = error.to_string();
        match error {
            ArchiveError::Log(error) => error.into(),
            ArchiveError::Seal(error) => error.into(),
            ArchiveError::Store(_) => Self::new(Exit::Unavailable, "archive_unavailable", said),
            ArchiveError::Busy => Self::new(Exit::Unavailable, "archive_busy", said),
            ArchiveError::Differs { .. } => Self::new(Exit::Differs, "archive_differs", said),
            ArchiveError::Unknown(_) => Self::new(Exit::NotFound, "not_found", said),
            ArchiveError::Broken(_) => Self::failure(said),
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: ArchiveCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| {
        let archiver = archiver(&parts, config).ok_or_else(nowhere)?;
        match command {
            ArchiveCommand::Run(age) => {
                archive(&archiver, &policy(&parts, &age, output).await?, output).await
            }
            ArchiveCommand::Status(age) => {
                let policy = policy(&parts, &age, output).await?;
                output.one(&archiver.standing(&policy).await?)
            }
            ArchiveCommand::Verify { segment } => verify(&archiver, segment, output).await,
            ArchiveCommand::Restore { segment, .. } => restore(&archiver, segment, output).await,
        }
    })
    .await
}

/// The archiver of a configuration that names an archive.
pub(super) fn archiver(parts: &SessionParts, config: &Config) -> Option<Archiver> {
    let log = parts.commands.executor.log().clone();
    let sealer = Sealer::new(log.clone(), config.seal.clone());
    config.archive.clone().map(|archive| Archiver::new(log, sealer, archive))
}

fn nowhere() -> CliError {
    let message = "no archive is configured: set CAIRN_ARCHIVE_URL, as for the server";
    CliError::new(Exit::Usage, "no_archive", message)
}

/// What is archived no reader needs soon: views, processes and relays have all passed it. A view that does not get on keeps what
/// it has not read.
async fn policy(
    parts: &SessionParts,
    age: &PolicyOfAge,
    output: Output,
) -> Result<Policy, CliError> {
    if let Err(behind) = parts.catch_up(&parts.projector.names()).await {
        output.say(&behind.to_string());
    }
    let views =
        parts.projector.status().await.map_err(|error| CliError::failure(error.to_string()))?;
    let views = views.into_iter().map(|view| (format!("view {}", view.name), view.position));
    let processes = processes::operator::checkpoints(parts.pool()).await?;
    let processes = processes.into_iter().map(|(name, at)| (format!("process {name}"), at));
    let relays = relay::checkpoints(parts.pool()).await?;
    let relays = relays.into_iter().map(|(topic, at)| (format!("relay to {topic}"), at));
    let readers = views.chain(processes).chain(relays);
    let readers = readers.map(|(name, position)| Reader { name, position }).collect();
    Ok(Policy { older_than: age.older_than, keep_events: age.keep_events, readers })
}

async fn archive(archiver: &Archiver, policy: &Policy, output: Output) -> Result<(), CliError> {
    let report = archiver.run(policy).await?;
    output.one(&report)?;
    if report.segments.is_empty() {
        output.say(&format!(
            "nothing is due: ranges are closed up to position {}, and the narrowest bound is '{}'; `cairn archive status` shows all",
            report.closed_position, report.held_by
        ));
    } else {
        output.say("PostgreSQL uses the room again after its next (auto)vacuum of events; VACUUM FULL events gives it back to the disk, and locks the table meanwhile");
    }
    Ok(())
}

async fn verify(archiver: &Archiver, segment: Option<i64>, output: Output) -> Result<(), CliError> {
    let report = archiver.verify(segment).await?;
    output.one(&report)?;
    let Some(first) = report.findings.first() else { return Ok(()) };
    let message = format!(
        "segment {}, position {}: {}: {}; {} findings",
        first.segment,
        first.position,
        first.object,
        first.detail,
        report.findings.len()
    );
    Err(CliError::new(Exit::Differs, "archive_differs", message))
}

async fn restore(
    archiver: &Archiver,
    segment: Option<i64>,
    output: Output,
) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Restored {
        events_restored: i64,
    }
    output.one(&Restored { events_restored: archiver.restore(segment).await? })
}

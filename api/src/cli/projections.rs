//! `cairn projections`: read models.
use std::sync::Arc;

use cairn_projections::engine::Skip;
use cairn_projections::{EngineError, Rebuild};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::ProjectionsCommand;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Log(error) => error.into(),
            EngineError::Database(error) => error.into(),
            EngineError::Unknown(_) => {
                Self::new(Exit::NotFound, "unknown_projection", error.to_string())
            }
            EngineError::AlreadyRebuilding(_) => {
                Self::new(Exit::Refused, "already_rebuilding", error.to_string())
            }
            EngineError::NotParked { .. } => {
                Self::new(Exit::NotFound, "not_parked", error.to_string())
            }
            EngineError::StillPoisonous { .. } => {
                Self::new(Exit::Refused, "still_poisonous", error.to_string())
            }
            EngineError::ReasonNeeded => {
                Self::new(Exit::Refused, "reason_needed", error.to_string())
            }
            other => Self::failure(other.to_string()),
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: ProjectionsCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        ProjectionsCommand::Status => {
            let columns = ["name", "version", "position", "head", "lag_events", "parked_events"];
            output.rows(&parts.projector.status().await?, &columns)
        }
        ProjectionsCommand::Rebuild { name } => rebuild(&parts, name, output).await,
        ProjectionsCommand::Verify { name } => verify(&parts, name, output).await,
        ProjectionsCommand::Digest { name } => digest(&parts, name, output).await,
        ProjectionsCommand::Parked { name } => {
            let columns = ["projection", "position", "key", "event_type", "error", "skipped_by"];
            output.rows(&parts.projector.parked(name.as_deref()).await?, &columns)
        }
        ProjectionsCommand::Retry { name, key } => {
            let events = parts.projector.retry_parked(&name, &key).await?;
            output.one(&serde_json::json!({ "name": name, "key": key, "folded": events }))
        }
        ProjectionsCommand::Skip { name, position, reason } => {
            let by = parts.context(None).actor;
            parts.projector.skip_parked(&name, &Skip { position, by, reason }).await?;
            output.one(&serde_json::json!({ "name": name, "skipped": position }))
        }
    })
    .await
}

fn names(parts: &SessionParts, name: Option<String>) -> Vec<String> {
    let all = || parts.projector.names().into_iter().map(str::to_owned).collect();
    name.map_or_else(all, |name| vec![name])
}

async fn rebuild(
    parts: &SessionParts,
    name: Option<String>,
    output: Output,
) -> Result<(), CliError> {
    let mut rebuilt = vec![];
    for name in names(parts, name) {
        let bar = progress(&name, output);
        let shown = bar.clone();
        let progress = move |at: cairn_projections::RebuildProgress| {
            shown.set_length(at.head.unsigned_abs());
            shown.set_position(at.position.unsigned_abs());
        };
        let options = Rebuild { progress: Arc::new(progress), ..Rebuild::default() };
        rebuilt.push(parts.projector.rebuild(&name, &options).await?);
        bar.finish_and_clear();
    }
    output.rows(&rebuilt, &["name", "version", "position", "rows", "parked"])
}

fn progress(name: &str, output: Output) -> ProgressBar {
    if !output.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::new(0).with_message(name.to_owned());
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

async fn verify(
    parts: &SessionParts,
    name: Option<String>,
    output: Output,
) -> Result<(), CliError> {
    let mut verified = vec![];
    for name in names(parts, name) {
        verified.push(parts.projector.verify(&name).await?);
    }
    output.rows(&verified, &["name", "position", "identical", "parked"])?;
    let different: Vec<_> =
        verified.iter().filter(|v| !v.identical).map(|v| v.name.as_str()).collect();
    if different.is_empty() {
        return Ok(());
    }
    let message = format!("these views differ from a fresh fold: {}", different.join(", "));
    Err(CliError::new(Exit::Differs, "projection_differs", message))
}

async fn digest(
    parts: &SessionParts,
    name: Option<String>,
    output: Output,
) -> Result<(), CliError> {
    let mut digests = vec![];
    for name in names(parts, name) {
        digests.push(parts.projector.digest(&name).await?);
    }
    output.rows(&digests, &["name", "position", "rows", "sha256"])
}

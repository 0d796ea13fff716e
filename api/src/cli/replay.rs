//! `cairn replay`: the past, from events. It only reads.
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};

use cairn_commands::Personal;
use cairn_commands::ports::IdSource as _;
use cairn_commands::replay::{self, At, Decisions, Masks, ReplayError, Slice};
use cairn_event_log::EventLog;
use cairn_projections::Projector;
use cairn_projections::engine::{PastError, causes, net};
use serde_json::json;

use super::args::{DiffArgs, ExportArgs, ReplayCommand, WhatIfArgs};
use super::exit::{CliError, Exit};
use super::nearest::did_you_mean;
use super::output::Output;
use super::projections_diff::known;
use super::replay_text as text;
use super::session::Session;
use crate::config::Config;
use crate::system::RandomIds;

/// Most ids that are looked through for one like an id that does not exist.
const IDS_MAX: i64 = 10_000;

impl From<ReplayError> for CliError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::UnknownType(..) => Self::usage(error.to_string()),
            ReplayError::NotFound(..) => Self::new(Exit::NotFound, "not_found", error.to_string()),
            ReplayError::Beyond { .. } => {
                Self::new(Exit::NotFound, "position_unknown", error.to_string())
            }
            ReplayError::Corrupt { .. } => {
                Self::new(Exit::Differs, "log_corrupt", error.to_string())
            }
            ReplayError::Nothing => Self::new(Exit::NotFound, "not_found", error.to_string()),
            ReplayError::Write(error) => error.into(),
            ReplayError::Log(error) => error.into(),
            ReplayError::Database(error) => error.into(),
        }
    }
}

impl From<PastError> for CliError {
    fn from(error: PastError) -> Self {
        let said = error.to_string();
        match error {
            PastError::UnknownKey { key, keys, .. } => {
                let meant = did_you_mean(&key, keys.iter().map(String::as_str));
                Self::new(Exit::NotFound, "not_found", said + &meant)
            }
            PastError::UnknownColumn { .. } => Self::usage(said),
            PastError::Engine(error) => error.into(),
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: ReplayCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::read(config, async |log, views, personal| {
        let past = Past { log, views };
        match command {
            ReplayCommand::State { aggregate_type, aggregate_id, at } => {
                let stream = (aggregate_type.as_str(), aggregate_id.as_str());
                let found = replay::state(&past.log, stream.0, stream.1, at.unwrap_or_default());
                output.one(&past.stream(stream, found.await).await?)
            }
            ReplayCommand::View { view, key, at } => past.view(&view, key, at, output).await,
            ReplayCommand::Timeline { aggregate_type, aggregate_id, at } => {
                let stream = (aggregate_type.as_str(), aggregate_id.as_str());
                let found = replay::timeline(&past.log, stream.0, stream.1, at.unwrap_or_default());
                text::timeline(output, &past.stream(stream, found.await).await?)
            }
            ReplayCommand::Diff(args) => past.diff(args, output).await,
            ReplayCommand::Why { view, key, column, at } => {
                known(&past.views, &view)?;
                let to = replay::position(&past.log, at.unwrap_or_default()).await?;
                let changes = past.views.changes(&view, Some(&key), (0, to)).await?;
                text::why(output, &causes(&changes, column.as_deref())?)
            }
            ReplayCommand::Export(args) => past.export(args, output).await,
            ReplayCommand::Verify => past.verify(output).await,
            ReplayCommand::WhatIf(args) => past.what_if(args, &personal, output).await,
        }
    })
    .await
}

/// What can be read of the past.
struct Past {
    log: EventLog,
    views: Projector,
}

impl Past {
    /// What was found, or an error that offers ids like the one that was not.
    async fn stream<T>(
        &self,
        (aggregate_type, aggregate_id): (&str, &str),
        found: Result<T, ReplayError>,
    ) -> Result<T, CliError> {
        match found {
            Err(error @ ReplayError::UnknownType(..)) => {
                let meant = did_you_mean(aggregate_type, replay::types());
                Err(CliError::usage(format!("{error}{meant}")))
            }
            Err(error @ ReplayError::NotFound(..)) => {
                let ids = replay::ids(&self.log, aggregate_type, IDS_MAX).await?;
                let meant = if ids.iter().any(|id| id == aggregate_id) {
                    "; it begins later".to_owned()
                } else {
                    did_you_mean(aggregate_id, ids.iter().map(String::as_str))
                };
                Err(CliError::new(Exit::NotFound, "not_found", format!("{error}{meant}")))
            }
            found => Ok(found?),
        }
    }

    async fn view(
        &self,
        view: &str,
        key: Option<String>,
        at: Option<At>,
        output: Output,
    ) -> Result<(), CliError> {
        known(&self.views, view)?;
        let position = replay::position(&self.log, at.unwrap_or_default()).await?;
        text::view(output, &self.views.view_at(view, key.as_deref(), position).await?)
    }

    async fn diff(&self, args: DiffArgs, output: Output) -> Result<(), CliError> {
        let DiffArgs { aggregate_type, aggregate_id, view, key, from, to } = args;
        let to = to.unwrap_or_default();
        let range =
            (replay::position(&self.log, from).await?, replay::position(&self.log, to).await?);
        if range.0 > range.1 {
            let message =
                format!("--from is position {}, after --to, position {}", range.0, range.1);
            return Err(CliError::usage(message));
        }
        if let Some(view) = view {
            known(&self.views, &view)?;
            let events = self.views.changes(&view, key.as_deref(), range).await?;
            let changes = net(&events);
            if !output.is_json() {
                return text::rows(output, &changes);
            }
            return output.one(&json!({
                "view": view, "from": range.0, "to": range.1, "changes": changes, "events": events
            }));
        }
        let (kind, id) = (aggregate_type.unwrap_or_default(), aggregate_id.unwrap_or_default());
        let range = (At::Position(range.0), At::Position(range.1));
        let found = replay::diff(&self.log, &kind, &id, range).await;
        let diff = self.stream((&kind, &id), found).await?;
        if output.is_json() { output.one(&diff) } else { text::places(output, &diff.changes) }
    }

    async fn export(&self, args: ExportArgs, output: Output) -> Result<(), CliError> {
        let ExportArgs { streams, correlation, from, to, out, secret } = args;
        for (kind, id) in &streams {
            let stream = (kind.as_str(), id.as_str());
            let found = replay::state(&self.log, kind, id, to.unwrap_or_default()).await;
            self.stream(stream, found).await?;
        }
        let to = to.unwrap_or_default();
        let slice = Slice { streams, correlation_id: correlation, from, to };
        let forgotten = || format!("{:032x}", RandomIds::default().next());
        let masks = Masks::new(secret.unwrap_or_else(forgotten));
        let mut lines: Box<dyn Write + Send> = match &out {
            Some(path) => Box::new(BufWriter::new(
                File::create_new(path)
                    .map_err(|error| CliError::failure(format!("{}: {error}", path.display())))?,
            )),
            None => Box::new(output.stream()),
        };
        let exported = replay::export(&self.log, &slice, &masks, |event| {
            serde_json::to_writer(&mut lines, event)?;
            lines.write_all(b"\n")
        });
        let exported = match exported.await {
            // A reader that closed the pipe has seen enough.
            Err(ReplayError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => {
                return Ok(());
            }
            exported => exported?,
        };
        match lines.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            flushed => flushed?,
        }
        if out.is_some() {
            return output.one(&exported);
        }
        let replay::Exported { events, streams, to } = exported;
        output.say(&format!("{events} events of {streams} streams, up to position {to}"));
        Ok(())
    }

    async fn what_if(
        &self,
        args: WhatIfArgs,
        personal: &Personal,
        output: Output,
    ) -> Result<(), CliError> {
        let WhatIfArgs { aggregate_type, from, to } = args;
        let to = to.unwrap_or_default();
        let last = replay::position(&self.log, to).await?;
        if from > last {
            let message = format!("--from is position {from}, after --to, position {last}");
            return Err(CliError::usage(message));
        }
        let kind = aggregate_type.clone().unwrap_or_default();
        let wanted = Decisions { aggregate_type, from, to: At::Position(last) };
        let found = replay::what_if(&self.log, personal, &wanted).await;
        let found = self.stream((&kind, ""), found).await?;
        text::what_if(output, &found)?;
        if found.differences_found == 0 {
            return Ok(());
        }
        let message = format!("{} decisions would be others today", found.differences_found);
        Err(CliError::new(Exit::Differs, "decisions_differ", message))
    }

    async fn verify(&self, output: Output) -> Result<(), CliError> {
        let report = replay::verify(&self.log).await?;
        output.one(&report)?;
        if report.identical {
            return Ok(());
        }
        let message = format!("{} differences", report.differences_found);
        Err(CliError::new(Exit::Differs, "replay_differs", message))
    }
}

//! `cairn projections`: read models.
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use cairn_projections::engine::{NewAction, Preflight, Skip, Unreadable};
use cairn_projections::{EngineError, Rebuild, RebuildProgress, Rebuilt, TableComparison};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::exit::{CliError, Exit};
use super::output::Output;
use super::projections_args::{ParkedCommand, ProjectionsCommand, RebuildArgs};
use super::projections_diff;
use super::serve::Stops;
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
            EngineError::NothingKept(_) => {
                Self::new(Exit::NotFound, "nothing_kept", error.to_string())
            }
            EngineError::KeptByOthers { .. } => {
                Self::new(Exit::Refused, "kept_by_others", error.to_string())
            }
            EngineError::NoGeneration { .. } => {
                Self::new(Exit::NotFound, "no_generation", error.to_string())
            }
            EngineError::Unreadable { .. } => {
                Self::new(Exit::Differs, "events_unreadable", error.to_string())
            }
            EngineError::OtherShape(_) => {
                Self::new(Exit::Refused, "other_shape", error.to_string())
            }
            EngineError::TakenOver(_) => {
                Self::new(Exit::Unavailable, "taken_over", error.to_string())
            }
            EngineError::Cancelled => Self::new(
                Exit::Failure,
                "cancelled",
                "cancelled: the live rows are as they were, and the next rebuild goes on here",
            ),
            other => Self::failure(other.to_string()),
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: ProjectionsCommand,
    output: Output,
) -> Result<(), CliError> {
    let command = match command {
        // Only looks, so nothing follows the log meanwhile.
        ProjectionsCommand::Diff(args) => {
            return Session::read(config, async |log, views, _| {
                projections_diff::run((&log, &views), args, output).await
            })
            .await;
        }
        other => other,
    };
    Session::run(config, async |parts| match command {
        ProjectionsCommand::Diff(_) => Ok(()),
        ProjectionsCommand::Status => {
            let columns = [
                "name",
                "version",
                "position",
                "lag_events",
                "lag_seconds",
                "events_per_second",
                "parked_keys",
                "building_position",
                "kept_until",
                "last_error",
            ];
            output.rows(&parts.projector.status().await?, &columns)
        }
        ProjectionsCommand::Rebuild(args) => rebuild(&parts, args, output).await,
        ProjectionsCommand::Rollback { name, reason } => {
            let done = parts.projector.rollback(&name).await?;
            record(&parts, ("rollback", &name), Some(reason), &done).await?;
            output.one(&done)
        }
        ProjectionsCommand::Verify { name, sample } => verify(&parts, name, sample, output).await,
        ProjectionsCommand::Digest { name } => digest(&parts, name, output).await,
        ProjectionsCommand::Parked { command } => parked(&parts, command, output).await,
        ProjectionsCommand::Actions { name } => {
            let columns = ["at", "actor", "verb", "projection", "reason", "detail"];
            output.rows(&parts.projector.actions(name.as_deref()).await?, &columns)
        }
    })
    .await
}

async fn parked(
    parts: &SessionParts,
    command: ParkedCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        ParkedCommand::List { name } => {
            let columns = ["projection", "position", "key", "event_type", "error", "skipped_by"];
            output.rows(&parts.projector.parked(name.as_deref()).await?, &columns)
        }
        ParkedCommand::Retry { name, key } => {
            let folded = parts.projector.retry_parked(&name, &key).await?;
            let done = serde_json::json!({ "name": name, "key": key, "folded": folded });
            record(parts, ("retry", &name), None, &done).await?;
            output.one(&done)
        }
        ParkedCommand::Skip { name, position, reason } => {
            let skip = Skip { position, by: parts.context(None).actor, reason: reason.clone() };
            parts.projector.skip_parked(&name, &skip).await?;
            let done = serde_json::json!({ "name": name, "skipped": position });
            record(parts, ("skip", &name), Some(reason), &done).await?;
            output.one(&done)
        }
    }
}

/// Keeps who did it, and what came of it.
async fn record(
    parts: &SessionParts,
    (verb, name): (&'static str, &str),
    reason: Option<String>,
    done: &impl serde::Serialize,
) -> Result<(), CliError> {
    let (actor, projection) = (parts.context(None).actor, name.to_owned());
    let detail = serde_json::to_value(done)?;
    let action = NewAction { actor, verb, projection, reason, detail };
    Ok(parts.projector.record(&action).await?)
}

fn names(parts: &SessionParts, name: Option<String>) -> Vec<String> {
    let all = || parts.projector.names().into_iter().map(str::to_owned).collect();
    name.map_or_else(all, |name| vec![name])
}

const COLUMNS: [&str; 7] =
    ["name", "version", "position", "resumed_from", "rows", "differing", "parked"];

async fn rebuild(parts: &SessionParts, args: RebuildArgs, output: Output) -> Result<(), CliError> {
    let (token, stops) = (CancellationToken::new(), Stops::new()?);
    let ended = token.clone();
    let waiting = stop_on_signal(stops, token.clone());
    let work = async {
        let done = rebuild_some(parts, args, token, output).await;
        ended.cancel();
        done
    };
    tokio::join!(work, waiting).0
}

/// The first signal stops between two batches; what is built so far stays.
async fn stop_on_signal(mut stops: Stops, token: CancellationToken) {
    tokio::select! {
        () = stops.wait() => token.cancel(),
        () = token.cancelled() => {}
    }
}

/// Connections that all views of one reading of the log take together.
const CONNECTIONS: usize = 32;
/// Rows that they hold in memory together.
const ROWS: usize = 200_000;

async fn rebuild_some(
    parts: &SessionParts,
    args: RebuildArgs,
    token: CancellationToken,
    output: Output,
) -> Result<(), CliError> {
    let mut names = args.names.clone();
    if args.all {
        names.extend(parts.projector.names().into_iter().map(str::to_owned));
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    // A view has a connection for each worker, and one that holds its lock.
    let together = (CONNECTIONS / (usize::from(args.workers) + 1)).clamp(1, names.len().max(1));
    let bars = MultiProgress::new();
    let (mut rebuilt, mut failed): (Vec<Rebuilt>, Option<CliError>) = (vec![], None);
    for names in names.chunks(together) {
        let views = names.iter().map(|name| {
            let options = options((&args, together), (name, &bars), &token, output);
            (name.clone(), options)
        });
        let done = parts.projector.rebuild_all(views.collect()).await;
        for (name, done) in names.iter().zip(done) {
            match done {
                Ok(done) => {
                    if done.swapped {
                        record(parts, ("rebuild", name), None, &done).await?;
                    }
                    rebuilt.push(done);
                }
                Err(error) => {
                    let error = CliError::from(error);
                    if seen.len() > 1 {
                        output.say(&format!("{name}: {error}"));
                    }
                    failed = failed.or(Some(error));
                }
            }
        }
    }
    finish(&rebuilt, failed, &args, output)
}

fn options(
    (args, together): (&RebuildArgs, usize),
    (name, bars): (&str, &MultiProgress),
    token: &CancellationToken,
    output: Output,
) -> Rebuild {
    let default = Rebuild::default();
    Rebuild {
        workers: usize::from(args.workers),
        rows_max: default.rows_max.min(ROWS / together),
        events_per_second_max: args.rate.map(NonZeroU32::get),
        dry_run: args.dry_run,
        anew: args.restart,
        keep: args.keep,
        strict: args.strict,
        preflight: Arc::new(move |found: &Preflight| say_unreadable(found, output)),
        token: token.clone(),
        progress: progress(name, bars, output),
        ..default
    }
}

fn finish(
    rebuilt: &[Rebuilt],
    failed: Option<CliError>,
    args: &RebuildArgs,
    output: Output,
) -> Result<(), CliError> {
    if let Some(error) = failed {
        if !rebuilt.is_empty() {
            output.rows(rebuilt, &COLUMNS)?;
        }
        return Err(error);
    }
    output.rows(rebuilt, &COLUMNS)?;
    if args.dry_run && rebuilt.iter().any(|rebuilt| rebuilt.differing > 0) {
        let tables = rebuilt.iter().flat_map(|rebuilt| &rebuilt.tables);
        tables.filter(|table| table.differing > 0).for_each(|table| say_differences(table, output));
        let message = "these rows would change; nothing was swapped";
        return Err(CliError::new(Exit::Differs, "projection_differs", message));
    }
    Ok(())
}

/// What does not decode, before the first of it is folded.
fn say_unreadable(found: &Preflight, output: Output) {
    for Unreadable { projection, position, event_type, key, error } in &found.events {
        output.say(&format!(
            "{projection}: position {position}, {event_type} of {key}, does not decode: {error}"
        ));
    }
    let shown = u64::try_from(found.events.len()).unwrap_or(u64::MAX);
    if shown < found.found {
        output.say(&format!("these are the first {shown} of {} that do not decode", found.found));
    }
}

fn say_differences(table: &TableComparison, output: Output) {
    let TableComparison { table, rows, differing, examples } = table;
    output.say(&format!("{table}: {differing} rows differ, of {rows}: {} …", examples.join(", ")));
}

/// A bar for people, and nothing for machines.
fn progress(
    name: &str,
    bars: &MultiProgress,
    output: Output,
) -> Arc<dyn Fn(RebuildProgress) + Send + Sync> {
    if !output.shows_progress() {
        return Arc::new(|_| ());
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
    let bar = bars.add(ProgressBar::new(0));
    let bar = if let Ok(style) = style { bar.with_style(style) } else { bar };
    let name = name.to_owned();
    Arc::new(move |at: RebuildProgress| {
        bar.set_length(at.head.unsigned_abs());
        bar.set_position(at.position.unsigned_abs());
        let left = at.eta_seconds.map_or_else(String::new, |eta| format!(", {eta:.0} s left"));
        bar.set_message(format!("{name} {:.0} events/s{left}", at.events_per_second));
    })
}

async fn verify(
    parts: &SessionParts,
    name: Option<String>,
    sample: Option<NonZeroU32>,
    output: Output,
) -> Result<(), CliError> {
    let mut verified = vec![];
    for name in names(parts, name) {
        verified.push(match sample {
            Some(one_in) => parts.projector.verify_sample(&name, one_in).await?,
            None => parts.projector.verify(&name).await?,
        });
    }
    output.rows(&verified, &["name", "position", "identical", "keys_in", "parked"])?;
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

//! `cairn privacy`: personal data, and its end.
use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use cairn_commands::ports::PersonalPort as _;
use cairn_commands::privacy::{self, EraseError, Erased, Export, Wish, retention};
use cairn_core::Subject;
use cairn_privacy::MasterError;
use cairn_projections::identity::organisations;
use serde::Serialize;
use sqlx::Connection as _;

use super::args::{EraseArgs, PrivacyCommand};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::erasure::{self, Failed};

impl From<MasterError> for CliError {
    fn from(error: MasterError) -> Self {
        match error {
            MasterError::Database(error) => error.into(),
            other => Self::new(Exit::Failure, "keys_unusable", other.to_string()),
        }
    }
}

impl From<EraseError> for CliError {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::Unknown(subject) => Self::not_found("subject", subject.as_str()),
            EraseError::Execute(error) => error.into(),
            EraseError::Keys(error) => error.into(),
            EraseError::Read(error) => error.into(),
            EraseError::Database(error) => error.into(),
        }
    }
}

impl From<Failed> for CliError {
    fn from(error: Failed) -> Self {
        match error {
            Failed::Erase(error) => error.into(),
            Failed::Engine(error) => error.into(),
            Failed::View(error) => error.into(),
            Failed::Database(error) => error.into(),
            Failed::Panicked(error) => Self::failure(error.to_string()),
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: PrivacyCommand,
    output: Output,
) -> Result<(), CliError> {
    if let PrivacyCommand::Erase(args) = &command {
        confirm(args, output)?;
    }
    Session::run(config, async |parts| match command {
        PrivacyCommand::Erase(args) => erase(&parts, args, output).await,
        PrivacyCommand::Export { subject, out } => {
            let personal = parts.commands.executor.personal();
            let found = privacy::export(parts.commands.executor.log(), personal, &subject).await?;
            write(&found, out.as_deref(), output)
        }
        PrivacyCommand::Retention { run, .. } => retention(&parts, run, output).await,
        PrivacyCommand::Status { subject } => status(&parts, subject, output).await,
        PrivacyCommand::Rotate => {
            let (master_id, keys_wrapped) = parts.keys.rotate().await?;
            output.say("keep a copy of the file with the new key; the old one opens nothing any more, except in backups of the database");
            output.one(&serde_json::json!({ "master_id": master_id, "keys_wrapped": keys_wrapped }))
        }
    })
    .await
}

/// A person types the subject once more; a program says `--yes`.
fn confirm(args: &EraseArgs, output: Output) -> Result<(), CliError> {
    if args.yes {
        return Ok(());
    }
    if output.is_json() || !std::io::stdin().is_terminal() {
        return Err(CliError::usage(
            "there is no way back: say --yes to erase without being asked",
        ));
    }
    let id = args.subject.id();
    output.say(&format!(
        "This destroys the only key to the personal data of {id}. There is no way back. Type its id to go on:"
    ));
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() == id {
        return Ok(());
    }
    Err(CliError::usage(format!("'{}' is not {id}: nothing was done", typed.trim())))
}

async fn erase(parts: &SessionParts, args: EraseArgs, output: Output) -> Result<(), CliError> {
    let EraseArgs { subject, reason, despite_findings, .. } = args;
    let context = parts.context(None);
    parts.catch_up(&[organisations::NAME]).await?;
    let organisations = erasure::organisations(parts.pool(), &subject).await?;
    let wish = Wish { subject, reason, despite_findings, organisations, when_due: false };
    let mut owner = parts.owner().await?;
    let own = (&parts.commands, &parts.projector);
    let say = |text: &str| output.say(text);
    let erased = erasure::carry_out(own, &context, (&mut owner, wish), &say).await?;
    owner.close().await?;
    report(&erased, output)
}

/// The rules, what the next run would remove, and what the last one did; with `now` it is one.
async fn retention(parts: &SessionParts, now: bool, output: Output) -> Result<(), CliError> {
    let (pool, at) = (parts.pool(), parts.commands.clock.now());
    if now {
        let elsewhere = || {
            let why = "a server removes what is past its time at this moment; try again";
            CliError::new(Exit::Unavailable, "retention_elsewhere", why)
        };
        let run = retention::run(pool, at).await?.ok_or_else(elsewhere)?;
        return output.one(&run);
    }
    let rules = retention::standing(pool, at).await?;
    if output.is_json() {
        let last = retention::last(pool).await?;
        return output.one(&serde_json::json!({ "rules": rules, "last_run": last }));
    }
    output.rows(&rules, &["rule", "what", "kept", "past"])?;
    match retention::last(pool).await? {
        Some(run) => {
            let removed = run.removed.iter().map(|(rule, rows)| format!("{rows} of {rule}"));
            let removed: Vec<_> = removed.collect();
            let removed =
                if removed.is_empty() { "nothing".to_owned() } else { removed.join(", ") };
            output.say(&format!("the last run, at {}, removed {removed}", run.ran_at));
        }
        None => output.say("nothing was ever removed: a running server does it every five minutes"),
    }
    Ok(())
}

fn report(erased: &Erased, output: Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Report<'a> {
        subject: &'a Subject,
        key_id: &'a str,
        key_destroyed: bool,
        erased_before: bool,
        texts_searched: u64,
        rows_searched: u64,
        rows_readable: u64,
        mended: privacy::Mended,
        readable: &'a [privacy::Found],
        tables: &'a [privacy::ScannedTable],
    }
    output.one(&Report {
        subject: &erased.subject,
        key_id: &erased.key_id,
        key_destroyed: erased.key_destroyed,
        erased_before: erased.before,
        texts_searched: erased.scan.texts,
        rows_searched: erased.scan.rows(),
        rows_readable: erased.scan.found_rows(),
        mended: erased.mended,
        readable: &erased.scan.found,
        tables: &erased.scan.tables,
    })?;
    if erased.scan.texts == 0 && erased.key_destroyed {
        output.say(
            "The key had been destroyed before, so nobody knows any more what could be looked for.",
        );
    }
    if erased.scan.found_rows() == 0 {
        return Ok(());
    }
    let places = erased.scan.found.iter().map(|found| {
        format!(
            "{}.{} ({} rows, the first at {})",
            found.table, found.column, found.rows, found.first
        )
    });
    let places: Vec<_> = places.collect();
    let and = if erased.key_destroyed {
        "the key is destroyed all the same"
    } else {
        "the key is NOT destroyed: take it away and try again, or say --despite-findings"
    };
    let message = format!("something can still be read in {}; {and}", places.join(", "));
    Err(CliError::new(Exit::Differs, "still_readable", message))
}

fn write(found: &Export, out: Option<&Path>, output: Output) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(found)?;
    let Some(path) = out else {
        output.raw(&json);
        return Ok(());
    };
    let failed = |error: std::io::Error| CliError::failure(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(failed)?;
    file.write_all((json + "\n").as_bytes()).map_err(failed)?;
    let rows: usize = found.rows.values().filter_map(|rows| rows.as_array()).map(Vec::len).sum();
    let (events, path) = (found.events.len(), path.display().to_string());
    output.one(&serde_json::json!({ "written": path, "events": events, "rows": rows }))
}

async fn status(
    parts: &SessionParts,
    subject: Option<Subject>,
    output: Output,
) -> Result<(), CliError> {
    if let Some(subject) = subject {
        let key = parts.keys.key(&subject).await?;
        let missing = || CliError::not_found("key of", subject.as_str());
        return output.one(&key.ok_or_else(missing)?);
    }
    output.one(&parts.keys.status().await?)
}

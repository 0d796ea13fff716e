//! `cairn privacy`: personal data, and its end.
use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use cairn_commands::ports::PersonalPort as _;
use cairn_commands::privacy::{self, EraseError, Erased, Export, Scan, Wish};
use cairn_core::Subject;
use cairn_privacy::MasterError;
use cairn_projections::Rebuild;
use serde::Serialize;
use sqlx::Connection as _;

use super::args::{EraseArgs, PrivacyCommand};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;

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
    let wish = Wish { subject, reason, despite_findings };
    let mut owner = parts.owner().await?;
    let mut erased = privacy::erase(&parts.commands, &context, &mut owner, wish.clone()).await?;
    if !erased.key_destroyed && rebuild(parts, &erased.scan, output).await? {
        erased = privacy::erase(&parts.commands, &context, &mut owner, wish).await?;
    }
    if erased.key_destroyed {
        // What an update leaves behind in the table's file goes with it.
        sqlx::query!("VACUUM FULL privacy_subject_keys").execute(&mut owner).await?;
    }
    owner.close().await?;
    report(&erased, output)
}

/// Rows of views that hold what the log no longer says are made anew. Whether there were any.
async fn rebuild(parts: &SessionParts, scan: &Scan, output: Output) -> Result<bool, CliError> {
    let views = scan
        .found
        .iter()
        .filter_map(|found| parts.projector.of_table(found.table.strip_prefix("public.")?));
    let views: std::collections::BTreeSet<_> = views.collect();
    for view in &views {
        output.say(&format!("{view} holds something readable: it is made anew from the log"));
        // Nothing of the old rows is kept for a rollback.
        let options = Rebuild { anew: true, keep: Duration::ZERO, ..Rebuild::default() };
        parts.projector.rebuild(view, &options).await?;
    }
    Ok(!views.is_empty())
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

//! Erasing a subject: look, destroy the key, look again, record what was looked for.
//!
//! | step | what is left when it stops here |
//! |---|---|
//! | a person leaves their organisations, or is refused | everything but those memberships |
//! | `subject.erasure_begun` is recorded | everything; the next try goes on |
//! | a person's account is closed: sessions are over, the address is free | the same |
//! | copies that nobody needs are taken away, and what is known is looked for | the same |
//! | the key is destroyed | nothing can be read; the next try cannot look any more, and records that |
//! | other processes have forgotten the key, and what was known is looked for again | the same |
//! | `subject.erased` is recorded with the counts | |
use cairn_core::{OrganisationId, Subject, UserId};
use cairn_identity::{Erasure, ErasureCommand, Searched};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::known::known;
use super::leave::leave;
use super::mend::{Mended, mend};
use super::scan::{Scan, scan};
use crate::answers::derived;
use crate::identity::{people, wishes};
use crate::ports::{PersonalPort, PortError, SubjectKey};
use crate::replay::ReplayError;
use crate::{CommandContext, Commands, ExecuteError};

/// Who is to be erased, and why.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Whose data.
    pub subject: Subject,
    /// Why, for the audit trail.
    pub reason: String,
    /// Destroys the key even if something readable was found outside of it.
    pub despite_findings: bool,
    /// What a person belongs to, as the views have it.
    pub organisations: Vec<OrganisationId>,
    /// Only if the person asked for it, and it is due.
    pub when_due: bool,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Erased {
    /// Whose data.
    pub subject: Subject,
    /// Fingerprint of the key.
    pub key_id: String,
    /// Whether the key is destroyed. Otherwise something readable was found first.
    pub key_destroyed: bool,
    /// Whether it had been erased before.
    pub before: bool,
    /// What was taken away.
    pub mended: Mended,
    /// The last look.
    pub scan: Scan,
}

/// Why it did not end.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Nothing is known of such a subject.
    #[error("nothing is known of {0}")]
    Unknown(Subject),
    /// The log refused or did not answer.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The keys did not answer.
    #[error(transparent)]
    Keys(#[from] PortError),
    /// What is known could not be read.
    #[error(transparent)]
    Read(#[from] ReplayError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Erases a subject; what was begun and stopped is gone on with. `owner` sees every table.
///
/// # Errors
/// [`EraseError`].
pub async fn erase(
    commands: &Commands,
    context: &CommandContext,
    owner: &mut PgConnection,
    wish: Wish,
) -> Result<Erased, EraseError> {
    let subject = wish.subject.clone();
    // Nobody's data: without its key nobody would be found any more.
    if subject == Subject::directory() {
        return Err(EraseError::Unknown(subject));
    }
    let log = commands.executor.log();
    let personal = commands.executor.personal();
    let port = personal.port()?;
    let known = known(log, personal, &subject).await?;
    let (state, _) = commands.executor.load::<Erasure>(subject.as_str()).await?;
    if known.streams.is_empty() && state.begun.is_none() && port.key(&subject).await?.is_none() {
        return Err(EraseError::Unknown(subject));
    }
    if state.begun.is_none() {
        part(commands, context, &wish).await?;
    }
    let key = key(port, &subject).await?;
    let before = state.erased_at.is_some() && key.destroyed_at.is_some();
    if !before {
        begin(commands, context, &wish, &key).await?;
        close(commands, context, &wish).await?;
    }
    let mended = mend(log.pool(), &subject, &known).await?;
    let mut looked = scan(owner, &subject, &known.canaries).await?.with_archived(known.archived);
    let stop = looked.found_rows() > 0 && !wish.despite_findings && key.destroyed_at.is_none();
    if !stop && !before {
        destroy(port, &subject).await?;
        looked = scan(owner, &subject, &known.canaries).await?.with_archived(known.archived);
        complete(commands, context, (&subject, &looked)).await?;
    }
    let (key_id, key_destroyed) = (key.key_id, !stop);
    Ok(Erased { subject, key_id, key_destroyed, before, mended, scan: looked })
}

/// A person leaves what they belong to, and if they asked for it their account is closed: from then on nobody can cancel it.
async fn part(
    commands: &Commands,
    context: &CommandContext,
    wish: &Wish,
) -> Result<(), ExecuteError> {
    let due: Option<UserId> = wish.subject.id().parse().ok().filter(|_| wish.when_due);
    if let Some(user_id) = due {
        // Nobody who thought better of it loses what they belong to.
        wishes::check_due(commands, user_id).await?;
    }
    leave(commands, context, wish).await?;
    if let Some(user_id) = due {
        wishes::close_due(commands, context, user_id, wish.reason.clone()).await?;
    }
    Ok(())
}

/// Its key, made if it has none: what is erased has a key that is destroyed, so that it never gets another.
async fn key(port: &dyn PersonalPort, subject: &Subject) -> Result<SubjectKey, PortError> {
    if let Some(key) = port.key(subject).await? {
        return Ok(key);
    }
    port.seal(subject, vec![]).await?;
    let none = || PortError::transient("no_key", "the key that was just made is not there");
    port.key(subject).await?.ok_or_else(none)
}

async fn begin(
    commands: &Commands,
    context: &CommandContext,
    wish: &Wish,
    key: &SubjectKey,
) -> Result<(), ExecuteError> {
    let begin = ErasureCommand::Begin {
        subject: wish.subject.clone(),
        key_id: key.key_id.clone(),
        reason: wish.reason.clone(),
        at: commands.clock.now(),
    };
    let (stream, context) = (wish.subject.as_str(), derived(context, "begin"));
    let begun = commands.executor.execute::<Erasure>(stream, begin, &context, Value::Null);
    begun.await.map(drop)
}

/// Who is erased signs in nowhere any more, and their address is free.
async fn close(
    commands: &Commands,
    context: &CommandContext,
    wish: &Wish,
) -> Result<(), ExecuteError> {
    let Ok(user_id) = wish.subject.id().parse() else { return Ok(()) };
    let (context, reason) = (derived(context, "close"), wish.reason.clone());
    match people::close(commands, &context, user_id, reason).await {
        // Somebody of whom nothing but a key is there.
        Err(ExecuteError::Refused { .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Destroys the key, and waits until every process has forgotten it.
async fn destroy(port: &dyn PersonalPort, subject: &Subject) -> Result<(), PortError> {
    port.destroy(subject).await?;
    tokio::time::sleep(port.forgotten_after()).await;
    Ok(())
}

async fn complete(
    commands: &Commands,
    context: &CommandContext,
    (subject, looked): (&Subject, &Scan),
) -> Result<(), ExecuteError> {
    let searched = Searched {
        texts: looked.texts,
        tables: u64::try_from(looked.tables.len()).unwrap_or(u64::MAX),
        rows: looked.rows(),
        found: looked.found_rows(),
    };
    let complete = ErasureCommand::Complete { searched, at: commands.clock.now() };
    let context = derived(context, "complete");
    let done =
        commands.executor.execute::<Erasure>(subject.as_str(), complete, &context, Value::Null);
    done.await.map(drop)
}

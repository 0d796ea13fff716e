//! What operators see of processes and do to them. Every verb takes a reason and is an event of the intent's own
//! [`Intervention`](cairn_operations::Intervention) stream; the runtime follows the log and obeys.
use cairn_core::Timestamp;
use cairn_operations::Verb;
use serde::Serialize;
use sqlx::PgPool;

use crate::answers::refused;
use crate::operations::{Intervene, intervene};
use crate::{CommandContext, Commands, ExecuteError, Executed};

use super::store::from_sql;

/// One instance of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The process manager.
    pub process: String,
    /// The instance: an allocation, a payment, a refund or a node.
    pub key: String,
    /// `waiting`, `running`, `done`, `unwound`, `abandoned`, or `needs_operator` when an intent of it waits for a person.
    pub status: String,
    /// Intents that are not finished, timers included.
    pub open_intents: i64,
    /// The last failure of an intent that is not finished.
    pub last_error: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it last took an event in.
    pub updated_at: Timestamp,
}

/// Which processes to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this manager.
    pub process: Option<String>,
    /// Only in this status, as [`Summary::status`] has it; without it all but those that wait for their beginning.
    pub status: Option<String>,
    /// `process/key` of the last one of the page before.
    pub after: Option<String>,
    /// At most so many.
    pub limit: i64,
}

/// How far every process manager has followed the log.
///
/// # Errors
/// When the database does not answer.
pub async fn checkpoints(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let rows = sqlx::query!("SELECT process, position FROM process_checkpoints ORDER BY process");
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.process, row.position)).collect())
}

/// Lists processes, by manager and key.
///
/// # Errors
/// When the database does not answer.
pub async fn list(pool: &PgPool, filter: &Filter) -> Result<Vec<Summary>, sqlx::Error> {
    let (after_process, after_key) =
        filter.after.as_deref().and_then(|after| after.split_once('/')).unwrap_or_default();
    let rows = sqlx::query!(
        r#"SELECT s.process, s.key, s.started_at, s.updated_at,
                  CASE WHEN coalesce(i.stuck, false) THEN 'needs_operator' ELSE s.status END AS "status!",
                  coalesce(i.open, 0) AS "open!", i.last_error
           FROM process_states s
           LEFT JOIN LATERAL (
             SELECT count(*) AS open, bool_or(status = 'needs_operator' OR retry_at IS NOT NULL) AS stuck,
                    (array_agg(last_error ORDER BY seq DESC) FILTER (WHERE last_error IS NOT NULL))[1] AS last_error
             FROM process_intents
             WHERE process = s.process AND key = s.key AND status IN ('ready', 'leased', 'needs_operator')
           ) i ON true
           WHERE ($1::text IS NULL OR s.process = $1)
             AND (CASE WHEN $2::text IS NULL THEN s.status <> 'waiting'
                       WHEN $2 = 'needs_operator' THEN coalesce(i.stuck, false)
                       ELSE s.status = $2 AND NOT coalesce(i.stuck, false) END)
             AND (s.process, s.key) > ($3, $4)
           ORDER BY s.process, s.key LIMIT $5"#,
        filter.process,
        filter.status,
        after_process,
        after_key,
        filter.limit
    )
    .fetch_all(pool)
    .await?;
    let summary = rows.into_iter().map(|row| Summary {
        process: row.process,
        key: row.key,
        status: row.status,
        open_intents: row.open,
        last_error: row.last_error,
        started_at: from_sql(row.started_at),
        updated_at: from_sql(row.updated_at),
    });
    Ok(summary.collect())
}

/// One instance with what it remembers and wants.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// The process manager.
    pub process: String,
    /// The instance.
    pub key: String,
    /// As in [`Summary::status`].
    pub status: String,
    /// What it remembers.
    pub state: serde_json::Value,
    /// Position of the last event it took in.
    pub position: i64,
    /// What it wants and wanted, oldest first; finished ones are forgotten after a while.
    pub intents: Vec<IntentView>,
}

/// One intent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IntentView {
    /// Its id: what the verbs take.
    pub id: String,
    /// `command`, `effect` or `timer`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `ready`, `leased`, `done`, `skipped`, `abandoned` or `needs_operator`.
    pub status: String,
    /// What exactly is wanted.
    pub action: serde_json::Value,
    /// Attempts since it was born or an operator asked for another try.
    pub attempts: i32,
    /// Not before.
    pub due_at: Timestamp,
    /// An operator is called from here on.
    pub give_up_at: Option<Timestamp>,
    /// An operator was called, and it is tried again from here on all the same.
    pub retry_at: Option<Timestamp>,
    /// The last failure.
    pub last_error: Option<String>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl IntentView {
    /// Whether it waits for a person, tried again meanwhile or not.
    fn is_stuck(&self) -> bool {
        self.status == "needs_operator" || self.retry_at.is_some()
    }
}

/// Shows one instance.
///
/// # Errors
/// When the database does not answer.
pub async fn show(pool: &PgPool, process: &str, key: &str) -> Result<Option<Details>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT state AS "state: serde_json::Value", status, position FROM process_states
           WHERE process = $1 AND key = $2"#,
        process,
        key
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let intents = intents(pool, process, key).await?;
    let stuck = intents.iter().any(IntentView::is_stuck);
    Ok(Some(Details {
        process: process.to_owned(),
        key: key.to_owned(),
        status: if stuck { "needs_operator".to_owned() } else { row.status },
        state: row.state,
        position: row.position,
        intents,
    }))
}

async fn intents(pool: &PgPool, process: &str, key: &str) -> Result<Vec<IntentView>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id, kind, name, status, action AS "action: serde_json::Value", attempts, due_at,
                  give_up_at, retry_at, last_error, finished_at
           FROM process_intents WHERE process = $1 AND key = $2 ORDER BY seq"#,
        process,
        key
    )
    .fetch_all(pool)
    .await?;
    let view = rows.into_iter().map(|row| IntentView {
        id: row.id,
        kind: row.kind,
        name: row.name,
        status: row.status,
        action: row.action,
        attempts: row.attempts,
        due_at: from_sql(row.due_at),
        give_up_at: row.give_up_at.map(from_sql),
        retry_at: row.retry_at.map(from_sql),
        last_error: row.last_error,
        finished_at: row.finished_at.map(from_sql),
    });
    Ok(view.collect())
}

/// How many events of the log the slowest manager has not taken in.
///
/// # Errors
/// When the database does not answer.
pub async fn lag(pool: &PgPool, head: i64) -> Result<i64, sqlx::Error> {
    let slowest = sqlx::query_scalar!("SELECT min(position) FROM process_checkpoints");
    Ok(head - slowest.fetch_one(pool).await?.unwrap_or(0).min(head))
}

/// How many intents wait for a person.
///
/// # Errors
/// When the database does not answer.
pub async fn waiting(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM process_intents
           WHERE status = 'needs_operator' OR retry_at IS NOT NULL"#
    )
    .fetch_one(pool)
    .await
}

/// The intent whose outcome no person can vouch for.
const UNSKIPPABLE: &str = "ensure_prove";

/// What a person decided about one intent.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Which intent, as [`show`] names it.
    pub intent_id: String,
    /// Why, in 1 to 500 characters.
    pub reason: String,
}

/// Tries an intent again from now, with as much time as it had at first.
///
/// # Errors
/// `unknown_intent`, `intent_not_waiting`, `reason_needed`.
pub async fn retry(
    commands: &Commands,
    context: &CommandContext,
    decision: Decision,
) -> Result<Executed, ExecuteError> {
    decide(commands, context, Verb::Retry, decision).await
}

/// Takes an intent as done: a step of provisioning counts as verified, a teardown as clean, the rest of a charge as
/// forgiven; anything else is left out. The process goes on. The proof of a login cannot be skipped: nobody pays for what is not proven.
///
/// # Errors
/// `unknown_intent`, `intent_not_skippable`, `intent_not_waiting`, `reason_needed`.
pub async fn skip(
    commands: &Commands,
    context: &CommandContext,
    decision: Decision,
) -> Result<Executed, ExecuteError> {
    decide(commands, context, Verb::Skip, decision).await
}

/// Ends the process of an intent here, with everything that it still wanted. What it holds stays held.
///
/// # Errors
/// `unknown_intent`, `intent_not_waiting`, `reason_needed`.
pub async fn abandon(
    commands: &Commands,
    context: &CommandContext,
    decision: Decision,
) -> Result<Executed, ExecuteError> {
    decide(commands, context, Verb::Abandon, decision).await
}

async fn decide(
    commands: &Commands,
    context: &CommandContext,
    verb: Verb,
    decision: Decision,
) -> Result<Executed, ExecuteError> {
    let Decision { intent_id, reason } = decision;
    let pool = commands.executor.log().pool();
    let name = sqlx::query_scalar!("SELECT name FROM process_intents WHERE id = $1", intent_id);
    let name =
        name.fetch_optional(pool).await.map_err(|e| ExecuteError::Unavailable(e.to_string()))?;
    match (name.as_deref(), verb) {
        (None, _) => return Err(refused("unknown_intent", "there is no such intent")),
        (Some(UNSKIPPABLE), Verb::Skip) => {
            let why = "the proof of a login cannot be skipped: nobody pays for what is not proven";
            return Err(refused("intent_not_skippable", why));
        }
        (Some(_), _) => {}
    }
    intervene(commands, context, Intervene { intent_id, verb, reason }).await
}

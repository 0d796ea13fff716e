//! What people did to views, and why: an append-only table beside the log, for rows are no facts.
use serde::Serialize;
use sqlx::PgPool;
use sqlx::types::JsonValue;

use super::EngineError;
use crate::At;

const LIST: i64 = 200;

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Action {
    /// When.
    pub at: At,
    /// Who.
    pub actor: String,
    /// `rebuild`, `rollback`, `retry` or `skip`.
    pub verb: String,
    /// The projection.
    pub projection: String,
    /// Why, where a person must say so.
    pub reason: Option<String>,
    /// What came of it.
    pub detail: JsonValue,
}

/// Something done, to be kept.
#[derive(Debug, Clone)]
pub struct NewAction {
    /// Who.
    pub actor: String,
    /// `rebuild`, `rollback`, `retry` or `skip`.
    pub verb: &'static str,
    /// The projection.
    pub projection: String,
    /// Why, where a person must say so.
    pub reason: Option<String>,
    /// What came of it.
    pub detail: JsonValue,
}

pub(crate) async fn record(pool: &PgPool, action: &NewAction) -> Result<(), EngineError> {
    sqlx::query!(
        "INSERT INTO projection_actions (actor, verb, projection, reason, detail)
         VALUES ($1, $2, $3, $4, $5)",
        action.actor,
        action.verb,
        action.projection,
        action.reason,
        action.detail,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The last of them, newest first.
pub(crate) async fn list(
    pool: &PgPool,
    projection: Option<&str>,
) -> Result<Vec<Action>, EngineError> {
    let actions = sqlx::query_as!(
        Action,
        r#"SELECT at AS "at: At", actor, verb, projection, reason, detail FROM projection_actions
           WHERE $1::text IS NULL OR projection = $1 ORDER BY id DESC LIMIT $2"#,
        projection,
        LIST,
    );
    Ok(actions.fetch_all(pool).await?)
}

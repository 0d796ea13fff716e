//! Once more: one delivery, or everything that an endpoint is owed from a position on. The messages keep their ids, so a receiver knows
//! what it has seen.
use cairn_core::{OrganisationId, Refusal as _, Timestamp, WebhookEndpointId};
use cairn_notify::{WebhookEndpoint, WebhookEndpointError};
use serde::Serialize;
use sqlx::PgPool;

use super::endpoints::{self, Change, Wish};
use super::kinds::{TESTED, wants};
use super::owner::owner;
use crate::answers::{first_answer, refused};
use crate::processes::store::to_sql;
use crate::public::translate;
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// Events read at once.
const BATCH: i64 = 1_000;

/// An endpoint that somebody sees and that is told.
async fn endpoint(
    commands: &Commands,
    asks: Option<OrganisationId>,
    endpoint_id: WebhookEndpointId,
) -> Result<WebhookEndpoint, ExecuteError> {
    let no = |error: WebhookEndpointError| refused(error.code(), error.to_string());
    let id = endpoint_id.to_string();
    let (endpoint, _) = commands.executor.load::<WebhookEndpoint>(&id).await?;
    let is_theirs = endpoint.organisation_id.is_some()
        && asks.is_none_or(|asks| endpoint.organisation_id == Some(asks));
    if !is_theirs || endpoint.deleted {
        return Err(no(WebhookEndpointError::Unknown));
    }
    if endpoint.disabled.is_some() {
        return Err(no(WebhookEndpointError::Disabled));
    }
    Ok(endpoint)
}

/// Wants one message once more, whatever came of it. One that waits is not waited for.
///
/// # Errors
/// `unknown_webhook_endpoint`, also when it is somebody else's; `unknown_webhook_delivery`, `webhook_endpoint_disabled`.
pub async fn resend(
    commands: &Commands,
    context: &CommandContext,
    (change, position): (Change, i64),
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    endpoint(commands, change.organisation_id, change.endpoint_id).await?;
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM notify_deliveries WHERE endpoint_id = $1 AND position = $2) AS "known!""#,
        change.endpoint_id.to_string(),
        position,
    );
    let pool = commands.executor.log().pool();
    if !known.fetch_one(pool).await.map_err(away)? {
        let message = "this endpoint was owed no such message in the last 30 days";
        return Err(refused("unknown_webhook_delivery", message));
    }
    endpoints::change(commands, context, (change, Wish::Resend { position })).await
}

/// What a replay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The first position that was looked at.
    pub from_position: i64,
    /// The last one.
    pub to_position: i64,
    /// Messages that are on their way.
    pub messages: i64,
}

/// Tells an endpoint everything again that it would be told as it is now, from a position to the end of the log.
///
/// # Errors
/// `unknown_webhook_endpoint`, `webhook_endpoint_disabled`, or the log's.
pub async fn replay(
    commands: &Commands,
    (endpoint_id, source): (WebhookEndpointId, &str),
    from_position: i64,
) -> Result<Replayed, ExecuteError> {
    let endpoint = endpoint(commands, None, endpoint_id).await?;
    let whose = endpoint.organisation_id.map(|id| id.to_string());
    let log = commands.executor.log();
    let to_position = log.head().await?;
    let (mut at, mut messages) = (from_position.max(1) - 1, 0);
    while at < to_position {
        let facts = log.read(at, BATCH.min(to_position - at)).await?;
        let Some(last) = facts.last().map(|fact| fact.position) else { break };
        let mut owed = vec![];
        for fact in &facts {
            let Some(event) = translate(fact, source)? else { continue };
            let is_told = event.kind != TESTED && wants(&endpoint.event_types, &event.kind);
            if is_told && owner(&commands.executor, fact).await? == whose {
                owed.push((fact.position, event.kind));
            }
        }
        messages += owe(log.pool(), endpoint_id, owed, commands.clock.now()).await.map_err(away)?;
        at = last;
    }
    Ok(Replayed { from_position: from_position.max(1), to_position, messages })
}

/// The first position that was recorded at an instant or later; the one after the last when there is none.
///
/// # Errors
/// The database's.
pub async fn position_since(commands: &Commands, since: Timestamp) -> Result<i64, ExecuteError> {
    let log = commands.executor.log();
    let first = sqlx::query_scalar!(
        "SELECT position FROM events WHERE recorded_at >= $1 ORDER BY position LIMIT 1",
        to_sql(since)
    );
    match first.fetch_optional(log.pool()).await.map_err(away)? {
        Some(position) => Ok(position),
        None => Ok(log.head().await? + 1),
    }
}

async fn owe(
    pool: &PgPool,
    endpoint_id: WebhookEndpointId,
    owed: Vec<(i64, String)>,
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    let (positions, kinds): (Vec<i64>, Vec<String>) = owed.into_iter().unzip();
    let owed = sqlx::query!(
        r#"INSERT INTO notify_deliveries (endpoint_id, position, event_type, status, due_at, created_at)
           SELECT $1, position, event_type, 'pending', $4, $4
           FROM unnest($2::bigint[], $3::text[]) AS owed (position, event_type)
           ON CONFLICT (endpoint_id, position) DO UPDATE
           SET status = 'pending', due_at = excluded.due_at, tries = 0, finished_at = NULL"#,
        endpoint_id.to_string(),
        &positions,
        &kinds,
        to_sql(now),
    );
    let owed = owed.execute(pool).await?.rows_affected();
    Ok(i64::try_from(owed).unwrap_or(i64::MAX))
}

fn away(error: sqlx::Error) -> ExecuteError {
    cairn_event_log::LogError::reading(&error).into()
}

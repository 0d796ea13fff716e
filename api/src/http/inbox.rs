//! The inbox: what a caller should be told, and what they have read of it.
use axum::Json;
use axum::extract::{Extension, Path, State};
use cairn_projections::operations::{inbox as view, inbox_reads};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reader::{AsksPage, AsksPosition, Reader, Seen};
use super::state::Api;
use crate::auth::Caller;
use crate::live::Sight;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_inbox))
        .routes(routes!(read_inbox_notice))
        .routes(routes!(read_inbox))
}

/// Query of the inbox.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InboxQuery {
    /// Wait until the views have reached this position of the log.
    pub min_position: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items per page, 1 to 200, 50 when absent.
    pub limit: Option<i64>,
    /// Only what was not read yet.
    #[serde(default)]
    pub unread: bool,
}

impl AsksPosition for InboxQuery {
    fn min_position(&self) -> Option<i64> {
        self.min_position
    }

    fn filter(&self) -> String {
        self.unread.to_string()
    }
}

impl AsksPage for InboxQuery {
    fn page(&self) -> (Option<&str>, Option<i64>) {
        (self.cursor.as_deref(), self.limit)
    }
}

fn whose(caller: &Caller) -> view::Whose {
    let families = Sight::of(caller).families().map(str::to_owned).collect();
    view::Whose { actor: caller.principal(), organisation_id: caller.organisation_id, families }
}

/// What happened to the caller's organisation that is worth being told, newest first; for operators, to nodes as well.
#[utoipa::path(get, path = "/v1/inbox", operation_id = "list_inbox", tag = "events",
    params(InboxQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Inbox)))]
async fn list_inbox(
    State(api): State<Api>,
    reader: Reader<InboxQuery>,
) -> Result<Seen<Inbox>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let whose = whose(&reader.caller);
    let wanted = (reader.query.unread, page.after);
    // Counted first: what is counted is shown, and what comes between the two is shown and not yet counted.
    let unread = view::unread(&mut *api.read_for(&reader.caller).await?, &whose).await?;
    let rows =
        view::list(&mut *api.read_for(&reader.caller).await?, &whose, wanted, page.limit).await?;
    let page = reader.shown(rows, Notice::from)?;
    Ok(at.saw(Inbox { items: page.items, next_cursor: page.next_cursor, unread }))
}

/// Notes that the caller has read a notice. It says the same however often, so it takes no Idempotency-Key.
#[utoipa::path(post, path = "/v1/inbox/{notice_id}/read", operation_id = "read_inbox_notice", tag = "events",
    params(("notice_id" = String, Path, description = "The notice")), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "It is read", body = InboxRead)))]
async fn read_inbox_notice(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(notice_id): Path<String>,
) -> Result<Json<InboxRead>, Problem> {
    let position = own_notice(&api, &caller, &notice_id).await?;
    inbox_reads::note(api.pool(), &caller.principal(), position).await?;
    unread(&api, &caller).await
}

/// Notes that the caller has read a notice and all before it. It says the same however often, so it takes no Idempotency-Key.
#[utoipa::path(post, path = "/v1/inbox/{notice_id}/read-until", operation_id = "read_inbox", tag = "events",
    params(("notice_id" = String, Path, description = "The newest notice that was seen")), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "They are read", body = InboxRead)))]
async fn read_inbox(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(notice_id): Path<String>,
) -> Result<Json<InboxRead>, Problem> {
    let position = own_notice(&api, &caller, &notice_id).await?;
    inbox_reads::note_until(api.pool(), &caller.principal(), position).await?;
    unread(&api, &caller).await
}

/// The place of a notice that the caller has.
async fn own_notice(api: &Api, caller: &Caller, notice_id: &str) -> Result<i64, Problem> {
    let missing = || Problem::missing(Missing::Notice);
    let position = position(notice_id).ok_or_else(missing)?;
    let whose = whose(caller);
    let is_there = view::is_there(&mut *api.read_for(caller).await?, &whose, position).await?;
    if is_there { Ok(position) } else { Err(missing()) }
}

async fn unread(api: &Api, caller: &Caller) -> Result<Json<InboxRead>, Problem> {
    let unread = view::unread(&mut *api.read_for(caller).await?, &whose(caller)).await?;
    Ok(Json(InboxRead { unread }))
}

const PREFIX: &str = "notice_";

fn position(notice_id: &str) -> Option<i64> {
    let digits = notice_id.strip_prefix(PREFIX)?;
    digits.parse().ok().filter(|position: &i64| position.to_string() == digits)
}

/// The inbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct Inbox {
    /// Notices.
    items: Vec<Notice>,
    /// Give this as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// How many the caller has not read, 1,000 at most.
    unread: i64,
}

/// Something to be told.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notice {
    /// `notice_…`
    notice_id: String,
    /// What happened: `allocation.activated`, `.rejected`, `.failed`, `.suspended`, `.resumed`, `.funds_exhausted` or `.released`,
    /// `dunning.low`, `.grace`, `.suspended`, `.retention`, `.released` or `.ok`, `payment.action_required`, `.succeeded` or `.failed`, `refund.succeeded` or
    /// `.failed`, `node.offline`, `.online` or `.quarantined`. Others may follow.
    kind: String,
    /// To which: its id.
    subject_id: String,
    /// When: RFC 3339, UTC.
    at: String,
    /// Whether the caller has read it.
    read: bool,
}

impl From<view::Notice> for Notice {
    fn from(row: view::Notice) -> Self {
        let subject_id = row.subject.split_once('/').map_or("", |(_, id)| id).to_owned();
        Self {
            notice_id: format!("{PREFIX}{}", row.position),
            kind: row.kind,
            subject_id,
            at: row.at.to_string(),
            read: row.is_read,
        }
    }
}

/// What is left to read.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboxRead {
    /// How many the caller has not read, 1,000 at most.
    unread: i64,
}

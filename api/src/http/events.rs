//! `GET /v1/events`: what happens, as server-sent events.
use std::convert::Infallible;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::StreamExt as _;
use futures::stream::{self, Stream as Streams};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::Api;
use crate::auth::Caller;
use crate::live::{Item, Reader, Stream, Sub};
use crate::problem::Problem;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stream_events))
}

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// `org:<id>`, `alloc:<id>`, `node:<id>` or `sku:<id>`; the caller's organisation when absent.
    #[param(example = "alloc:alloc_01J…")]
    pub stream: Option<String>,
    /// The `id` of the last event that was seen; `Last-Event-ID` goes before it.
    pub after: Option<i64>,
}

/// Tells what happens from now on, or from the last event that was seen, for as long as it is listened to. Each event's `event` is its
/// type, `data` the CloudEvent (`docs/schemas`), `id` where to go on. `reset` says that some will not be told.
#[utoipa::path(get, path = "/v1/events", operation_id = "stream_events", tag = "events",
    security(("api_key" = []), ("session" = [])),
    params(EventsQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "The `id` of the last event that was seen")),
    responses((status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream")))]
async fn stream_events(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let Query(query) = query.map_err(|error| Problem::new("query_invalid", error.body_text()))?;
    let stream = match &query.stream {
        Some(text) => Stream::parse(text)?,
        None => Stream::Organisation(caller.organisation_id),
    };
    let said = [last_seen(&headers)?, query.after];
    if said.iter().flatten().any(|after| *after < 0) {
        return Err(Problem::new("query_invalid", "the id of an event is no less than 0"));
    }
    let sub = Sub { stream, after: said[0].or(said[1]) };
    let reader = api.live.open(&caller, vec![sub]).await?;
    let alive = KeepAlive::new().interval(api.live.pace().heartbeat).text("heartbeat");
    // A proxy that collects answers would keep events to itself.
    let unbuffered =
        [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    Ok((unbuffered, Sse::new(told(reader)).keep_alive(alive)))
}

fn last_seen(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(&LAST_EVENT_ID) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong =
        || Problem::new("query_invalid", "Last-Event-ID is the id of an event of this stream");
    number.map(Some).ok_or_else(wrong)
}

/// Says first where it begins, so that whoever breaks off before anything happens can go on from there too.
fn told(reader: Reader) -> impl Streams<Item = Result<Event, Infallible>> + Send {
    let begin = Event::default().comment("open");
    let begin = if reader.replays() { begin } else { begin.id(reader.position().to_string()) };
    let rest = stream::unfold(Some(reader), async |reader| {
        let mut reader = reader?;
        let item = reader.next().await;
        let ends = matches!(item, Item::End(_));
        Some((Ok(event(item)), (!ends).then_some(reader)))
    });
    stream::once(async { Ok(begin) }).chain(rest)
}

fn event(item: Item) -> Event {
    match item {
        Item::Event(frame) => {
            Event::default().id(frame.position.to_string()).event(&frame.kind).data(&frame.body)
        }
        Item::Reset(stream, position) => {
            let data = json!({ "stream": stream.to_string(), "pos": position }).to_string();
            Event::default().id(position.to_string()).event("reset").data(data)
        }
        Item::End(code) => Event::default().event("end").data(json!({ "code": code }).to_string()),
    }
}

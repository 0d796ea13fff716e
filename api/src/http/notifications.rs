//! `GET /v1/notifications`: what happens, over a WebSocket with the subprotocol `cairn.events.v1`.
//!
//! | who | says | when |
//! |---|---|---|
//! | client | `{"type":"hello","ticket":…,"subs":[{"stream":…,"after":…}]}` | first, within ten seconds |
//! | server | `{"v":1,"type":"welcome","heartbeat_s":…,"streams":[{"stream":…,"pos":…}]}` | then |
//! | server | `{"v":1,"type":"cairn.…","stream":…,"pos":…,"id":…,"at":…,"subject":…,"data":…}` | something happened |
//! | server | `{"v":1,"type":"reset","stream":…,"pos":…}` | what came before `pos` will not be told |
//! | server | `{"v":1,"type":"end","code":…,"detail":…}`, and closes | nothing more comes |
//! | client | `{"type":"ping"}`, answered by `{"v":1,"type":"pong"}` | whenever it likes; pings of the protocol do as well |
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admit;
use super::state::Api;
use super::tickets::Opens;
use crate::auth::Caller;
use crate::auth::ticket::{self, Ticket};
use crate::live::{Frame, Item, Reader, Stream, Sub};
use crate::problem::Problem;

const PROTOCOL: &str = "cairn.events.v1";
/// What a client says is short.
const MESSAGE_MAX: usize = 16 << 10;
const HELLO: Duration = Duration::from_secs(10);
/// Heartbeats that may stay unanswered.
const MISSES: u32 = 2;
/// Codes of closing, RFC 6455.
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const AGAIN_LATER: u16 = 1013;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(open_notifications))
}

/// Opens a WebSocket (subprotocol `cairn.events.v1`) that tells what happens. Its first message brings a ticket of `POST /v1/tickets`.
#[utoipa::path(get, path = "/v1/notifications", operation_id = "open_notifications", tag = "events",
    responses((status = 101, description = "It is a WebSocket now")))]
async fn open_notifications(
    State(api): State<Api>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|error| Problem::new("upgrade_required", error.body_text()))?;
    check_origin(&api, &headers)?;
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let detail = format!("send Sec-WebSocket-Protocol: {PROTOCOL}");
        return Err(Problem::new("subprotocol_missing", detail));
    }
    let upgrade = upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    let tasks = api.tasks.clone();
    Ok(upgrade.on_upgrade(move |socket| tasks.track_future(Box::pin(talk(api, socket)))))
}

/// A browser says whose page asks: it must be ours or one that is allowed. What is no browser says nothing, and needs a ticket as well.
fn check_origin(api: &Api, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let own = api.public_url.parse::<reqwest::Url>();
    let own = own.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    if api.origins.0.contains(origin) || origin.as_bytes() == own.as_bytes() {
        return Ok(());
    }
    Err(Problem::new("origin_refused", "pages of this origin may not open it (CAIRN_CORS_ORIGINS)"))
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    Hello {
        ticket: String,
        #[serde(default)]
        subs: Vec<Wanted>,
    },
    Ping {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    stream: String,
    after: Option<i64>,
}

/// The whole conversation.
async fn talk(api: Api, mut socket: WebSocket) {
    let greeted = timeout(HELLO, greet(&api, &mut socket)).await;
    let late = || Err(Problem::new("hello_invalid", "no hello came in time"));
    let reader = match greeted.unwrap_or_else(|_| late()) {
        Ok(Some(reader)) => reader,
        Ok(None) => return,
        Err(problem) => {
            let code = if problem.code.retryable { AGAIN_LATER } else { POLICY };
            return close(&mut socket, (code, problem.code.name), &problem.detail).await;
        }
    };
    let beat = api.live.pace().heartbeat;
    let mut talk = Talk { socket, reader, beat, unanswered: 0 };
    if let Some((code, name)) = talk.until_end().await {
        close(&mut talk.socket, (code, name), "nothing more comes").await;
    }
}

/// Takes the hello and answers it. `None`: the client left.
async fn greet(api: &Api, socket: &mut WebSocket) -> Result<Option<Reader>, Problem> {
    let wrong = |detail: String| Problem::new("hello_invalid", detail);
    let text = loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => break text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(wrong("messages are text".to_owned())),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
        }
    };
    let said = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let Said::Hello { ticket, subs } = said else {
        return Err(wrong("the first message is a hello".to_owned()));
    };
    let caller = redeem(api, &ticket).await?;
    let reader = api.live.open(&caller, wanted(&caller, subs)?).await?;
    let streams = reader
        .subs()
        .iter()
        .map(|(stream, after)| json!({ "stream": stream.to_string(), "pos": after }));
    let welcome = json!({
        "v": 1, "type": "welcome", "heartbeat_s": api.live.pace().heartbeat.as_secs(),
        "streams": streams.collect::<Vec<_>>(),
    });
    let sent = socket.send(text_of(&welcome)).await;
    Ok(sent.is_ok().then_some(reader))
}

async fn redeem(api: &Api, text: &str) -> Result<Caller, Problem> {
    let refused = || Problem::new("ticket_invalid", "this ticket is unknown, used or over");
    let ticket = Ticket::parse(text).map_err(|_| refused())?;
    let standing = ticket::redeem(api.pool(), &ticket, &Opens::Notifications.kept()).await?;
    let standing = standing.and_then(|text| text.parse().ok()).ok_or_else(refused)?;
    let wanted = admit::Wanted { operation: "stream_events", context: "events", is_read: true };
    admit::again(api, &standing, &wanted).await
}

fn wanted(caller: &Caller, subs: Vec<Wanted>) -> Result<Vec<Sub>, Problem> {
    if subs.is_empty() {
        let stream = Stream::Organisation(caller.organisation_id);
        return Ok(vec![Sub { stream, after: None }]);
    }
    let read =
        |wanted: Wanted| Ok(Sub { stream: Stream::parse(&wanted.stream)?, after: wanted.after });
    subs.into_iter().map(read).collect()
}

struct Talk {
    socket: WebSocket,
    reader: Reader,
    beat: Duration,
    unanswered: u32,
}

/// Why it ends: code of closing and name; `None` when nobody is there any more.
type Ending = Option<(u16, &'static str)>;

impl Talk {
    async fn until_end(&mut self) -> Ending {
        let mut beats: Interval = interval_at(Instant::now() + self.beat, self.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ended = tokio::select! {
                item = self.reader.next() => self.tell(item).await,
                said = self.socket.recv() => self.hear(said).await,
                _ = beats.tick() => self.beat().await,
            };
            if let Err(ending) = ended {
                return ending;
            }
        }
    }

    async fn tell(&mut self, item: Item) -> Result<(), Ending> {
        match item {
            Item::Event(frame) => {
                let streams: Vec<_> =
                    self.reader.streams_of(&frame).map(ToString::to_string).collect();
                for stream in streams {
                    self.send(text_of(&shown(&frame, &stream))).await?;
                }
                Ok(())
            }
            Item::Reset(stream, position) => {
                let reset = json!({ "v": 1, "type": "reset", "stream": stream.to_string(), "pos": position });
                self.send(text_of(&reset)).await
            }
            Item::End(code) if code == "shutting_down" => Err(Some((GOING_AWAY, code))),
            Item::End(code) => Err(Some((POLICY, code))),
        }
    }

    async fn hear(&mut self, said: Option<Result<Message, axum::Error>>) -> Result<(), Ending> {
        match said {
            Some(Ok(Message::Text(text))) => {
                self.unanswered = 0;
                match serde_json::from_str(&text) {
                    Ok(Said::Ping {}) => {
                        self.send(text_of(&json!({ "v": 1, "type": "pong" }))).await
                    }
                    Ok(Said::Hello { .. }) | Err(_) => Err(Some((POLICY, "hello_invalid"))),
                }
            }
            // Pings of the protocol are answered by the protocol.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                self.unanswered = 0;
                Ok(())
            }
            Some(Ok(Message::Binary(_))) => Err(Some((POLICY, "hello_invalid"))),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(None),
        }
    }

    async fn beat(&mut self) -> Result<(), Ending> {
        if self.unanswered >= MISSES {
            return Err(None);
        }
        self.unanswered += 1;
        self.send(Message::Ping(Vec::new().into())).await
    }

    /// Whoever takes nothing for as long as two heartbeats is not there.
    async fn send(&mut self, message: Message) -> Result<(), Ending> {
        let sent = timeout(self.beat * MISSES, self.socket.send(message)).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(None) }
    }
}

fn shown(frame: &Frame, stream: &str) -> Value {
    let mut shown = json!({
        "v": 1, "type": frame.kind, "stream": stream, "pos": frame.position,
        "subject": { "kind": frame.family, "id": frame.subject_id },
    });
    if let Ok(parts) = frame.parts() {
        shown["id"] = parts.id.into();
        shown["at"] = parts.time.into();
        shown["data"] = serde_json::from_str(parts.data.get()).unwrap_or_default();
    }
    shown
}

fn text_of(value: &Value) -> Message {
    Message::Text(value.to_string().into())
}

/// Says why, and closes.
async fn close(socket: &mut WebSocket, (code, name): (u16, &'static str), detail: &str) {
    let end = text_of(&json!({ "v": 1, "type": "end", "code": name, "detail": detail }));
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(name) };
    let said = async {
        let _ = socket.send(end).await;
        let _ = socket.send(Message::Close(Some(frame))).await;
        // The other side answers with a close of its own; then it is over.
        while let Some(Ok(_)) = socket.recv().await {}
    };
    let _ = timeout(Duration::from_secs(2), said).await;
}

//! Readers of streams of events, as the tests use them: server-sent events over HTTP, and a WebSocket.
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Caller, PATIENCE};

pub const PROTOCOL: &str = "cairn.events.v1";

/// A stream of server-sent events.
pub struct Sse {
    response: reqwest::Response,
    read: String,
}

/// One of them; a block without data is a comment or an id alone.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Told {
    pub id: String,
    pub event: String,
    pub data: String,
    pub comment: String,
}

impl Told {
    fn of(block: &str) -> Self {
        let mut told = Self::default();
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "id" => told.id = value,
                "event" => told.event = value,
                "data" => told.data = value,
                _ => told.comment = value,
            }
        }
        told
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }

    pub fn position(&self) -> i64 {
        self.id.parse().unwrap()
    }
}

impl Sse {
    /// Opens a stream, which must open.
    pub async fn open(caller: &Caller, path: &str, last: Option<&str>) -> Self {
        let request = caller.request(Method::GET, path);
        let request = last.iter().fold(request, |request, id| request.header("last-event-id", *id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, read: String::new() }
    }

    /// The next block, comments included; `None` when the server has ended it.
    pub async fn block(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let told = Told::of(block);
                self.read = rest.to_owned();
                return Some(told);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("nothing comes");
            let chunk = chunk.ok().flatten()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            let told = self.block().await?;
            if !told.event.is_empty() {
                return Some(told);
            }
        }
    }

    /// Events up to the first of this type, which is the last of them.
    pub async fn until(&mut self, event: &str) -> Vec<Told> {
        let mut all = vec![];
        loop {
            let told = self.next().await.expect("it ended");
            let found = told.event == event;
            all.push(told);
            if found {
                return all;
            }
        }
    }
}

/// A WebSocket.
pub struct Socket(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What the server answered instead of opening one.
pub type Refused = (u16, String);

impl Socket {
    /// Opens one with these headers.
    pub async fn open(base: &str, headers: &[(&'static str, &str)]) -> Result<Self, Refused> {
        let address = format!("{}/v1/notifications", base.replace("http://", "ws://"));
        let mut request = address.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                let body = answer.body().as_deref().unwrap_or_default();
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                Err((answer.status().as_u16(), body["code"].as_str().unwrap_or("?").to_owned()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Opens one as a caller, with a new ticket, and takes the welcome.
    pub async fn greeted(caller: &Caller, subs: Value) -> Self {
        let mut socket =
            Self::open(&caller.base, &[("sec-websocket-protocol", PROTOCOL)]).await.unwrap();
        let ticket = ticket(caller).await;
        socket.say(&json!({ "type": "hello", "ticket": ticket, "subs": subs })).await;
        let welcome = socket.next().await.unwrap();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        socket
    }

    pub async fn say(&mut self, what: &Value) {
        self.0.send(Message::text(what.to_string())).await.unwrap();
    }

    /// The next message; `None` when the server has closed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("nothing comes");
            match message?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Messages up to the first of this type, which is the last of them.
    pub async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut all = vec![];
        loop {
            let told = self.next().await.expect("it closed");
            let found = told["type"] == kind;
            all.push(told);
            if found {
                return all;
            }
        }
    }
}

/// A new ticket.
pub async fn ticket(caller: &Caller) -> String {
    let request = caller.request(Method::POST, "/v1/tickets");
    let made = crate::support::answer(request.json(&json!({ "purpose": "notifications" }))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.text("/ticket")
}

/// Looks until it is so.
pub async fn becomes(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! A customer's server that receives webhooks, and believes only what an implementation that is not ours finds signed.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::PATIENCE;

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    /// Whether it is signed with this secret.
    pub fn is_signed(&self, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(&self.body, &self.headers).is_ok()
    }
}

#[derive(Clone)]
struct Desk {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    open: watch::Receiver<bool>,
}

pub struct Receiver {
    pub url: String,
    desk: Desk,
    open: watch::Sender<bool>,
    _serving: JoinSet<()>,
}

impl Receiver {
    /// Answers these, and from then on that all is well.
    pub async fn answering(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook-canary", listener.local_addr().unwrap());
        let (open, is_open) = watch::channel(true);
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let desk = Desk { got: Arc::default(), answers, open: is_open };
        let router = Router::new().route("/hook-canary", post(take)).with_state(desk.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, desk, open, _serving: serving }
    }

    /// From now on it takes what comes and does not answer, or answers.
    pub fn answers(&self, does: bool) {
        self.open.send_replace(does);
    }

    pub fn got(&self) -> Vec<Got> {
        self.desk.got.lock().unwrap().clone()
    }

    /// What has come, once it is so many.
    pub async fn have(&self, count: usize) -> Vec<Got> {
        let deadline = Instant::now() + PATIENCE;
        while self.got().len() < count {
            let kinds: Vec<_> = self.got().iter().map(Got::kind).collect();
            assert!(Instant::now() < deadline, "only these came: {kinds:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.got()
    }
}

async fn take(
    State(mut desk): State<Desk>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    desk.got.lock().unwrap().push(Got { headers, body });
    desk.open.wait_for(|open| *open).await.unwrap();
    let answer = desk.answers.lock().unwrap().pop_front().unwrap_or(200);
    (StatusCode::from_u16(answer).unwrap(), "thank you")
}

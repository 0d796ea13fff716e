//! A caller of the API, over HTTP like anybody else.
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::exit::{CliError, Exit};

const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// One caller with one key.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
    wishes: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Client {
    pub(super) fn new(base: &str, key: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            key: key.to_owned(),
            wishes: std::sync::Arc::default(),
        }
    }

    /// Posts with a new idempotency key; anything but success is an error.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(path, self.wish(path).json(body)).await
    }

    /// The same, on what was seen of the thing.
    pub(super) async fn post_upon(
        &self,
        tag: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, CliError> {
        self.send(path, self.wish(path).header("if-match", tag).json(body)).await
    }

    fn wish(&self, path: &str) -> reqwest::RequestBuilder {
        let wish = self.wishes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let request = self.http.post(format!("{}{path}", self.base));
        request.header("idempotency-key", format!("demo-{wish}"))
    }

    /// Reads; anything but success is an error.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.send(path, self.http.get(format!("{}{path}", self.base))).await
    }

    /// Reads until the answer is as wanted.
    pub(super) async fn until(
        &self,
        path: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, CliError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let last = match self.get(path).await {
                Ok(found) if wanted(&found) => return Ok(found),
                Ok(found) => found.to_string(),
                // The view may not show it yet.
                Err(error) if error.exit == Exit::NotFound => error.to_string(),
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(CliError::failure(format!("{path} did not come about: {last}")));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send(&self, path: &str, request: reqwest::RequestBuilder) -> Result<Value, CliError> {
        let broken = |error: reqwest::Error| CliError::failure(format!("{path}: {error}"));
        let response = request.bearer_auth(&self.key).send().await.map_err(broken)?;
        let status = response.status();
        let body: Value = response.json().await.map_err(broken)?;
        if status.is_success() {
            return Ok(body);
        }
        let exit = if status.as_u16() == 404 { Exit::NotFound } else { Exit::Failure };
        let (code, detail) = (text(&body, "/code"), text(&body, "/detail"));
        Err(CliError::new(exit, &code, format!("{path} answered {status}: {detail}")))
    }
}

/// A member of an answer as text; empty when it is not there.
pub(super) fn text(body: &Value, pointer: &str) -> String {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

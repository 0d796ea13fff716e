//! Traces, to whoever speaks OTLP over HTTP: a collector, Tempo, Jaeger. Off unless an address is set.
//!
//! Spans are made by the code's own words only (`cairn_spans`): nothing that a library says of itself leaves. They wait in a queue of
//! limited length and are sent by a thread of their own; who comes when it is full is dropped and counted, and nobody waits.
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use cairn_spans::Spans;
use metrics::counter;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData,
    SpanExporter, SpanProcessor,
};
use reqwest::Client;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Spans that wait to be sent; what comes then is dropped.
const QUEUE: usize = 4_096;
/// Spans that are sent at once.
const BATCH: usize = 512;
/// Between two batches that are not full.
const TURN: Duration = Duration::from_secs(1);
/// How long sending one batch may take, and all that are left at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the log says that nothing arrives.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// Where traces go, and which.
#[derive(Clone, PartialEq)]
pub struct TracesConfig {
    /// Where OTLP is spoken over HTTP; `/v1/traces` is added.
    pub endpoint: String,
    /// Sent along: what lets us in there.
    pub headers: HeaderMap,
    /// Of the traces that begin here, so many are sent: 0 to 1. Whoever comes with a trace has decided.
    pub sample_ratio: f64,
    /// What this is called there.
    pub service: String,
    /// Where it runs, such as `production`.
    pub environment: Option<String>,
}

/// What lets us in is a secret.
impl fmt::Debug for TracesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("TracesConfig")
            .field("endpoint", &self.endpoint)
            .field("headers", &names)
            .field("sample_ratio", &self.sample_ratio)
            .finish_non_exhaustive()
    }
}

/// One `name=value` that is sent along.
#[derive(Debug)]
pub struct TraceHeader(pub HeaderName, pub HeaderValue);

impl FromStr for TraceHeader {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, value) = text.split_once('=').ok_or(())?;
        let name = name.trim().parse().map_err(drop)?;
        let mut value: HeaderValue = value.trim().parse().map_err(drop)?;
        value.set_sensitive(true);
        Ok(Self(name, value))
    }
}

/// Traces of one server; nobody's by default. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Traces {
    spans: Spans,
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// To an address, or to nobody. Spans are counted from their first day.
    ///
    /// # Errors
    /// When TLS cannot be set up, or the address is none.
    pub fn begin(config: Option<&TracesConfig>, instance: &str) -> std::io::Result<Self> {
        for outcome in ["sent", "failed", "dropped"] {
            count(outcome, 0);
        }
        let Some(config) = config else { return Ok(Self::default()) };
        let exporter = Otlp::builder()
            .with_http()
            .with_http_client(Courier::try_new(config)?)
            .with_endpoint(format!("{}/v1/traces", config.endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .map_err(std::io::Error::other)?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted =
            Counted { otlp: exporter, waiting: Arc::clone(&waiting), said: Mutex::default() };
        // Longer than ours: the one that drops is the one that counts.
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(2 * QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(TURN);
        let batches = BatchSpanProcessor::builder(counted).with_batch_config(batches.build());
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                config.sample_ratio,
            ))))
            .with_resource(resource(config, instance))
            .with_span_processor(Queue { batches: batches.build(), waiting })
            .build();
        Ok(Self { spans: Spans::of(&provider), provider: Some(provider) })
    }

    /// What makes the spans.
    #[must_use]
    pub const fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Sends what waits, for a limited time.
    pub async fn close(&self) {
        let Some(provider) = self.provider.clone() else { return };
        // It waits for its thread.
        let closed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(PATIENCE));
        if !matches!(closed.await, Ok(Ok(()))) {
            tracing::warn!("traces are left unsent");
        }
    }
}

fn count(outcome: &'static str, spans: usize) {
    counter!("cairn_trace_spans_total", "outcome" => outcome).increment(spans as u64);
}

/// Who sends them.
fn resource(config: &TracesConfig, instance: &str) -> Resource {
    let environment = config.environment.clone();
    let environment = environment.map(|name| KeyValue::new("deployment.environment.name", name));
    // Nothing is read from the environment of the process.
    Resource::builder_empty()
        .with_service_name(config.service.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .with_attributes(environment)
        .build()
}

/// Lets so many spans wait, and counts those that find no place.
#[derive(Debug)]
struct Queue {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return count("dropped", 1);
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Sends batches, counts what came of them, and says so now and then when nothing arrives.
#[derive(Debug)]
struct Counted {
    otlp: Otlp,
    waiting: Arc<AtomicUsize>,
    said: Mutex<Option<Instant>>,
}

impl Counted {
    fn say(&self, error: &dyn fmt::Display) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            *said = Some(Instant::now());
            tracing::warn!(%error, "traces do not arrive, and are lost");
        }
    }
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.otlp.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        count(if sent.is_ok() { "sent" } else { "failed" }, spans);
        if let Err(error) = &sent {
            self.say(error);
        }
        sent
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.otlp.shutdown()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// Carries batches over the HTTP and the TLS that all of the house uses. The thread that sends has no runtime, so that a task of the
/// server's does the calling.
struct Courier {
    client: Client,
    tasks: TaskTracker,
    runtime: Handle,
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

impl Courier {
    fn try_new(config: &TracesConfig) -> std::io::Result<Self> {
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(config.headers.clone())
            .build();
        let client = client.map_err(std::io::Error::other)?;
        let runtime = Handle::try_current().map_err(std::io::Error::other)?;
        Ok(Self { client, tasks: TaskTracker::new(), runtime })
    }
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.client.clone(), reqwest::Request::try_from(request)?);
        let call = async move { client.execute(request).await.map(|answer| answer.status()) };
        let status: StatusCode =
            self.tasks.spawn_on(call, &self.runtime).await?.map_err(|error| {
                // It may hold what the address holds.
                error.without_url()
            })?;
        // What it says beside that is not read: it may be of any length.
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}

/// An address of HTTP without a password, which belongs into a header.
///
/// # Errors
/// When it is another.
pub(crate) fn endpoint(text: &str) -> Result<String, ()> {
    let url = text.parse::<reqwest::Url>().map_err(drop)?;
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let bare = url.username().is_empty() && url.password().is_none();
    let place = url.query().is_none() && url.fragment().is_none();
    (web && bare && place).then(|| text.to_owned()).ok_or(())
}

/// A share of all.
///
/// # Errors
/// When it is less than nothing, more than all, or no number.
pub(crate) fn ratio(text: &str) -> Result<f64, ()> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or(())
}

/// Headers by name; the last of a name counts.
#[must_use]
pub fn headers(given: Vec<TraceHeader>) -> HeaderMap {
    let given: BTreeMap<_, _> = given
        .into_iter()
        .map(|TraceHeader(name, value)| (name.to_string(), (name, value)))
        .collect();
    given.into_values().collect()
}

//! A collector of traces, by the official types of OTLP; one that refuses, and one that never answers.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What it does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Takes,
    Refuses,
    Hangs,
}

#[derive(Clone)]
struct Desk {
    manner: Manner,
    came: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

pub struct Collector {
    pub endpoint: String,
    desk: Desk,
    _serving: JoinSet<()>,
}

impl Collector {
    pub async fn that(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let desk = Desk { manner, came: Arc::default() };
        let router = Router::new().route("/v1/traces", post(take)).with_state(desk.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, desk, _serving: serving }
    }

    /// Every request as it came.
    pub fn came(&self) -> Vec<(HeaderMap, Bytes)> {
        self.desk.came.lock().unwrap().clone()
    }

    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let decoded = |(_, body): &(HeaderMap, Bytes)| {
            ExportTraceServiceRequest::decode(body.clone()).expect("no OTLP")
        };
        self.came().iter().map(decoded).collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Those of one trace, by their ids.
    pub fn trace(&self, trace_id: &str) -> BTreeMap<String, Span> {
        let of = |span: &Span| hex::encode(&span.trace_id) == trace_id;
        let spans = self.spans().into_iter().filter(of);
        spans.map(|span| (hex::encode(&span.span_id), span)).collect()
    }
}

async fn take(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> (StatusCode, Vec<u8>) {
    desk.came.lock().unwrap().push((headers, body));
    match desk.manner {
        Manner::Takes => (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec()),
        Manner::Refuses => (StatusCode::INTERNAL_SERVER_ERROR, b"no".to_vec()),
        Manner::Hangs => std::future::pending().await,
    }
}

/// Attributes as text, by name.
pub fn said(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|it| it.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(is)) => is.to_string(),
        other => panic!("nobody says {other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

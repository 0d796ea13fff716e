//! Traces that leave: one trace from the request to the last that it sets in motion, and nothing in it of whose it was; and a collector that is
//! away costs traces and nothing else.
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use cairn_api::config::Config;
use cairn_api::figures;
use cairn_api::traces::{Traces, TracesConfig};
use cairn_identity::Role;
use cairn_spans::{Cause, Kind};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;
use crate::collector::{Collector, Manner, said};
use crate::receiver::Receiver;
use crate::reload::Server;
use crate::support::{Answer, Caller, PATIENCE, SSH_KEY, Stage, answer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// Stands in what a request says, and is told to nobody.
const CANARY: &str = "canary-9b1d";
/// What a server may take to end because of a collector, with a margin for a busy machine.
const FAREWELL: Duration = Duration::from_secs(20);

fn config(endpoint: &str, sample_ratio: f64) -> TracesConfig {
    let secret = HeaderValue::from_static("Bearer for-the-collector");
    TracesConfig {
        endpoint: endpoint.to_owned(),
        headers: HeaderMap::from_iter([(HeaderName::from_static("authorization"), secret)]),
        sample_ratio,
        service: "cairn".to_owned(),
        environment: Some("test".to_owned()),
    }
}

async fn stage(options: PgConnectOptions, endpoint: &str, ratio: f64) -> Stage {
    let traces = Some(config(endpoint, ratio));
    Stage::set_among(options, |outside| outside.traces = traces).await
}

async fn rent(caller: &Caller, traceparent: Option<&str>) -> Answer {
    let rental = json!({
        "sku_id": "small", "currency": "USD",
        "ssh_public_key": SSH_KEY.replace("me@laptop", CANARY),
    });
    let key = cairn_api::system::new_api_key(cairn_api::auth::Mode::Test).unwrap().sha256();
    // What nobody asked for is refused, and what it said is told to nobody either.
    let strange = caller.get(&format!("/v1/allocations?x={CANARY}")).await;
    assert_eq!(strange.code(), "query_invalid", "{}", strange.body);
    let request = caller.request(Method::POST, "/v1/allocations").header("idempotency-key", key);
    let request = request.json(&rental);
    let request = request.header("cookie", format!("taste={CANARY}"));
    let request = match traceparent {
        Some(traceparent) => request.header("traceparent", traceparent),
        None => request,
    };
    let asked = answer(request).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    caller.until(asked.header("location"), |it| it["status"] == "active").await;
    asked
}

/// From a span up to whoever has no parent here: names, the nearest first.
fn way_up<'a>(spans: &'a BTreeMap<String, Span>, from: &'a Span) -> Vec<&'a str> {
    let (mut way, mut at) = (vec![from.name.as_str()], from);
    while let Some(above) = spans.get(&hex::encode(&at.parent_span_id)) {
        way.push(above.name.as_str());
        at = above;
        assert!(way.len() < 200, "a circle: {way:?}");
    }
    way
}

/// Where the log says that the events of a request were written, up to the activation: types and trace contexts. What comes back by itself from
/// then on begins traces of its own.
async fn written(stage: &Stage, asked: &Answer) -> Vec<(String, String)> {
    let events = stage.commands.executor.log().read(0, 10_000).await.unwrap();
    let id = asked.header("x-request-id");
    let events = events.into_iter().filter(|event| event.metadata.correlation_id == id);
    let of = events.map(|it| (it.event_type.clone(), it.metadata.traceparent.clone().unwrap()));
    let mut all: Vec<_> = of.collect();
    let last = all.iter().position(|(event_type, _)| event_type == "allocation.activated");
    all.truncate(last.expect("it is not active") + 1);
    all
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_is_one_trace_from_the_callers_span_to_the_node_and_the_webhook(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let collector = Collector::that(Manner::Takes).await;
    let stage = stage(options, &collector.endpoint, 1.0).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    customer.top_up("10.00").await;
    let hook = Receiver::answering(&[]).await;
    let wish = json!({ "url": hook.url, "event_types": ["cairn.allocation.activated.v1"] });
    let endpoint = customer.post("/v1/webhook-endpoints", &wish).await;
    assert_eq!(endpoint.status, 201, "{}", endpoint.body);

    let asked = rent(&customer, Some(&format!("00-{TRACE}-{CALLER}-01"))).await;
    let got = hook.have(1).await;
    assert!(!got[0].headers.contains_key("traceparent"), "our traces are not the customer's");
    let written = written(&stage, &asked).await;
    let (secret, node) = (endpoint.text("/secret"), stage.nodes.facts().hostname.clone());
    stage.strike().await;

    let spans = collector.trace(TRACE);
    let root: Vec<_> =
        spans.values().filter(|it| hex::encode(&it.parent_span_id) == CALLER).collect();
    assert_eq!(root.len(), 1, "{root:#?}");
    assert_eq!((root[0].name.as_str(), root[0].kind()), ("POST /v1/allocations", SpanKind::Server));
    let told = said(&root[0].attributes);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/allocations"),
        ("http.response.status_code", "201"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(told.get(key).map(String::as_str), Some(value), "{told:?}");
    }
    for (id, span) in &spans {
        let above = hex::encode(&span.parent_span_id);
        assert!(above == CALLER || spans.contains_key(&above), "an orphan: {} {id}", span.name);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{}", span.name);
        assert_eq!(way_up(&spans, span).last(), Some(&"POST /v1/allocations"));
    }

    the_call_follows_from_the_wish(&spans);
    // The log names the very span that decided an event.
    for (event_type, traceparent) in &written {
        assert_eq!(&traceparent[3..35], TRACE, "{event_type}");
        let span = spans.get(&traceparent[36..52]).unwrap_or_else(|| panic!("{event_type}"));
        assert!(span.name.starts_with("execute "), "{event_type}: {}", span.name);
    }
    nothing_is_told(&collector, &[&customer, &operator], &[&secret, &hook.url, &node]);
}

/// What was done on the node follows, link by link, from the wish; and so do the webhook and the view.
fn the_call_follows_from_the_wish(spans: &BTreeMap<String, Span>) {
    let proof = |span: &&Span| {
        span.name == "node ensure" && way_up(spans, span)[1] == "rent_node ensure_prove"
    };
    let call = spans.values().find(proof).expect("nobody proved the login");
    assert_eq!(call.kind(), SpanKind::Client);
    let told = said(&call.attributes);
    assert_eq!(told["peer.service"], "node");
    assert_eq!(told["cairn.neighbour.breaker"], "closed");
    assert_eq!(told["cairn.neighbour.outcome"], "answered");
    assert_eq!(told["cairn.attempt"], "1");
    let way = way_up(spans, call);
    for step in [
        "rent_node ensure_prove",
        "rent_node allocation.step_completed",
        "execute allocation CompleteStep",
        "rent_node reserve_capacity",
        "rent_node allocation.requested",
        "execute allocation Request",
        "POST /v1/allocations",
    ] {
        assert!(way.contains(&step), "{step} is not on the way: {way:?}");
    }
    let name = |wanted: &str| spans.values().find(|span| span.name == wanted);
    let hooked = name("webhook POST").expect("no webhook is told");
    assert_eq!(way_up(spans, hooked)[1], "execute allocation Activate");
    assert_eq!(said(&hooked.attributes)["http.response.status_code"], "200");
    let seen = name("project compute/allocations").expect("no view is told");
    assert_eq!(seen.kind(), SpanKind::Consumer);
    assert!(name("append allocation").is_some());
}

/// Nothing that leaves says whose it was; names are few, and attributes are known.
fn nothing_is_told(collector: &Collector, callers: &[&Caller], more: &[&str]) {
    let mut secrets = vec![CANARY.to_owned(), "192.0.2.7".to_owned(), "AAAAC3Nz".to_owned()];
    secrets.extend(more.iter().map(|text| (*text).to_owned()));
    for caller in callers {
        secrets.push(caller.organisation_id.to_string());
        secrets.push(caller.key.clone().unwrap());
    }
    for (headers, body) in collector.came() {
        assert_eq!(headers["authorization"], "Bearer for-the-collector");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(&body);
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} leaves");
        }
    }
    let spans = collector.spans();
    let names: BTreeSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
    for prefix in ["org_", "alloc_", "node_0", "pay_", "wallet_", "user_0", "hold_0", "?"] {
        let with: Vec<_> = names.iter().filter(|name| name.contains(prefix)).collect();
        assert!(with.is_empty(), "{with:?}");
    }
    let keys: BTreeSet<_> =
        spans.iter().flat_map(|span| said(&span.attributes).into_keys()).collect();
    let known = [
        "cairn.aggregate.type",
        "cairn.attempt",
        "cairn.command.attempts",
        "cairn.command.code",
        "cairn.command.outcome",
        "cairn.command.rehearsed",
        "cairn.command.replayed",
        "cairn.event.type",
        "cairn.events",
        "cairn.intent.kind",
        "cairn.log.position",
        "cairn.neighbour.breaker",
        "cairn.neighbour.outcome",
        "cairn.problem.code",
        "cairn.process",
        "cairn.projection",
        "cairn.stream.sequence",
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.batch.message_count",
        "peer.service",
        "url.scheme",
    ];
    let unknown: Vec<_> = keys.iter().filter(|key| !known.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let request = collector.requests().into_iter().next().unwrap();
    let resource = said(&request.resource_spans[0].resource.as_ref().unwrap().attributes);
    let about: BTreeSet<_> = resource.keys().map(String::as_str).collect();
    let wanted =
        ["deployment.environment.name", "service.instance.id", "service.name", "service.version"];
    assert_eq!(about, BTreeSet::from(wanted));
    assert_eq!(
        (&*resource["service.name"], &*resource["deployment.environment.name"]),
        ("cairn", "test")
    );
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_wants_to_see_is_not_sent_and_what_follows_from_it_neither(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let collector = Collector::that(Manner::Takes).await;
    // None of the traces that begin here is sent; a caller who wants to see his own is.
    let stage = stage(options, &collector.endpoint, 0.0).await;
    let (operator, customer) =
        (stage.caller(Role::PlatformOperator).await, stage.caller(Role::Owner).await);
    stage.open_shop(&operator).await;
    customer.top_up("20.00").await;
    let unseen = rent(&customer, Some(&format!("00-{TRACE}-{CALLER}-00"))).await;
    let begun = rent(&customer, None).await;
    for (asked, is_given) in [(&unseen, true), (&begun, false)] {
        let written = written(&stage, asked).await;
        for (event_type, traceparent) in &written {
            assert!(traceparent.ends_with("-00"), "{event_type} {traceparent}");
            assert_eq!(&traceparent[3..35] == TRACE, is_given, "{event_type} {traceparent}");
        }
        let traces: BTreeSet<_> = written.iter().map(|(_, it)| &it[3..35]).collect();
        assert_eq!(traces.len(), 1, "{traces:?}");
    }
    let seen = TRACE.replace("4bf9", "aaaa");
    rent(&customer, Some(&format!("00-{seen}-{CALLER}-01"))).await;
    stage.strike().await;
    assert!(collector.trace(&seen).len() > 20, "it would have been sent");
    let others: BTreeSet<_> =
        collector.spans().iter().map(|it| hex::encode(&it.trace_id)).collect();
    assert_eq!(others, BTreeSet::from([seen]));
}

/// What became of spans, as this process has counted them. Other tests count as well, upwards only.
fn counted(outcome: &str) -> u64 {
    let text = figures::recorder().unwrap().render();
    let wanted = format!("cairn_trace_spans_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&wanted)?.parse().ok()).unwrap_or_default()
}

/// A server whose traces go there answers as ever, ends in time, and counts what was lost.
async fn goes_on(options: PgConnectOptions, endpoint: &str, collector: Option<&Collector>) {
    let _ = figures::recorder();
    let failed = counted("failed");
    let stage = stage(options, endpoint, 1.0).await;
    let customer = stage.caller(Role::Owner).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert_eq!(customer.get("/v1/allocations").await.status, 200);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stops = Instant::now();
    stage.strike().await;
    assert!(stops.elapsed() < FAREWELL, "{:?}", stops.elapsed());
    assert!(collector.is_none_or(|it| !it.came().is_empty()), "the fault did not bite");
    let deadline = Instant::now() + PATIENCE;
    while counted("failed") == failed {
        assert!(Instant::now() < deadline, "nothing is counted as lost");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_collector_that_refuses_costs_traces_and_nothing_else(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let collector = Collector::that(Manner::Refuses).await;
    goes_on(options, &collector.endpoint, Some(&collector)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_collector_that_hangs_costs_traces_and_nothing_else(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let collector = Collector::that(Manner::Hangs).await;
    goes_on(options, &collector.endpoint, Some(&collector)).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_collector_that_is_away_costs_traces_and_nothing_else(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    // Nobody listens where somebody has just stopped to.
    let gone = Collector::that(Manner::Takes).await.endpoint;
    goes_on(options, &gone, None).await;
}

#[tokio::test]
async fn a_queue_that_is_full_drops_and_counts_and_does_not_wait() {
    let _ = figures::recorder();
    let hangs = Collector::that(Manner::Hangs).await;
    let traces = Traces::begin(Some(&config(&hangs.endpoint, 1.0)), "test").unwrap();
    let (dropped, begun) = (counted("dropped"), Instant::now());
    for _ in 0..10_000 {
        drop(traces.spans().begin(Kind::Internal, "nothing", Cause::Nothing));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(counted("dropped") >= dropped + 5_000, "{} of 10000", counted("dropped") - dropped);
    let closes = Instant::now();
    traces.close().await;
    assert!(closes.elapsed() < Duration::from_secs(6), "{:?}", closes.elapsed());
}

#[test]
fn nothing_is_traced_unless_somebody_says_where_to() {
    let config = Config::from_lookup(|_| None).unwrap();
    assert_eq!(config.traces, None);
    assert!(!Traces::begin(None, "test").unwrap().spans().is_on());
    let wrong = [
        ("CAIRN_OTLP_ENDPOINT", "collector:4318"),
        ("CAIRN_OTLP_ENDPOINT", "http://me:secret@collector:4318"),
        ("CAIRN_OTLP_HEADERS", "authorization"),
        ("CAIRN_SAMPLE_RATIO", "2"),
        ("CAIRN_SAMPLE_RATIO", "NaN"),
    ];
    for (variable, value) in wrong {
        let read = Config::from_lookup(|name| (name == variable).then(|| value.to_owned()));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(variable) && !error.contains("secret"), "{error}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_server_sends_what_its_log_lines_name_and_flushes_before_it_ends(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let collector = Collector::that(Manner::Takes).await;
    let shell = Shell::new(&options).with("CAIRN_OTLP_ENDPOINT", &collector.endpoint);
    let mut server = Server::start(shell.command("serve --dev --output json"));
    let asked = reqwest::Client::new()
        .get(format!("{}/openapi.json", server.url))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .send();
    assert_eq!(asked.await.unwrap().status(), 200);
    let line = loop {
        let line: Value = server.until("answered");
        if line["trace_id"] == TRACE {
            break line;
        }
    };
    server.signal("-TERM");
    let ended = tokio::task::spawn_blocking(move || server.wait());
    assert!(ended.await.unwrap().success());
    let spans = collector.trace(TRACE);
    let span = &spans[line["span_id"].as_str().unwrap()];
    assert_eq!(span.name, "GET /openapi.json");
    assert_eq!(hex::encode(&span.parent_span_id), CALLER);
}

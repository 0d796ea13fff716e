//! What is read: events of the log, events of older versions, cursors, API keys, signed webhooks, and what a node is asked.
use std::path::PathBuf;

use cairn_api::auth::ApiKeySecret;
use cairn_api::http::page;
use cairn_catalog::SkuEvent;
use cairn_compute::AllocationEvent;
use cairn_core::upcast::Upcast;
use cairn_core::{StoredEvent, Timestamp, domain_event};
use cairn_fleet::NodeEvent;
use cairn_identity::{ApiKeyEvent, ErasureEvent};
use cairn_ledger::WalletEvent;
use cairn_node::Request;
use cairn_operations::{ConfigurationEvent, InterventionEvent};
use cairn_payments::{PaymentEvent, RefundEvent};
use cairn_stripe::{parse_webhook, verify_webhook};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// One reader.
pub struct Target {
    pub name: &'static str,
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Whether the bytes are a value; panics when a promise does not hold.
    pub read: fn(&[u8]) -> bool,
}

pub const TARGETS: &[Target] = &[
    Target { name: "event", corpus: golden, read: event },
    Target { name: "upcast", corpus: || files("upcast"), read: upcast },
    Target { name: "cursor", corpus: || files("cursor"), read: cursor },
    Target { name: "token", corpus: || files("token"), read: token },
    Target { name: "webhook", corpus: || files("webhook"), read: webhook },
    Target { name: "verb", corpus: || files("verb"), read: verb },
];

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read_all(path: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder(path)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|file| (name(file), std::fs::read(file).unwrap())).collect()
}

fn files(target: &str) -> Vec<Vec<u8>> {
    let trimmed = |(_, mut bytes): (String, Vec<u8>)| {
        bytes.truncate(bytes.trim_ascii_end().len());
        bytes
    };
    read_all(&format!("tests/fuzz/corpus/{target}")).into_iter().map(trimmed).collect()
}

/// Every golden event, its name and version in a first line.
fn golden() -> Vec<Vec<u8>> {
    let head = |(name, payload): (String, Vec<u8>)| {
        let (head, _) = name.split_once(".v").unwrap();
        [head.as_bytes(), b" 1\n", &payload].concat()
    };
    read_all("../replay-tests/golden/events").into_iter().map(head).collect()
}

/// A first line of a name and a number, and the rest.
fn split(input: &[u8]) -> Option<(&str, u32, &str)> {
    let (head, payload) = std::str::from_utf8(input).ok()?.split_once('\n')?;
    let (name, version) = head.rsplit_once(' ')?;
    Some((name, version.parse().ok()?, payload))
}

/// What was read is written and read again as the same.
fn again<E: StoredEvent + Serialize>(name: &str, version: u32, payload: &str) -> bool {
    let Ok(event) = E::from_text(name, version, payload) else { return false };
    let written = serde_json::to_value(&event).unwrap();
    let current = event.event_version().parse().unwrap();
    let read = E::from_stored(&event.event_type(), current, &written).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), written, "{name} changes when it is written");
    true
}

fn event(input: &[u8]) -> bool {
    let Some((name, version, payload)) = split(input) else { return false };
    [
        again::<AllocationEvent>,
        again::<ApiKeyEvent>,
        again::<ConfigurationEvent>,
        again::<ErasureEvent>,
        again::<InterventionEvent>,
        again::<NodeEvent>,
        again::<PaymentEvent>,
        again::<RefundEvent>,
        again::<SkuEvent>,
        again::<WalletEvent>,
    ]
    .into_iter()
    .any(|read| read(name, version, payload))
}

/// An event with a past of two versions: none of ours has one yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum CairnEvent {
    #[serde(rename = "cairn.raised")]
    Raised { height_millimetres: i64, colour: String },
}

domain_event!(CairnEvent {
    Raised => "cairn.raised", 3;
} upcasts [
    Upcast { event_type: "cairn.raised", from: 1, to_next: |mut old| {
        // A step takes whatever the log may hold: an index into what is no object would be a panic.
        if old.is_object() {
            let metres = old["height"].as_i64().unwrap_or_default();
            old["height_millimetres"] = json!(metres.saturating_mul(1_000));
        }
        old
    } },
    Upcast { event_type: "cairn.raised", from: 2, to_next: |mut old| {
        if old.is_object() && old.get("colour").is_none() {
            old["colour"] = json!("grey");
        }
        old
    } },
]);

fn upcast(input: &[u8]) -> bool {
    split(input).is_some_and(|(name, version, payload)| again::<CairnEvent>(name, version, payload))
}

fn cursor(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Some((mark, key)) = page::parted(text) else { return false };
    assert_eq!(page::joined(&mark, &key), text, "one cursor has one spelling");
    true
}

fn token(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(secret) = ApiKeySecret::parse(text) else { return false };
    assert_eq!(secret.expose(), text, "a key is what was typed");
    assert!(text.len() == 57 && text.is_ascii(), "{text:?}");
    assert!(!format!("{secret:?}").contains(&text[11..]), "a key is not printed");
    true
}

/// The secret and the time of the corpus.
const SECRET: &str = "whsec_corpus";
const SIGNED_AT: i64 = 1_795_000_000;

/// A header, a line break, and the body that it signs.
fn webhook(input: &[u8]) -> bool {
    let Some(at) = input.iter().position(|byte| *byte == b'\n') else { return false };
    let (header, body) = (String::from_utf8_lossy(&input[..at]), &input[at + 1..]);
    let _about = parse_webhook(body);
    let believed =
        verify_webhook(body, &header, &[SECRET.to_owned()], Timestamp::from_secs(SIGNED_AT));
    if believed.is_ok() {
        let known = files("webhook");
        let signed =
            known.iter().any(|one| one.splitn(2, |byte| *byte == b'\n').nth(1) == Some(body));
        assert!(signed, "what nobody signed is believed: {}", String::from_utf8_lossy(body));
    }
    believed.is_ok()
}

fn verb(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(request) = serde_json::from_str::<Request>(text) else { return false };
    let written = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<Request>(&written).unwrap(), request);
    true
}

//! Old events are brought up to date, newer ones are refused, and a chain has no gap.
use cairn_core::upcast::{StoredEvent, Unreadable, Upcast, assert_chain};
use cairn_core::{DomainEvent, domain_event};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum StoneEvent {
    #[serde(rename = "stone.laid")]
    Laid { height_millimetres: i64, colour: String },
    #[serde(rename = "stone.fell")]
    Fell {},
}

domain_event!(StoneEvent {
    Laid => "stone.laid", 3;
    Fell => "stone.fell", 1;
} upcasts [
    Upcast { event_type: "stone.laid", from: 1, to_next: in_millimetres },
    Upcast { event_type: "stone.laid", from: 2, to_next: grey },
]);

/// Version 1 counted centimetres.
fn in_millimetres(mut payload: Value) -> Value {
    let height = payload["height"].as_i64().map(|height| height * 10);
    payload["height_millimetres"] = height.into();
    payload
}

/// Before version 3 every stone was grey.
fn grey(mut payload: Value) -> Value {
    payload["colour"] = "grey".into();
    payload
}

fn laid(height_millimetres: i64, colour: &str) -> StoneEvent {
    StoneEvent::Laid { height_millimetres, colour: colour.to_owned() }
}

#[test]
fn every_older_version_reads_as_the_current_one() {
    let stored = [
        (1, json!({ "type": "stone.laid", "height": 12 }), laid(120, "grey")),
        (2, json!({ "type": "stone.laid", "height_millimetres": 125 }), laid(125, "grey")),
        (3, serde_json::to_value(laid(7, "red")).unwrap(), laid(7, "red")),
    ];
    for (version, payload, event) in stored {
        assert_eq!(StoneEvent::from_stored("stone.laid", version, &payload), Ok(event));
    }
    assert_eq!(laid(1, "red").event_version(), "3");
}

#[test]
fn an_event_of_a_newer_version_is_refused_even_if_it_would_decode() {
    let payload = serde_json::to_value(StoneEvent::Fell {}).unwrap();
    let read = StoneEvent::from_stored("stone.fell", 2, &payload);
    assert_eq!(read, Err(Unreadable::Newer { known: 1 }));
    assert!(read.unwrap_err().to_string().contains("newer version"));
}

#[test]
fn what_never_was_is_refused() {
    let fell = serde_json::to_value(StoneEvent::Fell {}).unwrap();
    let cases =
        [("stone.fell", 0, fell.clone()), ("stone.sang", 1, fell), ("stone.laid", 3, json!({}))];
    for (event_type, version, payload) in cases {
        let read = StoneEvent::from_stored(event_type, version, &payload);
        assert!(matches!(read, Err(Unreadable::Malformed(_))), "{event_type} {version}: {read:?}");
    }
}

const fn step(event_type: &'static str, from: u32) -> Upcast {
    Upcast { event_type, from, to_next: grey }
}

/// `domain_event!` asserts the same while it compiles.
#[test]
fn a_chain_with_a_gap_a_fork_or_a_loose_end_is_refused() {
    let current = &[("a", 3), ("b", 1)][..];
    assert_chain(current, &[step("a", 1), step("a", 2)]);
    for wrong in [
        vec![step("a", 2)],
        vec![step("a", 1)],
        vec![step("a", 1), step("a", 1), step("a", 2)],
        vec![step("a", 1), step("a", 2), step("a", 3)],
        vec![step("a", 1), step("a", 2), step("b", 1)],
        vec![step("a", 1), step("a", 2), step("ab", 1)],
    ] {
        assert!(std::panic::catch_unwind(|| assert_chain(current, &wrong)).is_err(), "{wrong:?}");
    }
}

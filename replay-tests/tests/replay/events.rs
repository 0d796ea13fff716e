//! Golden events: one file per type, version and shape. Files are added and never changed: `cargo xtask tidy` sees to it.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cairn_catalog::{DiscountEvent, SkuEvent, TaxTableEvent};
use cairn_compute::AllocationEvent;
use cairn_core::StoredEvent;
use cairn_finance::{
    BillingEvent, BreakEvent, CreditNoteEvent, InvoiceEvent, LegalEntityEvent, PeriodEvent,
};
use cairn_fleet::NodeEvent;
use cairn_identity::{ApiKeyEvent, EmailAddressEvent, ErasureEvent, OrganisationEvent, UserEvent};
use cairn_ledger::{DunningEvent, WalletEvent};
use cairn_notify::WebhookEndpointEvent;
use cairn_operations::{ConfigurationEvent, FeatureFlagEvent, InterventionEvent};
use cairn_payments::{
    AutoTopUpEvent, DisputeEvent, MethodEvent, PaymentEvent, PayoutEvent, RefundEvent,
};
use serde_json::Value;

use super::story::story;

pub fn golden(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(folder)
}

/// Name of the wire, version, and the payload decoded and encoded again.
type Again = (String, String, Value);

fn again<E: StoredEvent>(event_type: &str, version: u32, payload: &Value) -> Again {
    let event = E::from_stored(event_type, version, payload).unwrap_or_else(|error| {
        panic!("{payload} does not decode: {error}");
    });
    (event.event_type(), event.event_version(), serde_json::to_value(&event).unwrap())
}

type Kind = (&'static [(&'static str, u32)], fn(&str, u32, &Value) -> Again);

/// Every event enum of the domain.
fn kinds() -> [Kind; 28] {
    [
        (AllocationEvent::TYPES, again::<AllocationEvent>),
        (ApiKeyEvent::TYPES, again::<ApiKeyEvent>),
        (AutoTopUpEvent::TYPES, again::<AutoTopUpEvent>),
        (BillingEvent::TYPES, again::<BillingEvent>),
        (BreakEvent::TYPES, again::<BreakEvent>),
        (ConfigurationEvent::TYPES, again::<ConfigurationEvent>),
        (CreditNoteEvent::TYPES, again::<CreditNoteEvent>),
        (DiscountEvent::TYPES, again::<DiscountEvent>),
        (DisputeEvent::TYPES, again::<DisputeEvent>),
        (PayoutEvent::TYPES, again::<PayoutEvent>),
        (DunningEvent::TYPES, again::<DunningEvent>),
        (EmailAddressEvent::TYPES, again::<EmailAddressEvent>),
        (ErasureEvent::TYPES, again::<ErasureEvent>),
        (FeatureFlagEvent::TYPES, again::<FeatureFlagEvent>),
        (InterventionEvent::TYPES, again::<InterventionEvent>),
        (InvoiceEvent::TYPES, again::<InvoiceEvent>),
        (LegalEntityEvent::TYPES, again::<LegalEntityEvent>),
        (NodeEvent::TYPES, again::<NodeEvent>),
        (OrganisationEvent::TYPES, again::<OrganisationEvent>),
        (PaymentEvent::TYPES, again::<PaymentEvent>),
        (MethodEvent::TYPES, again::<MethodEvent>),
        (PeriodEvent::TYPES, again::<PeriodEvent>),
        (RefundEvent::TYPES, again::<RefundEvent>),
        (SkuEvent::TYPES, again::<SkuEvent>),
        (TaxTableEvent::TYPES, again::<TaxTableEvent>),
        (UserEvent::TYPES, again::<UserEvent>),
        (WalletEvent::TYPES, again::<WalletEvent>),
        (WebhookEndpointEvent::TYPES, again::<WebhookEndpointEvent>),
    ]
}

/// Golden files by name, for example `wallet.topped_up.v1.1.json`: type, version, number of its shape.
pub fn files() -> BTreeMap<String, Value> {
    let directory = std::fs::read_dir(golden("events")).unwrap();
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    };
    directory.map(file).collect()
}

pub fn parts(file: &str) -> (String, u32) {
    let stem = file.strip_suffix(".json").unwrap();
    let (stem, _shape) = stem.rsplit_once('.').unwrap();
    let (event_type, version) = stem.rsplit_once(".v").unwrap();
    (event_type.to_owned(), version.parse().unwrap())
}

#[test]
fn every_type_and_version_has_a_golden_event() {
    let kept: BTreeSet<_> = files().keys().map(|name| parts(name)).collect();
    let mut missing = vec![];
    for (types, _) in kinds() {
        for (name, current) in types {
            let versions = 1..=*current;
            missing.extend(
                versions
                    .map(|version| ((*name).to_owned(), version))
                    .filter(|wanted| !kept.contains(wanted)),
            );
        }
    }
    assert!(missing.is_empty(), "no golden event of {missing:?}: tell it at the end of story.rs");
}

#[test]
fn every_golden_event_decodes_and_encodes_to_the_same() {
    for (name, payload) in files() {
        let (event_type, version) = parts(&name);
        let known = kinds().into_iter().find_map(|(types, again)| {
            let (_, current) = types.iter().find(|(known, _)| *known == event_type)?;
            Some((*current, again))
        });
        let (current, again) = known.unwrap_or_else(|| panic!("{name}: no such type any more"));
        assert!(version <= current, "{name} is of the future");
        let (decoded_type, decoded_version, encoded) = again(&event_type, version, &payload);
        assert_eq!((decoded_type, decoded_version), (event_type, current.to_string()), "{name}");
        if version == current {
            assert_eq!(encoded, payload, "{name}");
        }
    }
}

#[test]
fn no_two_events_share_a_wire_name() {
    let mut names = BTreeSet::new();
    for (name, version) in kinds().into_iter().flat_map(|(types, _)| types) {
        assert!(names.insert(name), "{name} is used twice");
        assert!(*version >= 1 && name.contains('.'), "{name} version {version}");
    }
}

#[test]
fn unknown_fields_of_a_later_version_do_not_stop_an_older_reader() {
    for (name, mut payload) in files() {
        payload.as_object_mut().unwrap().insert("added_later".to_owned(), Value::from(1));
        let (event_type, version) = parts(&name);
        for (types, again) in kinds() {
            if types.iter().any(|(known, _)| *known == event_type) {
                again(&event_type, version, &payload);
            }
        }
    }
}

/// The payload with its values left out: two events of one shape tell us nothing new.
fn shape(payload: &Value) -> Value {
    match payload {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect()
        }
        Value::Array(items) => items.first().map_or(Value::from("[]"), shape),
        Value::Null => Value::Null,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::from("value"),
    }
}

/// `cargo test -p cairn-replay-tests --test replay -- --ignored record_what_is_missing` after telling a new event.
#[test]
#[ignore = "writes golden files"]
fn record_what_is_missing() {
    for told in story() {
        let prefix = format!("{}.v{}.", told.event_type, told.event_version);
        let kept = files();
        let same: Vec<_> = kept.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        if same.iter().any(|(_, payload)| shape(payload) == shape(&told.payload)) {
            continue;
        }
        let path = golden("events").join(format!("{prefix}{}.json", same.len() + 1));
        let text = serde_json::to_string_pretty(&told.payload).unwrap() + "\n";
        std::fs::write(path, text).unwrap();
    }
    let log = golden("logs").join("story.ndjson");
    if !log.exists() {
        let line = |told| serde_json::to_string(&told).unwrap() + "\n";
        std::fs::write(log, story().into_iter().map(line).collect::<String>()).unwrap();
    }
}

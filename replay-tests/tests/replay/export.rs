//! A slice of the log leaves the house masked, and is a log again elsewhere.
use std::collections::{BTreeMap, BTreeSet};

use cairn_catalog::{DiscountEvent, SkuEvent, TaxTableEvent};
use cairn_commands::replay::{At, ExportedEvent, Masks, ReplayError, Slice, export, verify};
use cairn_compute::AllocationEvent;
use cairn_core::{StoredEvent, Text, Texts};
use cairn_event_log::EventLog;
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
use cairn_projections::Projector;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::append::append;
use super::determinism::folded;
use super::events::{files, parts};
use super::log::{golden_log, replayed};
use super::story::Told;

type Declared =
    (&'static [(&'static str, u32)], fn(&str) -> Option<Text>, &'static [(&'static str, Text)]);

const fn declared<E: Texts>() -> Declared {
    (<E as StoredEvent>::CURRENT, E::text, E::TEXTS)
}

const DECLARED: [Declared; 28] = [
    declared::<AllocationEvent>(),
    declared::<ApiKeyEvent>(),
    declared::<AutoTopUpEvent>(),
    declared::<BillingEvent>(),
    declared::<BreakEvent>(),
    declared::<ConfigurationEvent>(),
    declared::<CreditNoteEvent>(),
    declared::<DisputeEvent>(),
    declared::<PayoutEvent>(),
    declared::<DiscountEvent>(),
    declared::<DunningEvent>(),
    declared::<EmailAddressEvent>(),
    declared::<ErasureEvent>(),
    declared::<FeatureFlagEvent>(),
    declared::<InterventionEvent>(),
    declared::<InvoiceEvent>(),
    declared::<LegalEntityEvent>(),
    declared::<NodeEvent>(),
    declared::<OrganisationEvent>(),
    declared::<PaymentEvent>(),
    declared::<MethodEvent>(),
    declared::<PeriodEvent>(),
    declared::<RefundEvent>(),
    declared::<SkuEvent>(),
    declared::<TaxTableEvent>(),
    declared::<UserEvent>(),
    declared::<WalletEvent>(),
    declared::<WebhookEndpointEvent>(),
];

/// Every text of a payload with its path.
fn texts<'a>(path: &str, value: &'a Value, found: &mut Vec<(String, &'a str)>) {
    match value {
        Value::String(text) => found.push((path.to_owned(), text)),
        Value::Array(items) => {
            items.iter().for_each(|item| texts(&format!("{path}[]"), item, found))
        }
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| *name != "type") {
                let dot = if path.is_empty() { "" } else { "." };
                texts(&format!("{path}{dot}{name}"), value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn every_text_of_every_golden_event_is_classified_and_no_other_is() {
    let mut met: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (file, payload) in &files() {
        let (event_type, _) = parts(file);
        let has = |(types, ..): &&Declared| types.iter().any(|(name, _)| *name == event_type);
        let (types, text, _) = DECLARED.iter().find(has).unwrap();
        let mut found = vec![];
        texts("", payload, &mut found);
        for (path, _) in found {
            assert!(text(&path).is_some(), "{file}: say in Texts what '{path}' is");
            met.entry(types[0].0).or_default().insert(path);
        }
    }
    for (types, _, declared) in DECLARED {
        for (path, _) in declared {
            assert!(met[types[0].0].contains(*path), "{}: nothing has '{path}'", types[0].0);
        }
    }
}

fn told(event: &ExportedEvent) -> Told {
    serde_json::from_value(serde_json::to_value(event).unwrap()).unwrap()
}

async fn exported(pool: &PgPool, slice: &Slice) -> Vec<Told> {
    let mut events = vec![];
    let keep = |event: &ExportedEvent| {
        events.push(told(event));
        Ok(())
    };
    let count = export(pool, slice, &Masks::new("test"), keep).await.unwrap();
    assert_eq!(usize::try_from(count.events).unwrap(), events.len());
    events
}

/// Texts of a log that are masked, by what they are.
fn masked(log: &[Told]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for event in log {
        let has = |(types, ..): &&Declared| types.iter().any(|(name, _)| *name == event.event_type);
        let (_, text, _) = DECLARED.iter().find(has).unwrap();
        let mut found = vec![];
        texts("", &event.payload, &mut found);
        let personal = |(path, said): &(String, &str)| {
            !said.is_empty() && !matches!(text(path), Some(Text::Kept | Text::Movement))
        };
        all.extend(found.into_iter().filter(personal).map(|(_, said)| said.to_owned()));
    }
    all
}

#[sqlx::test(migrations = "../migrations")]
async fn nothing_personal_is_left_and_every_id_still_joins(pool: PgPool) {
    replayed(&pool).await;
    let original = golden_log();
    let copy = exported(&pool, &Slice { from: Some(1), ..Slice::default() }).await;
    assert_eq!(copy.len(), original.len());
    let personal = masked(&original);
    assert!(personal.len() > 15, "{personal:?}");
    let text = serde_json::to_string(&copy).unwrap();
    for said in &personal {
        assert!(!text.contains(&format!("\"{said}\"")), "'{said}' is left");
    }
    assert_eq!(masked(&copy).len(), personal.len(), "different texts have different masks");
    let name = |t: &Told| (t.aggregate_type.clone(), t.aggregate_id.clone(), t.sequence);
    assert!(copy.iter().map(name).eq(original.iter().map(name)));
    for (copy, original) in copy.iter().zip(&original) {
        let (mut ours, mut theirs) = (vec![], vec![]);
        texts("", &original.payload, &mut ours);
        texts("", &copy.payload, &mut theirs);
        let id = |(_, said): &&(String, &str)| cairn_core::id::is_id(said);
        assert!(ours.iter().filter(id).eq(theirs.iter().filter(id)), "{}", original.event_type);
    }
}

/// Another database with the same schema, of this test alone.
async fn elsewhere(here: &PgPool, name: &str) -> PgPool {
    let options = here.connect_options();
    sqlx::query(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        .execute(here)
        .await
        .unwrap();
    sqlx::query(&format!("CREATE DATABASE {name}")).execute(here).await.unwrap();
    let there = (*options).clone().database(name);
    let pool = PgPoolOptions::new().connect_with(there).await.unwrap();
    cairn_event_log::MIGRATOR.run(&pool).await.unwrap();
    pool
}

#[sqlx::test(migrations = "../migrations")]
async fn a_slice_is_a_log_that_verifies_and_folds_elsewhere(pool: PgPool) {
    let whole = replayed(&pool).await;
    let wallet = golden_log().into_iter().find(|t| t.aggregate_type == "wallet").unwrap();
    let slices = [
        ("whole", Slice { from: Some(1), ..Slice::default() }),
        ("half", Slice { to: At::Position(whole.events / 2), ..Slice::default() }),
        (
            "wallet",
            Slice { streams: vec![("wallet".to_owned(), wallet.aggregate_id)], ..Slice::default() },
        ),
    ];
    for (name, slice) in slices {
        let events = exported(&pool, &slice).await;
        let database = format!("slice_{name}_{}", std::process::id());
        let there = elsewhere(&pool, &database).await;
        append(&EventLog::over(there.clone()), &events, 1_000).await;
        let report = verify(&there).await.unwrap();
        assert!(report.identical, "{name}: {:?}", report.differences);
        assert_eq!(report.events, i64::try_from(events.len()).unwrap(), "{name}");
        let projector = Projector::new(EventLog::over(there.clone()), cairn_projections::all());
        folded(&projector, report.events).await;
        assert!(projector.parked(None).await.unwrap().is_empty(), "{name}: a view cannot fold it");
        if name == "whole" {
            assert_eq!(
                (report.streams, report.wallets, report.holds),
                (whole.streams, whole.wallets, whole.holds)
            );
            // What is exported again with another secret differs in masks alone.
            assert_ne!(report.digest, whole.digest, "names are masked in the states too");
        }
        drop(projector);
        there.close().await;
        let gone = format!("DROP DATABASE {database} WITH (FORCE)");
        sqlx::query(&gone).execute(&pool).await.unwrap();
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_empty_slice_is_said_to_be_empty(pool: PgPool) {
    replayed(&pool).await;
    let slice = Slice { correlation_id: Some("nobody".to_owned()), ..Slice::default() };
    let nothing = export(&pool, &slice, &Masks::new("test"), |_| Ok(())).await;
    assert!(matches!(nothing, Err(ReplayError::Nothing)));
    let beyond = Slice { to: At::Position(1_000_000), ..Slice::default() };
    let beyond = export(&pool, &beyond, &Masks::new("test"), |_| Ok(())).await;
    assert!(matches!(beyond, Err(ReplayError::Beyond { .. })));
}

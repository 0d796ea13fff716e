//! Every decision of a log made again: the same when the code is, and named when it is not.
use cairn_commands::Personal;
use cairn_commands::replay::{
    At, Decisions, OtherDecision, ReplayError, WhatIf, what_if, what_if_in_pages,
};
use cairn_event_log::EventLog;
use serde_json::{Value, json};
use sqlx::{Executor as _, PgPool};

use super::append::append_decisions;
use super::story::{Told, story_with_decisions};

async fn again(pool: &PgPool, told: &[Told], decisions: &[usize]) -> WhatIf {
    append_decisions(&EventLog::over(pool.clone()), told, decisions).await;
    what_if(pool, &Personal::default(), &Decisions::default()).await.unwrap()
}

fn of<'a>(found: &'a WhatIf, aggregate_type: &str) -> &'a OtherDecision {
    found.differences.iter().find(|other| other.aggregate_type == aggregate_type).unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn todays_story_is_decided_the_same_and_what_cannot_be_is_counted(pool: PgPool) {
    let (told, decisions) = story_with_decisions();
    let found = again(&pool, &told, &decisions).await;
    assert_eq!((found.differences_found, &found.differences), (0, &vec![]));
    assert_eq!(found.types.len(), 28, "every type of aggregate");
    let events: u64 = found.types.iter().map(|tally| tally.events).sum();
    assert_eq!(usize::try_from(events).unwrap(), told.len(), "no event is passed over");
    let (mut decided, mut not_decided) = (0, 0);
    for tally in &found.types {
        assert!(tally.decided > 0 && tally.decided == tally.same && tally.other == 0, "{tally:?}");
        let health = |name: &String| name.starts_with("node.health_");
        assert!(tally.not_decided.keys().all(health), "{tally:?}");
        decided += tally.decided;
        not_decided += tally.not_decided.values().sum::<u64>();
    }
    assert!(not_decided > 0, "what was in use is not in the log");
    let with_events = decisions.iter().filter(|&&events| events > 0).count();
    assert_eq!(usize::try_from(decided + not_decided).unwrap(), with_events, "one by one");
    for page in [1, 2, 7] {
        let paged = what_if_in_pages((&pool, &Personal::default()), &Decisions::default(), page)
            .await
            .unwrap();
        assert_eq!(paged, found, "in pages of {page}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_decision_that_todays_code_would_not_make_is_listed_with_both(pool: PgPool) {
    let (mut told, decisions) = story_with_decisions();
    let mut forge = |event_type: &str, member: &str, value: Value| {
        let at = told.iter().position(|event| event.event_type == event_type).unwrap();
        told[at].payload[member] = value;
        i64::try_from(at).unwrap() + 1
    };
    // As code of another day may have decided: with another number, without a check, by another rule.
    let mut forged = vec![
        forge("allocation.released", "active_seconds", json!(1)),
        forge("api_key.created", "name", json!("")),
        forge("node.capacity_reserved", "uid", json!(30_000)),
    ];
    // Today's code goes on from the uid that was given; that log did not.
    forged.push(forged[2] + 1);
    forged.sort_unstable();
    let found = again(&pool, &told, &decisions).await;
    let positions: Vec<_> = found.differences.iter().map(|other| other.position).collect();
    assert_eq!(positions, forged, "these, in the order of the log, and no other");
    assert_eq!(found.differences_found, 4);
    let created = of(&found, "api_key");
    assert_eq!(created.refused.as_ref().unwrap().code, "key_name_invalid");
    assert!(created.today.is_empty() && created.recorded[0]["name"] == "");
    let released = of(&found, "allocation");
    assert_eq!((&released.recorded[0]["active_seconds"], released.today.len()), (&json!(1), 1));
    assert_eq!(released.today[0]["active_seconds"], 66);
    assert_eq!(of(&found, "node").today[0]["uid"], 20_000);
    assert_eq!(found.differences[2].today[0]["uid"], 30_001);
    let only = Decisions { aggregate_type: Some("node".to_owned()), ..Decisions::default() };
    let nodes = what_if(&pool, &Personal::default(), &only).await.unwrap();
    assert_eq!((nodes.differences_found, nodes.types.len()), (2, 1), "of one type");
    let last = Decisions { from: forged[3], to: At::Position(forged[3]), ..Decisions::default() };
    let one = what_if(&pool, &Personal::default(), &last).await.unwrap();
    assert_eq!((one.differences_found, one.differences[0].position), (1, forged[3]), "a range");
    let none = Decisions { from: forged[3] + 1, ..Decisions::default() };
    assert_eq!(what_if(&pool, &Personal::default(), &none).await.unwrap().differences_found, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_fact_that_todays_code_would_add_or_leave_out_is_a_difference(pool: PgPool) {
    let (told, _) = story_with_decisions();
    let of_node = |name: &str| {
        let of = |told: &&Told| told.aggregate_type == "node" && told.event_type == name;
        told.iter().find(of).unwrap().clone()
    };
    let mut node = vec![of_node("node.invited"), of_node("node.enrolled")];
    node.extend(std::iter::repeat_n(of_node("node.probe_failed"), 3));
    for (sequence, told) in (1..).zip(&mut node) {
        told.sequence = sequence;
    }
    // A SKU that was priced by being defined, and a node that nobody took out of service after its last probe.
    let shop: Vec<_> = told.into_iter().take(2).chain(node).collect();
    let found = again(&pool, &shop, &[2, 1, 1, 1, 1, 1]).await;
    let seen: Vec<_> =
        found.differences.iter().map(|d| (d.position, d.recorded.len(), d.today.len())).collect();
    assert_eq!(seen, [(1, 2, 1), (7, 1, 2)]);
    assert_eq!(found.differences[1].today[1]["type"], "node.quarantined");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_event_that_does_not_decode_is_named_and_an_unknown_type_is_refused(pool: PgPool) {
    let (told, decisions) = story_with_decisions();
    again(&pool, &told, &decisions).await;
    let mut db = pool.acquire().await.unwrap();
    db.execute("ALTER TABLE events DISABLE TRIGGER ALL").await.unwrap();
    db.execute("UPDATE events SET payload = '{}' WHERE position = 2").await.unwrap();
    let error = what_if(&pool, &Personal::default(), &Decisions::default()).await.unwrap_err();
    assert!(matches!(error, ReplayError::Corrupt { position: 2, .. }), "{error}");
    let wrong = Decisions { aggregate_type: Some("nodes".to_owned()), ..Decisions::default() };
    let error = what_if(&pool, &Personal::default(), &wrong).await.unwrap_err();
    assert!(error.to_string().contains("'nodes' is no type of aggregate"), "{error}");
}

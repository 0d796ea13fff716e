//! The contract as tests over any log that is empty: each takes the log and streams of its own, so they may run at the same time.
//! `infra/event-log` runs them over PostgreSQL; `infra/eventstore` includes this file and runs them over EventStoreDB's protocol.
#![allow(dead_code, clippy::unwrap_used, reason = "a test, and each crate uses a part")]
use std::collections::BTreeSet;
use std::time::Duration;

use cairn_event_log::{
    AppendRequest, Appended, LogContract, Metadata, NewEvent, Outcome, Recorded,
};
use futures::StreamExt as _;

pub const TYPE: &str = "thing";
/// Nothing that is tested takes so long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command for a stream of which `expected` events are known. Every name begins with `run`, so that a server that is not new
/// can be used again.
pub fn request(run: &str, key: &str, stream: &str, expected: i64, notes: &[&str]) -> AppendRequest {
    AppendRequest {
        command_id: format!("{run}-{key}"),
        command_hash: [7; 32],
        aggregate_type: TYPE,
        aggregate_id: format!("{run}-{stream}"),
        expected_sequence: expected,
        events: notes.iter().map(|note| noted(note)).collect(),
        outcome: Outcome::Accepted { result: serde_json::json!({ "key": key }) },
        metadata: Metadata {
            actor: "test".to_owned(),
            organisation_id: Some("org_1".to_owned()),
            correlation_id: "corr".to_owned(),
            causation_id: Some("käse".to_owned()),
            command_id: String::new(),
            traceparent: None,
            origin: Some("192.0.2.1".to_owned()),
        },
    }
}

fn noted(note: &str) -> NewEvent {
    NewEvent {
        event_type: "thing.noted".to_owned(),
        event_version: "1".to_owned(),
        payload: serde_json::json!({ "type": "thing.noted", "note": note }).to_string(),
        book: None,
    }
}

fn sequence(appended: &Appended) -> i64 {
    match appended {
        Appended::Done { sequence, .. } => *sequence,
        other => panic!("not done: {other:?}"),
    }
}

/// A member of what an event says.
fn said(event: &Recorded, member: &str) -> serde_json::Value {
    event.payload.read::<serde_json::Value>().unwrap()[member].clone()
}

fn notes(events: &[Recorded]) -> Vec<String> {
    events.iter().filter_map(|event| said(event, "note").as_str().map(str::to_owned)).collect()
}

async fn stream(
    log: &impl LogContract,
    run: &str,
    id: &str,
    after: i64,
    limit: i64,
) -> Vec<Recorded> {
    log.load_some((TYPE, &format!("{run}-{id}")), after, limit).await.unwrap()
}

pub async fn a_wrong_expected_sequence_is_stale(log: &impl LogContract, run: &str) {
    let new = request(run, "w1", "wrong", 0, &["1", "2"]);
    assert_eq!(sequence(&log.append(new).await.unwrap()), 2);
    for (key, expected) in [("w2", 0), ("w3", 1), ("w4", 3)] {
        let wrong = request(run, key, "wrong", expected, &["no"]);
        assert_eq!(log.append(wrong).await.unwrap(), Appended::Stale, "expected {expected}");
    }
    assert_eq!(notes(&stream(log, run, "wrong", 0, 9).await), ["1", "2"]);
    // What was stale may be decided anew under its key.
    let anew = request(run, "w3", "wrong", 2, &["3"]);
    assert_eq!(sequence(&log.append(anew).await.unwrap()), 3);
    assert_eq!(notes(&stream(log, run, "wrong", 0, 9).await), ["1", "2", "3"]);
}

pub async fn a_stream_begins_with_its_first_append(log: &impl LogContract, run: &str) {
    assert!(stream(log, run, "new", 0, 9).await.is_empty());
    let late = request(run, "n1", "new", 1, &["no"]);
    assert_eq!(log.append(late).await.unwrap(), Appended::Stale);
    let first = request(run, "n2", "new", 0, &["1"]);
    assert_eq!(sequence(&log.append(first).await.unwrap()), 1);
    assert_eq!(stream(log, run, "new", 0, 9).await[0].sequence, 1);
}

pub async fn of_those_who_expect_the_same_one_wins(log: &impl LogContract, run: &str) {
    for round in 0..4 {
        let rivals = (0..8).map(|rival| {
            let key = format!("r{round}-{rival}");
            log.append(request(run, &key, "race", round, &[&key]))
        });
        let answers = futures::future::join_all(rivals).await;
        let won = answers.iter().filter(|a| matches!(a, Ok(Appended::Done { .. }))).count();
        let lost = answers.iter().filter(|a| matches!(a, Ok(Appended::Stale))).count();
        assert_eq!((won, lost), (1, 7), "{answers:?}");
    }
    assert_eq!(stream(log, run, "race", 0, 99).await.len(), 4);
}

pub async fn a_stream_is_read_from_any_sequence_to_any(log: &impl LogContract, run: &str) {
    let many: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    log.append(request(run, "s1", "bounds", 0, &many)).await.unwrap();
    for (after, limit, wanted) in
        [(0, 1, 1..=1), (0, 20, 1..=20), (5, 3, 6..=8), (19, 9, 20..=20), (0, i64::MAX, 1..=20)]
    {
        let read = stream(log, run, "bounds", after, limit).await;
        let sequences: Vec<_> = read.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, wanted.collect::<Vec<_>>(), "{limit} after {after}");
    }
    assert!(stream(log, run, "bounds", 20, 9).await.is_empty());
    assert!(stream(log, run, "bounds", 99, 9).await.is_empty());
}

pub async fn all_is_read_in_order_and_without_a_gap(log: &impl LogContract, run: &str) {
    for number in 0..5 {
        let (one, other) = (format!("a{number}"), format!("b{number}"));
        log.append(request(run, &one, "all-a", number * 2, &[&one, &one])).await.unwrap();
        log.append(request(run, &other, "all-b", number, &[&other])).await.unwrap();
    }
    for limit in [1, 3, 100] {
        let (mut after, mut mine) = (0, vec![]);
        loop {
            let read = log.read(after, limit).await.unwrap();
            assert!(read.is_sorted_by(|one, next| one.position < next.position));
            assert!(read.first().is_none_or(|first| first.position > after));
            let Some(last) = read.last() else { break };
            after = last.position;
            mine.extend(
                read.into_iter()
                    .filter(|event| event.aggregate_id.starts_with(&format!("{run}-all-"))),
            );
        }
        let wanted: Vec<_> =
            (0..5).flat_map(|n| [format!("a{n}"), format!("a{n}"), format!("b{n}")]).collect();
        assert_eq!(notes(&mine), wanted, "{limit} at a time");
    }
}

pub async fn a_subscription_sees_what_was_and_what_comes(log: &impl LogContract, run: &str) {
    log.append(request(run, "c1", "sub", 0, &["1", "2"])).await.unwrap();
    let wanted = format!("{run}-sub");
    let mut heard = log.subscribe(0);
    let mut next = async || loop {
        let event = tokio::time::timeout(PATIENCE, heard.next()).await.unwrap().unwrap().unwrap();
        if event.aggregate_id == wanted {
            return event;
        }
    };
    let first = next().await;
    assert_eq!((first.sequence, next().await.sequence), (1, 2));
    log.append(request(run, "c2", "sub", 2, &["3"])).await.unwrap();
    let third = next().await;
    assert_eq!(said(&third, "note"), "3");
    // Who comes back with the position that was reached goes on there.
    let mut again = log.subscribe(first.position).filter(|event| {
        let mine = event.as_ref().is_ok_and(|event| event.aggregate_id == wanted);
        std::future::ready(mine)
    });
    for sequence in [2, 3] {
        let event = tokio::time::timeout(PATIENCE, again.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(event.sequence, sequence);
    }
}

pub async fn a_repeated_key_is_answered_alike_and_writes_nothing(
    log: &impl LogContract,
    run: &str,
) {
    let first = request(run, "k1", "key", 0, &["1", "2"]);
    assert_eq!(sequence(&log.append(first.clone()).await.unwrap()), 2);
    let mut elsewhere = first.clone();
    elsewhere.aggregate_id.push_str("-elsewhere");
    let repeats = [first.clone(), elsewhere, request(run, "k1", "key", 2, &["3"])];
    for repeat in repeats {
        let Appended::Repeated(stored) = log.append(repeat).await.unwrap() else { panic!() };
        assert_eq!(stored.outcome, first.outcome);
        assert_eq!((stored.aggregate_id, stored.sequence), (first.aggregate_id.clone(), 2));
    }
    let mut other = first.clone();
    other.command_hash = [8; 32];
    assert_eq!(log.append(other).await.unwrap(), Appended::KeyReused);
    let (stored, hash) = log.outcome(&first.command_id).await.unwrap().unwrap();
    assert_eq!((stored.outcome, hash), (first.outcome, [7; 32]));
    assert_eq!(notes(&stream(log, run, "key", 0, 9).await), ["1", "2"]);
    assert!(stream(log, run, "key-elsewhere", 0, 9).await.is_empty());
    assert_eq!(log.outcome(&format!("{run}-never")).await.unwrap(), None);
}

pub async fn a_refusal_is_kept_under_its_key(log: &impl LogContract, run: &str) {
    log.append(request(run, "f1", "refused", 0, &["1"])).await.unwrap();
    let mut no = request(run, "f2", "refused", 1, &[]);
    no.outcome =
        Outcome::Refused { code: "poor".to_owned(), message: "no money, zażółć".to_owned() };
    assert_eq!(sequence(&log.append(no.clone()).await.unwrap()), 1);
    log.append(request(run, "f3", "refused", 1, &["2"])).await.unwrap();
    let yes = request(run, "f2", "refused", 2, &["3"]);
    let Appended::Repeated(stored) = log.append(yes).await.unwrap() else { panic!() };
    assert_eq!(stored.outcome, no.outcome);
    assert_eq!(notes(&stream(log, run, "refused", 0, 9).await), ["1", "2"]);
}

pub async fn a_key_that_many_use_at_once_acts_once(log: &impl LogContract, run: &str) {
    let same = (0..8).map(|number| {
        let mut request = request(run, "once", "once", 0, &["1"]);
        // As a command that makes a new thing: each attempt would make another.
        request.aggregate_id = format!("{run}-once-{number}");
        log.append(request)
    });
    let answers = futures::future::join_all(same).await;
    let done = answers.iter().filter(|a| matches!(a, Ok(Appended::Done { .. }))).count();
    let repeated: BTreeSet<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Ok(Appended::Repeated(stored)) => Some(stored.aggregate_id.clone()),
            _ => None,
        })
        .collect();
    assert!(done <= 1 && repeated.len() == 1, "{answers:?}");
    let mut events = 0;
    for number in 0..8 {
        events += stream(log, run, &format!("once-{number}"), 0, 9).await.len();
    }
    assert_eq!(events, 1);
}

pub async fn payload_and_metadata_come_back_unharmed(log: &impl LogContract, run: &str) {
    let long = "zażółć gęślą jaźń 🪨 \u{0007} \" \\ ".repeat(2_000);
    let mut request = request(run, "p1", "payload", 0, &[&long]);
    let number = r#"{"type":"thing.noted","exact":9007199254740993,"note":"x"}"#;
    request.events.push(NewEvent { payload: number.to_owned(), ..noted("") });
    log.append(request.clone()).await.unwrap();
    let read = stream(log, run, "payload", 0, 9).await;
    assert_eq!(notes(&read), [&*long, "x"]);
    assert_eq!(said(&read[1], "exact"), serde_json::json!(9_007_199_254_740_993_i64));
    let metadata = Metadata { command_id: request.command_id, ..request.metadata };
    for event in &read {
        assert_eq!(*event.metadata, metadata);
        assert_eq!((event.event_type.as_str(), event.event_version), ("thing.noted", 1));
        assert_eq!((event.aggregate_type.as_str(), &event.fault), (TYPE, &None));
    }
}

/// All of it.
pub async fn holds(log: &impl LogContract, run: &str) {
    a_wrong_expected_sequence_is_stale(log, run).await;
    a_stream_begins_with_its_first_append(log, run).await;
    of_those_who_expect_the_same_one_wins(log, run).await;
    a_stream_is_read_from_any_sequence_to_any(log, run).await;
    all_is_read_in_order_and_without_a_gap(log, run).await;
    a_subscription_sees_what_was_and_what_comes(log, run).await;
    a_repeated_key_is_answered_alike_and_writes_nothing(log, run).await;
    a_refusal_is_kept_under_its_key(log, run).await;
    a_key_that_many_use_at_once_acts_once(log, run).await;
    payload_and_metadata_come_back_unharmed(log, run).await;
}

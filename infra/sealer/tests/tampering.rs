//! Whoever owns the database and turns its triggers off changes nothing unseen: the first bad position is named.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use cairn_seal::Fault;
use cairn_sealer::{Published, verify};
use common::{Stage, open, scope};
use sqlx::PgPool;

const OPEN: &str = "ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE log_seals DISABLE TRIGGER ALL;
    ALTER TABLE events DROP CONSTRAINT events_position_check; ALTER TABLE events DROP CONSTRAINT events_position_unique;
    CREATE TABLE kept_events AS TABLE events; CREATE TABLE kept_seals AS TABLE log_seals";
const RESTORE: &str = "DELETE FROM events; INSERT INTO events SELECT * FROM kept_events;
    DELETE FROM log_seals; INSERT INTO log_seals SELECT * FROM kept_seals";

/// What is done, the first position that is then wrong, and what is said of it. Blocks are of four events.
const TAMPERINGS: [(&str, i64, Fault); 24] = [
    ("UPDATE events SET aggregate_type = 'thinG' WHERE position = 7", 7, Fault::EventChanged),
    ("UPDATE events SET aggregate_id = aggregate_id || ' ' WHERE position = 1", 1, Fault::EventChanged),
    ("UPDATE events SET sequence = sequence + 1 WHERE position = 20", 20, Fault::EventChanged),
    ("UPDATE events SET event_type = 'thing.nOted' WHERE position = 8", 8, Fault::EventChanged),
    ("UPDATE events SET event_version = '01' WHERE position = 9", 9, Fault::EventChanged),
    ("UPDATE events SET payload = replace(payload::text, ' ', '')::json WHERE position = 10", 10, Fault::EventChanged),
    ("UPDATE events SET metadata = jsonb_set(metadata::jsonb, '{actor}', '\"me\"')::json WHERE position = 11", 11, Fault::EventChanged),
    ("UPDATE events SET recorded_at = recorded_at + interval '1 microsecond' WHERE position = 12", 12, Fault::EventChanged),
    ("UPDATE events SET recorded_at = 'infinity' WHERE position = 13", 13, Fault::EventChanged),
    ("UPDATE events SET command_id = 'another' WHERE position = 14", 14, Fault::EventChanged),
    ("UPDATE events SET position = 99 WHERE position = 15", 15, Fault::EventMissing),
    ("UPDATE events SET position = -position WHERE position = 15", -15, Fault::EventMisplaced),
    ("UPDATE events SET position = 30 - position WHERE position IN (12, 18)", 12, Fault::EventChanged),
    ("DELETE FROM events WHERE position = 4", 4, Fault::EventMissing),
    ("DELETE FROM events WHERE position = 4; UPDATE events SET position = position - 1 WHERE position > 4", 4, Fault::EventChanged),
    ("UPDATE events SET position = position + 1 WHERE position >= 6; INSERT INTO events SELECT aggregate_type, 'new', 1,
        event_type, event_version, payload, metadata, 6, recorded_at, command_id FROM kept_events WHERE position = 6", 6, Fault::EventChanged),
    ("INSERT INTO events SELECT aggregate_type, 'new', 1, event_type, event_version, payload, metadata, 6, recorded_at,
        command_id FROM kept_events WHERE position = 6", 6, Fault::EventTwice),
    ("DELETE FROM events WHERE position > 17", 18, Fault::EventMissing),
    ("DELETE FROM events WHERE position > 16; DELETE FROM log_seals WHERE first_position > 16", 17, Fault::SealMissing),
    ("UPDATE log_seals SET signature = sha512(signature) WHERE number = 2", 5, Fault::SealBroken),
    ("UPDATE log_seals SET sealed_at_micros = sealed_at_micros + 1 WHERE number = 3", 9, Fault::SealBroken),
    ("UPDATE log_seals SET leaves = set_byte(leaves, 40, get_byte(leaves, 40) # 1) WHERE number = 3", 10, Fault::SealBroken),
    ("UPDATE log_seals SET number = 9000000000000000000 WHERE number = 4", 13, Fault::SealMissing),
    ("DELETE FROM events WHERE position = 21", 21, Fault::EventMissing),
];

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn every_change_in_the_database_is_named_by_its_first_position(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(20).await;
    stage.sealer().turn(false).await.unwrap();
    stage.append(2).await;
    stage.run(OPEN).await;
    for (tampering, position, fault) in TAMPERINGS {
        stage.run(tampering).await;
        let report = stage.verify().await;
        let first = report.findings.first().map(|finding| (finding.position, finding.fault));
        assert!(
            report.findings.iter().any(|f| (f.position, f.fault) == (position, fault)),
            "{tampering}: {report:?}"
        );
        assert_eq!(first.map(|first| first.0), Some(position), "{tampering}: {report:?}");
        assert_eq!((report.intact, report.first_bad_position), (false, Some(position)));
        stage.run(RESTORE).await;
        assert!(stage.verify().await.intact, "after {tampering}");
    }
    stage.leave().await;
}

/// An event, its leaf, the root and the signed range all put right again, but for the key.
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_block_hashed_anew_without_the_key_is_named_by_the_event_when_it_was_published(
    pool: PgPool,
) {
    let stage = Stage::set(pool).await;
    stage.append(8).await;
    stage.sealer().turn(false).await.unwrap();
    stage.run(OPEN).await;
    stage.run("UPDATE events SET payload = '{\"note\": \"forged\"}' WHERE position = 7").await;
    let (published, keys) = (stage.config().file, stage.keys());
    // Sealed anew over the same ranges, with a key of somebody else.
    let forger = Stage { place: tempfile::tempdir().unwrap(), ..stage };
    forger.run("DELETE FROM log_seals").await;
    assert_eq!(forger.sealer().turn(false).await.unwrap(), 2);
    assert!(forger.verify().await.intact, "by his own key and copy the forger is right");
    let published = published.to_str().unwrap();
    let copy = open(published).await;
    let report = verify(&forger.log, &keys, copy, &scope()).await.unwrap();
    let found: Vec<_> = report.findings.iter().map(|f| (f.position, f.fault)).collect();
    let forged = [(1, Fault::SealBroken), (7, Fault::SealBroken), (7, Fault::EventChanged)];
    assert_eq!(found, forged, "{report:?}");
    forger.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_log_alone_still_shows_what_it_can_without_a_published_copy(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(8).await;
    stage.sealer().turn(false).await.unwrap();
    stage.run(OPEN).await;
    let alone =
        async || verify(&stage.log, &stage.keys(), Published::None, &scope()).await.unwrap();
    assert!(alone().await.intact);
    stage.run("UPDATE events SET payload = '{}' WHERE position = 7").await;
    assert_eq!(alone().await.first_bad_position, Some(7));
    // With the leaf as well, nothing is left that says where in the block.
    stage
        .run("UPDATE log_seals SET leaves = sha256('') || substr(leaves, 33) WHERE number = 2")
        .await;
    let report = alone().await;
    assert_eq!(report.findings[0].fault, Fault::LeavesLost, "{report:?}");
    assert_eq!(stage.verify().await.first_bad_position, Some(5));
    stage.leave().await;
}

//! What is altered, missing or forged is found and named, and nobody but the log's own functions moves anything.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::fs;

use cairn_archive::ArchiveError;
use cairn_event_log::{EventLog, LogError};
use cairn_seal::Fault;
use cairn_sealer::verify;
use common::{ALL, GONE, Stage, all, archiver, body, objects, reopened, scope, set};
use sqlx::{Executor as _, PgPool};

/// What a read, a load, the seals and the archive itself say of the second segment.
async fn second_segment_is_named(stage: &Stage, log: &EventLog, why: &str) {
    let lost = |error: LogError| match error {
        LogError::Segment { segment: 2, position, why: said } if said.contains(why) => position,
        error => panic!("{error}"),
    };
    assert_eq!(lost(log.read(0, 100).await.unwrap_err()), 9, "nothing is skipped");
    assert_eq!(lost(log.read_types((10, 100), None).await.unwrap_err()), 11);
    let id = format!("SELECT aggregate_id FROM events WHERE position = {}", 12);
    let id = common::text(stage, &id).await;
    assert_eq!(lost(log.load("thing", &id, 0).await.unwrap_err()), 12);
    assert_eq!(log.read(0, 8).await.unwrap().len(), 8, "the first segment is whole");

    let report = verify(log, &stage.keys(), stage.published().await, &scope()).await.unwrap();
    assert_eq!(report.first_bad_position, Some(9));
    assert!(report.findings.iter().all(|finding| finding.fault == Fault::EventUnreadable));
    assert!(report.findings[0].detail.contains("segment 2"), "{:?}", report.findings);
    let report = archiver(stage).verify(None).await.unwrap();
    let found: Vec<_> = report.findings.iter().map(|f| (f.segment, f.position)).collect();
    assert_eq!((report.intact, found), (false, vec![(2, 9)]));
    let back = archiver(stage).restore(Some(2)).await;
    assert!(matches!(back, Err(ArchiveError::Differs { position: 9, .. })), "{back:?}");
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_flipped_bit_in_a_segment_is_named_with_its_position(pool: PgPool) {
    let stage = set(pool, 24).await;
    archiver(&stage).run(&all()).await.unwrap();
    let file = body(&stage, (9, 16));
    let whole = fs::read(&file).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let log = reopened(&stage).await;
        second_segment_is_named(&stage, &log, "its digest is another").await;
        log.close().await;
    }
    fs::write(&file, whole).unwrap();
    assert!(archiver(&stage).verify(None).await.unwrap().intact);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_missing_segment_is_named_and_read_again_when_it_is_back(pool: PgPool) {
    let stage = set(pool, 24).await;
    archiver(&stage).run(&all()).await.unwrap();
    let (file, aside) = (body(&stage, (9, 16)), stage.place.path().join("aside"));
    fs::rename(&file, &aside).unwrap();
    let log = reopened(&stage).await;
    second_segment_is_named(&stage, &log, "is not there").await;
    fs::rename(&aside, &file).unwrap();
    assert_eq!(log.read(0, 100).await.unwrap().len(), 24, "a failure is not remembered");
    log.close().await;
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_lost_or_forged_manifest_is_named(pool: PgPool) {
    let stage = set(pool, 8).await;
    archiver(&stage).run(&all()).await.unwrap();
    let manifest = body(&stage, (1, 8)).with_extension("json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"last_position\": 8", "\"last_position\": 9")).unwrap();
    assert_ne!(text, fs::read_to_string(&manifest).unwrap());
    let report = archiver(&stage).verify(Some(1)).await.unwrap();
    assert!(report.findings[0].object.ends_with(".json"), "{report:?}");
    fs::remove_file(&manifest).unwrap();
    let report = archiver(&stage).verify(Some(1)).await.unwrap();
    assert_eq!(report.findings[0].detail, "it is not there");
    stage.leave().await;
}

/// What lies under a segment's name before it is written: nothing is relied on that was not read back and held against the seals.
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_stranger_under_a_segments_name_lets_nothing_go(pool: PgPool) {
    let stage = set(pool, 16).await;
    let evidence = std::sync::Arc::new(stage.sealer().evidence().await.unwrap());
    let pieces = archiver(&stage).pieces(&all()).await.unwrap();
    for piece in pieces {
        archiver(&stage).write(&evidence, piece).await.unwrap();
    }
    fs::copy(body(&stage, (9, 16)), body(&stage, (1, 8))).unwrap();
    let run = archiver(&stage).run(&all()).await;
    let text = match run {
        Err(ArchiveError::Differs { position: 1, ref why, .. }) => why.clone(),
        run => panic!("{run:?}"),
    };
    assert_eq!((stage.count(GONE).await, text.is_empty()), (0, false));
    assert_eq!(stage.count("SELECT count(*) FROM log_segments").await, 0);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_event_that_is_not_as_it_was_sealed_stays_and_is_named(pool: PgPool) {
    let stage = set(pool, 16).await;
    stage.run("ALTER TABLE events DISABLE TRIGGER ALL; UPDATE events SET payload = '{\"forged\": 1}' WHERE position = 11; ALTER TABLE events ENABLE ALWAYS TRIGGER append_only; ALTER TABLE events ENABLE ALWAYS TRIGGER append_only_others; ALTER TABLE events ENABLE ALWAYS TRIGGER append_only_moves").await;
    let run = archiver(&stage).run(&all()).await;
    assert!(matches!(run, Err(ArchiveError::Differs { position: 11, .. })), "{run:?}");
    assert_eq!(stage.count(GONE).await, 8, "the first segment went, the second did not");
    // Nor does the database itself let it go, whatever is recorded.
    let name = cairn_event_log::NewSegment {
        first_block: 3,
        last_block: 4,
        object: "forged".to_owned(),
        byte_length: 1,
        digest: [0; 32],
    };
    let number = stage.log.record_segment(&name).await.unwrap();
    let refused = stage.log.empty_segment(number).await.unwrap_err();
    let as_sealed = matches!(&refused, LogError::Rejected { constraint, message }
        if constraint == "events_as_sealed" && message.contains("position 11"));
    assert!(as_sealed, "{refused}");
    assert_eq!(stage.count(GONE).await, 8);
    assert_eq!(objects(&stage).len(), 4);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn changes_by_hand_are_refused_before_and_after(pool: PgPool) {
    let stage = set(pool, 12).await;
    archiver(&stage).run(&common::read_by(8)).await.unwrap();
    let before = common::text(&stage, ALL).await;
    let changes = [
        "UPDATE events SET payload = '{}' WHERE position = 1",
        "UPDATE events SET payload = '{}' WHERE position = 12",
        "UPDATE events SET payload = 'null' WHERE position = 12",
        "UPDATE events SET payload = 'null', metadata = 'null' WHERE position = 12",
        "UPDATE events SET payload = 'null', metadata = 'null', segment = 1 WHERE position = 12",
        "UPDATE events SET payload = 'null', metadata = 'null', segment = 9 WHERE position = 12",
        "UPDATE events SET segment = 2 WHERE position = 1",
        "UPDATE events SET segment = NULL WHERE position = 1",
        "UPDATE events SET segment = NULL, payload = '{}', metadata = '{}' WHERE position = 1",
        "UPDATE events SET segment = NULL, outcome = '{}' WHERE position = 1",
        "UPDATE events SET command_id = 'x' WHERE position = 1",
        "UPDATE events SET recorded_at = now() WHERE position = 12",
        "DELETE FROM events WHERE position = 1",
        "TRUNCATE events",
        "UPDATE log_segments SET digest = decode(repeat('00', 32), 'hex')",
        "DELETE FROM log_segments",
        "SELECT log_restore(1, ARRAY[1], ARRAY['{\"forged\": 1}'], ARRAY['{}'])",
    ];
    let app = stage.log.pool();
    for change in changes {
        for db in [&stage.owner, app] {
            let refusal = db.execute(change).await.unwrap_err();
            let code = refusal.as_database_error().and_then(|it| it.code()).unwrap().into_owned();
            assert!(["23001", "42501"].contains(&&*code), "{change}: {refusal}");
        }
        let code = stage.owner.execute(change).await.unwrap_err();
        let code = code.as_database_error().and_then(|it| it.code()).unwrap().into_owned();
        assert_eq!(code, "23001", "the triggers bite the owner: {change}");
    }
    let insert = "INSERT INTO log_segments VALUES (9, 1, 1, 1, 4, 'x', 1, decode(repeat('00', 32), 'hex'), now())";
    assert!(app.execute(insert).await.is_err(), "the application records by the function only");
    assert_eq!(common::text(&stage, ALL).await, before);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_schema_goes_back_only_when_all_bulk_is_back(pool: PgPool) {
    let stage = set(pool, 8).await;
    let mut owner = stage.owner.acquire().await.unwrap();
    let before = common::text(&stage, ALL).await;
    archiver(&stage).run(&all()).await.unwrap();
    let newest = 20261127001400;
    let undone = cairn_event_log::MIGRATOR.undo(&mut owner, newest - 1).await;
    assert!(undone.unwrap_err().to_string().contains("bring it back first"));
    archiver(&stage).restore(None).await.unwrap();
    cairn_event_log::MIGRATOR.undo(&mut owner, newest - 1).await.unwrap();
    assert_eq!(common::text(&stage, ALL).await, before);
    let refused = owner.execute("UPDATE events SET payload = '{}'").await;
    assert!(refused.is_err(), "append-only as before");
    drop(owner);
    stage.leave().await;
}

/// The way out that the runbook names.
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn bulk_from_a_backup_comes_back_when_the_objects_are_lost(pool: PgPool) {
    let stage = set(pool, 16).await;
    stage.run("CREATE TABLE found AS SELECT position, payload::text AS payload, metadata::text AS metadata FROM events WHERE position > 8").await;
    let before = common::text(&stage, ALL).await;
    archiver(&stage).run(&all()).await.unwrap();
    let objects_before = objects(&stage);
    fs::remove_file(body(&stage, (9, 16))).unwrap();
    fs::remove_file(body(&stage, (9, 16)).with_extension("json")).unwrap();
    let back = "SELECT log_restore(2, array_agg(position), array_agg(payload), array_agg(metadata)) FROM found";
    assert_eq!(stage.count(back).await, 8);
    archiver(&stage).restore(Some(1)).await.unwrap();
    assert_eq!(common::text(&stage, ALL).await, before);
    archiver(&stage).run(&all()).await.unwrap();
    assert_eq!(objects(&stage), objects_before);
    assert!(archiver(&stage).verify(None).await.unwrap().intact);
    stage.leave().await;
}

//! What archiving promises: nothing is let go that is not in the archive as it was sealed, and no reader notices.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::time::Duration;

use cairn_archive::{ArchiveError, Policy};
use cairn_event_log::{
    AppendRequest, Appended, EventLog, LogError, Metadata, NewEvent, Outcome, Recorded,
};
use cairn_sealer::{Published, prove, verify};
use common::{ALL, GONE, Stage, all, append, archiver, objects, read_by, reopened, scope, set};
use sqlx::PgPool;

async fn everything(log: &EventLog) -> Vec<Recorded> {
    log.read(0, i64::MAX).await.unwrap()
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn the_bulk_of_closed_blocks_is_gone_and_every_reader_sees_it(pool: PgPool) {
    let stage = set(pool, 22).await;
    let (before, text) = (everything(&stage.log).await, common::text(&stage, ALL).await);
    let report = archiver(&stage).run(&all()).await.unwrap();
    let ranges: Vec<_> =
        report.segments.iter().map(|s| (s.segment, s.first_position, s.last_position)).collect();
    assert_eq!(ranges, [(1, 1, 8), (2, 9, 16), (3, 17, 22)]);
    assert_eq!(stage.count(GONE).await, 22);
    assert_eq!(objects(&stage).len(), 6, "a body and a manifest each");
    stage.append(2).await;

    let log = reopened(&stage).await;
    let after = everything(&log).await;
    assert_eq!(after[..22], before[..]);
    assert_eq!(after.len(), 24);
    let some = log.read_types((5, 19), Some(&["thing.noted".to_owned()])).await.unwrap();
    assert_eq!(some, before[5..19]);
    let mut db = log.pool().acquire().await.unwrap();
    assert_eq!(log.read_types_in_tx(&mut db, (5, 19), None).await.unwrap(), before[5..19]);
    drop(db);
    for event in &before {
        let stream = log.load(&event.aggregate_type, &event.aggregate_id, 0).await.unwrap();
        assert_eq!(stream, std::slice::from_ref(event));
    }
    assert_ne!(common::text(&stage, ALL).await, text);
    log.close().await;
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn seals_and_proofs_hold_over_archived_events(pool: PgPool) {
    let stage = set(pool, 12).await;
    let proof = prove(&stage.log, 6).await.unwrap();
    archiver(&stage).run(&all()).await.unwrap();
    let log = reopened(&stage).await;
    let report = verify(&log, &stage.keys(), stage.published().await, &scope()).await.unwrap();
    assert!(report.intact, "{report:?}");
    assert_eq!(report.events_checked, 12);
    assert!(proof.is_some());
    assert_eq!(prove(&log, 6).await.unwrap(), proof);
    assert!(archiver(&stage).verify(None).await.unwrap().intact);
    log.close().await;
    stage.leave().await;
}

fn request(event: &Recorded, expected_sequence: i64, result: i32) -> AppendRequest {
    AppendRequest {
        command_id: event.metadata.command_id.clone(),
        command_hash: [7; 32],
        aggregate_type: "thing",
        aggregate_id: event.aggregate_id.clone(),
        expected_sequence,
        events: vec![NewEvent {
            event_type: "thing.noted".to_owned(),
            event_version: "1".to_owned(),
            payload: "{}".to_owned(),
            book: None,
        }],
        outcome: Outcome::Accepted { result: result.into() },
        metadata: Metadata::default(),
    }
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn commands_and_expected_revisions_know_archived_events(pool: PgPool) {
    let stage = set(pool, 4).await;
    let first = everything(&stage.log).await.remove(0);
    let again = || stage.log.append(request(&first, 0, -1));
    let answer = again().await.unwrap();
    archiver(&stage).run(&all()).await.unwrap();
    assert!(matches!(answer, Appended::Repeated(_)));
    assert_eq!(again().await.unwrap(), answer, "the first outcome, not another event");
    let mut next = request(&first, 0, 2);
    next.command_id = "another".to_owned();
    assert_eq!(stage.log.append(next.clone()).await.unwrap(), Appended::Stale);
    next.expected_sequence = 1;
    let done = stage.log.append(next).await.unwrap();
    assert_eq!(done, Appended::Done { position: 5, sequence: 2 });
    stage.leave().await;
}

/// As every step of a run leaves it when the process dies there, the next run ends with the same archive.
#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_run_that_died_between_any_two_steps_is_gone_on_with(pool: PgPool) {
    let stage = set(pool, 20).await;
    let (before, archiver) = (everything(&stage.log).await, archiver(&stage));
    let evidence = std::sync::Arc::new(stage.sealer().evidence().await.unwrap());
    let pieces = archiver.pieces(&all()).await.unwrap();
    assert_eq!(pieces.len(), 3);
    // Died after the first object, before its manifest.
    archiver.write(&evidence, pieces[0]).await.unwrap();
    let manifest = common::body(&stage, (1, 8)).with_extension("json");
    std::fs::remove_file(manifest).unwrap();
    // Died after both objects, before the record.
    archiver.write(&evidence, pieces[1]).await.unwrap();
    // Died after the record, before anything was let go.
    let written = archiver.write(&evidence, pieces[2]).await.unwrap();
    assert_eq!(stage.log.record_segment(&written).await.unwrap(), 1);
    assert_eq!(stage.log.record_segment(&written).await.unwrap(), 1, "the same record");
    assert_eq!((stage.count(GONE).await, objects(&stage).len()), (0, 5));

    let report = archiver.run(&all()).await.unwrap();
    assert_eq!(report.events_archived, 20);
    assert_eq!((stage.count(GONE).await, objects(&stage).len()), (20, 6));
    assert_eq!(stage.count("SELECT count(*) FROM log_segments").await, 3);
    let report = archiver.run(&all()).await.unwrap();
    assert_eq!((report.segments.len(), objects(&stage).len()), (0, 6), "nothing is left to do");
    let log = reopened(&stage).await;
    assert_eq!(everything(&log).await, before);
    log.close().await;
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn one_run_at_a_time_archives_while_events_are_appended(pool: PgPool) {
    let stage = set(pool, 64).await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let archiver = archiver(&stage);
        runs.spawn(async move { archiver.run(&all()).await });
    }
    for _ in 0..20 {
        append(&stage.log).await;
    }
    let mut archived = 0;
    let mut busy = 0;
    for run in runs.join_all().await {
        match run {
            Ok(report) => archived += report.events_archived,
            Err(ArchiveError::Busy) => busy += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((archived, stage.count(GONE).await), (64, 64));
    assert!(busy > 0, "no two of them met");
    assert_eq!(stage.count("SELECT count(*) FROM log_segments").await, 8);
    assert_eq!(stage.log.head().await.unwrap(), 84);
    stage.leave().await;
}

async fn closed(stage: &Stage, policy: &Policy) -> (i64, String) {
    let standing = archiver(stage).standing(policy).await.unwrap();
    let narrowest = standing.bounds[0].clone();
    assert_eq!(standing.closed_position, narrowest.position);
    (narrowest.position, narrowest.what)
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_range_stays_open_until_it_is_sealed_published_old_and_passed(pool: PgPool) {
    let stage = set(pool, 12).await;
    stage.append(3).await;
    assert_eq!(closed(&stage, &all()).await, (12, "sealed and published".to_owned()));
    stage.sealer().seal_block(true).await.unwrap();
    assert_eq!(closed(&stage, &all()).await.0, 12, "sealed, but not published");
    stage.sealer().turn(true).await.unwrap();
    assert_eq!(closed(&stage, &all()).await.0, 15);

    let young = Policy { older_than: Duration::from_secs(3_600), ..all() };
    assert_eq!(closed(&stage, &young).await, (0, "old enough".to_owned()));
    let newest = Policy { keep_events: 4, ..all() };
    assert_eq!(closed(&stage, &newest).await, (11, "all but the newest".to_owned()));
    assert_eq!(closed(&stage, &read_by(7)).await, (7, "view wallets".to_owned()));

    let report = archiver(&stage).run(&read_by(7)).await.unwrap();
    assert_eq!(
        (report.events_archived, &*report.held_by),
        (4, "view wallets"),
        "whole blocks only"
    );
    assert_eq!(stage.count(GONE).await, 4);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_is_brought_back_is_what_was_there_and_may_go_again(pool: PgPool) {
    let stage = set(pool, 16).await;
    let before = common::text(&stage, ALL).await;
    let archiver = archiver(&stage);
    archiver.run(&all()).await.unwrap();
    assert!(matches!(archiver.restore(Some(7)).await, Err(ArchiveError::Unknown(7))));
    assert_eq!(archiver.restore(Some(1)).await.unwrap(), 8);
    assert_eq!(stage.count(GONE).await, 8);
    assert_eq!(archiver.restore(None).await.unwrap(), 8);
    assert_eq!(common::text(&stage, ALL).await, before, "byte for byte");
    assert!(stage.verify().await.intact, "with no archive at all");
    let report = archiver.run(&all()).await.unwrap();
    assert_eq!(report.segments.iter().map(|s| s.segment).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((stage.count(GONE).await, objects(&stage).len()), (16, 4));
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn nothing_is_let_go_without_a_published_copy_to_hold_it_against(pool: PgPool) {
    let stage = set(pool, 8).await;
    let archiver = archiver(&stage);
    let evidence = cairn_sealer::Evidence { keys: stage.keys(), published: Published::None };
    let piece = archiver.pieces(&all()).await.unwrap()[0];
    let written = archiver.write(&std::sync::Arc::new(evidence), piece).await;
    assert!(matches!(written, Err(ArchiveError::Differs { position: 1, .. })), "{written:?}");
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn without_its_archive_a_log_says_which_segment_it_lacks(pool: PgPool) {
    let stage = set(pool, 12).await;
    archiver(&stage).run(&all()).await.unwrap();
    let error = stage.log.read(9, 10).await.unwrap_err();
    assert!(matches!(error, LogError::Segment { segment: 2, position: 10, .. }), "{error}");
    assert!(!error.is_transient());
    stage.leave().await;
}

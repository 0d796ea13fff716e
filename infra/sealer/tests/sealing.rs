//! What the sealer promises: blocks without gaps, one sealer at a time, nothing lost between table and copies.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cairn_seal::{Block, KeyDirectory};
use cairn_sealer::{PublishedObjects, SealError, Sealed, Sealer, StoreOptions, prove, verify};
use common::{Stage, append, open, scope};
use sqlx::{Connection as _, Executor as _, PgPool};

fn ranges(text: &str) -> Vec<(i64, i64)> {
    let blocks = text.lines().map(|line| Block::from_line(line).unwrap().signed.header);
    blocks.map(|header| (header.first, header.last)).collect()
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_block_is_sealed_when_it_is_full_or_asked_for_and_what_is_left_is_said(pool: PgPool) {
    let stage = Stage::set(pool).await;
    let sealer = stage.sealer();
    assert_eq!(sealer.turn(true).await.unwrap(), 0, "nothing to seal");
    stage.append(3).await;
    assert_eq!(sealer.turn(false).await.unwrap(), 0, "not full, not old");
    stage.append(6).await;
    assert_eq!(sealer.turn(false).await.unwrap(), 2);
    let report = stage.verify().await;
    assert!(report.intact, "{report:?}");
    assert_eq!((report.sealed_position, report.unsealed_events, report.blocks), (8, 1, 2));
    assert_eq!(sealer.turn(true).await.unwrap(), 1);
    let file = fs::read_to_string(stage.config().file).unwrap();
    assert_eq!(ranges(&file), [(1, 4), (5, 8), (9, 9)]);
    let report = stage.verify().await;
    assert_eq!((report.intact, report.events_checked, report.unsealed_events), (true, 9, 0));
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_old_event_is_sealed_though_its_block_is_not_full(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(1).await;
    let mut config = stage.config();
    config.after = std::time::Duration::ZERO;
    assert_eq!(Sealer::new(stage.log.clone(), config).turn(false).await.unwrap(), 1);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn two_sealers_never_seal_the_same_while_events_are_appended(pool: PgPool) {
    let stage = Stage::set(pool).await;
    let second = stage.place.path().join("second");
    let mut config = stage.config();
    config.file = second.join("published.ndjson");
    let sealers = [stage.sealer(), stage.sealer(), Sealer::new(stage.log.clone(), config.clone())];
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for sealer in sealers.clone() {
        let done = Arc::clone(&done);
        tasks.spawn(async move {
            let mut sealed = 0;
            while !done.load(Ordering::Relaxed) {
                sealed += sealer.turn(false).await.unwrap();
            }
            sealed
        });
    }
    let mut appending = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let log = stage.log.clone();
        appending.spawn(async move {
            for _ in 0..40 {
                append(&log).await;
            }
        });
    }
    appending.join_all().await;
    while stage.count("SELECT coalesce(max(last_position), 0) FROM log_seals").await < 320 {
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Relaxed);
    let sealed: Vec<u64> = tasks.join_all().await;
    for sealer in &sealers {
        sealer.turn(true).await.unwrap();
    }
    let blocks = stage.count("SELECT count(*) FROM log_seals").await;
    assert_eq!((sealed.iter().sum::<u64>().cast_signed(), blocks), (80, 80));
    let file = fs::read_to_string(stage.config().file).unwrap();
    assert_eq!(file, fs::read_to_string(config.file).unwrap());
    assert_eq!(ranges(&file), (0..80).map(|n| (4 * n + 1, 4 * n + 4)).collect::<Vec<_>>());
    assert!(stage.verify().await.intact);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn what_a_crash_left_between_table_and_file_is_published_by_the_next_start(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(12).await;
    assert!(matches!(stage.sealer().seal_block(false).await.unwrap(), Sealed::Block(_)));
    assert!(!stage.config().file.exists(), "the crash came before the file");
    assert_eq!(stage.sealer().turn(false).await.unwrap(), 2);
    let whole = fs::read_to_string(stage.config().file).unwrap();
    assert_eq!(ranges(&whole).len(), 3);
    // Another crash, in the middle of a line.
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 40);
    fs::write(stage.config().file, &cut).unwrap();
    stage.sealer().turn(false).await.unwrap();
    assert_eq!(fs::read_to_string(stage.config().file).unwrap(), whole);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_sealer_that_dies_in_the_middle_of_a_block_leaves_nothing_and_holds_nobody_up(
    pool: PgPool,
) {
    let stage = Stage::set(pool).await;
    stage.append(4).await;
    let options = (*stage.owner.connect_options()).clone();
    let mut dying = sqlx::PgConnection::connect_with(&options).await.unwrap();
    dying.execute("BEGIN").await.unwrap();
    dying.execute("SELECT pg_advisory_xact_lock(x'636169726e5f7365'::bigint)").await.unwrap();
    let half =
        "INSERT INTO log_seals SELECT 1, 1, log_id, 1, 4, 4, sha256(''), sha256(''), 0, sha256(''),
        decode(repeat('00', 64), 'hex'), decode(repeat('00', 128), 'hex') FROM log_identity";
    dying.execute(half).await.unwrap();
    assert_eq!(stage.sealer().seal_block(false).await.unwrap(), Sealed::Elsewhere);
    let killed = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(stage.count(killed).await, 1, "the fault bit");
    assert_eq!(stage.sealer().turn(false).await.unwrap(), 1);
    assert!(stage.verify().await.intact);
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn nothing_is_sealed_on_top_of_a_copy_that_disagrees(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(8).await;
    stage.sealer().turn(false).await.unwrap();
    stage.append(4).await;
    stage
        .run("ALTER TABLE log_seals DISABLE TRIGGER ALL; DELETE FROM log_seals WHERE number = 2")
        .await;
    let refused = stage.sealer().turn(true).await.unwrap_err();
    assert!(matches!(refused, SealError::Disagrees { number: 2, .. }), "{refused}");
    assert_eq!(stage.count("SELECT count(*) FROM log_seals").await, 1);
    let report = stage.verify().await;
    assert_eq!(report.first_bad_position, Some(5), "{report:?}");
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_gap_is_not_sealed_over(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(4).await;
    stage
        .run("ALTER TABLE events DISABLE TRIGGER ALL; DELETE FROM events WHERE position = 3")
        .await;
    let refused = stage.sealer().turn(true).await.unwrap_err();
    assert!(matches!(refused, SealError::Gap(3)), "{refused}");
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn an_object_store_gets_every_block_once_and_keeps_it(pool: PgPool) {
    let stage = Stage::set(pool).await;
    let objects = stage.place.path().join("objects");
    fs::create_dir(&objects).unwrap();
    let mut config = stage.config();
    let url = format!("file://{}", objects.display());
    stage.append(8).await;
    // Sealed before there was a store: it is caught up with.
    stage.sealer().turn(false).await.unwrap();
    config.url = Some(url.clone());
    let sealer = Sealer::new(stage.log.clone(), config.clone());
    stage.append(4).await;
    sealer.turn(false).await.unwrap();
    sealer.turn(false).await.unwrap();
    let names: Vec<_> = fs::read_dir(&objects).unwrap().collect();
    assert_eq!(names.len(), 3);
    let copy = async || open(&url).await;
    let report = verify(&stage.log, &stage.keys(), copy().await, &scope()).await.unwrap();
    assert_eq!((report.intact, report.published_blocks), (true, Some(3)), "{report:?}");
    fs::copy(objects.join(format!("{:020}.json", 1)), objects.join(format!("{:020}.json", 3)))
        .unwrap();
    stage.append(4).await;
    let again = Sealer::new(stage.log.clone(), config);
    let refused = again.turn(false).await.unwrap_err();
    assert!(matches!(refused, SealError::Disagrees { number: 3, .. }), "{refused}");
    let report = verify(&stage.log, &stage.keys(), copy().await, &scope()).await.unwrap();
    assert_eq!(report.first_bad_position, Some(9));
    assert_eq!(stage.count("SELECT count(*) FROM log_seals").await, 3, "nothing on top of it");
    // A store that is out of reach keeps nobody from sealing, and is said so.
    fs::remove_dir_all(&objects).unwrap();
    fs::write(&objects, "not a directory").unwrap();
    let unreachable = again.turn(false).await.unwrap_err();
    assert!(matches!(unreachable, SealError::Store(_)), "{unreachable}");
    assert_eq!(stage.count("SELECT count(*) FROM log_seals").await, 4);
    assert!(PublishedObjects::open("nowhere", &StoreOptions::default()).is_err());
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_new_key_signs_what_follows_and_the_old_one_signs_no_more(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(4).await;
    stage.sealer().turn(false).await.unwrap();
    let keys = stage.config().keys;
    let stale = stage.place.path().join("stale");
    fs::create_dir(&stale).unwrap();
    for name in ["seal.pem", "seal.pub.pem"] {
        fs::copy(keys.join(name), stale.join(name)).unwrap();
    }
    KeyDirectory::at(keys).rotate().unwrap();
    stage.append(8).await;
    assert!(matches!(stage.sealer().seal_block(false).await.unwrap(), Sealed::Block(_)));
    let mut config = stage.config();
    config.keys = stale;
    let refused = Sealer::new(stage.log.clone(), config).seal_block(false).await.unwrap_err();
    assert!(matches!(refused, SealError::KeyOutOfDate { number: 2, .. }), "{refused}");
    stage.sealer().turn(false).await.unwrap();
    let report = stage.verify().await;
    assert_eq!((report.intact, report.blocks, stage.keys().ids().len()), (true, 3, 2));
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn seals_are_append_only_and_continue_each_other(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(8).await;
    stage.sealer().turn(false).await.unwrap();
    let again = "INSERT INTO log_seals SELECT number + 2, format, log_id, first_position + 8, last_position + 8, event_count,
        root, previous, sealed_at_micros, key_id, signature, leaves FROM log_seals WHERE number = 2";
    for change in [
        "UPDATE log_seals SET format = 2",
        "DELETE FROM log_seals",
        "TRUNCATE log_seals",
        "UPDATE log_identity SET log_id = sha256('')",
        again,
    ] {
        let refused = stage.owner.execute(change).await.unwrap_err();
        let code = refused.as_database_error().and_then(|it| it.code()).unwrap().into_owned();
        assert_eq!(code, "23001", "{change}");
    }
    let refused = stage
        .log
        .pool()
        .execute("INSERT INTO log_identity (log_id) VALUES (uuid_send(gen_random_uuid()))");
    assert!(refused.await.unwrap_err().to_string().contains("permission denied"));
    stage.leave().await;
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_sealed_event_is_proven_without_the_database(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(6).await;
    stage.sealer().turn(false).await.unwrap();
    assert!(prove(&stage.log, 5).await.unwrap().is_none(), "not sealed yet");
    let proof = prove(&stage.log, 3).await.unwrap().unwrap();
    let keys = stage.keys();
    stage.leave().await;
    assert!(proof.event.payload.contains("grüße"));
    assert_eq!(proof.check(&keys).unwrap().position, 3);
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_verification_goes_on_where_it_stopped_and_still_sees_the_whole_chain(pool: PgPool) {
    let stage = Stage::set(pool).await;
    stage.append(12).await;
    stage.sealer().turn(false).await.unwrap();
    let note = stage.place.path().join("note.json");
    let mut scope = scope();
    scope.resume = Some(note.clone());
    let go =
        async || verify(&stage.log, &stage.keys(), stage.published().await, &scope).await.unwrap();
    assert_eq!(go().await.events_checked, 12);
    stage.append(4).await;
    stage.sealer().turn(false).await.unwrap();
    let report = go().await;
    assert_eq!((report.intact, report.blocks, report.events_checked), (true, 4, 4));
    // What was sealed before is not read again; its seal is.
    stage.run("ALTER TABLE log_seals DISABLE TRIGGER ALL; UPDATE log_seals SET root = previous WHERE number = 2").await;
    assert_eq!(go().await.first_bad_position, Some(5));
    let mut file = OpenOptions::new().write(true).truncate(true).open(&note).unwrap();
    file.write_all(b"{}").unwrap();
    let refused = verify(&stage.log, &stage.keys(), stage.published().await, &scope).await;
    assert!(refused.unwrap_err().to_string().contains("note.json"));
    stage.leave().await;
}

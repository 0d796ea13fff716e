//! `cairn archive`, as an operator types it, and killed.
use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::cli::Shell;

const ALL: &str = "SELECT md5(string_agg(position || payload::text || metadata::text, '' ORDER BY position)) FROM events";
const GONE: &str =
    "SELECT count(*) FROM events WHERE segment IS NOT NULL AND payload::text = 'null'";

fn shell(options: &PgConnectOptions) -> Shell {
    let shell = Shell::new(options);
    let url = format!("file://{}/archive", shell.data().display());
    shell.with("CAIRN_ARCHIVE_URL", url)
}

async fn count(pool: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

const NOW: &str = "--older-than 0s --keep-events 0";

#[sqlx::test(migrations = "../migrations")]
async fn old_events_go_are_read_as_before_and_come_back(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = pool.connect_with(options.clone()).await.unwrap();
    let shell = shell(&options).with("CAIRN_SEAL_EVENTS", "2".to_owned());
    let define = "skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64";
    let once = format!("{define} --idempotency-key once");
    let first = shell.json(&once).await;
    shell.json("keys create --role owner --name shop").await;
    shell.json("skus price small --currency USD --per-hour 0.36").await;
    let nothing = shell.run(&format!("archive run {NOW}")).await;
    assert_eq!(nothing.code(), 0, "{}", nothing.talk());
    assert!(nothing.talk().contains("sealed and published"), "{}", nothing.talk());
    shell.json("audit seal").await;
    let views = "projections digest";
    let head = count(&pool, "SELECT position FROM log_head").await;
    let before = (shell.json("replay state sku small").await, shell.json(views).await);
    let proof = shell.json("audit prove --event 2").await;

    let young = shell.json("archive status").await;
    assert_eq!((&young["closed_position"], &young["events_due"]), (&0.into(), &0.into()));
    let due = shell.json(&format!("archive status {NOW}")).await;
    assert_eq!((&due["closed_position"], &due["events_due"]), (&head.into(), &head.into()));
    let bounds = due["bounds"].to_string();
    assert!(bounds.contains("view catalog/skus") && bounds.contains("old enough"), "{bounds}");
    let run = shell.json(&format!("archive run {NOW}")).await;
    assert_eq!(run["events_archived"], head);
    assert_eq!(count(&pool, GONE).await, head);

    assert_eq!((shell.json("replay state sku small").await, shell.json(views).await), before);
    assert_eq!(shell.json(&once).await, first, "the command is known");
    shell.json("replay verify").await;
    shell.json("projections rebuild --all").await;
    assert_eq!(shell.json("audit verify").await["intact"], true);
    assert_eq!(shell.json("audit prove --event 2").await, proof);
    assert_eq!(shell.json("archive verify").await["events"], head);
    let doctor = shell.run("doctor --output json").await;
    assert!(doctor.data().contains(&format!("{head} events are in file://")), "{}", doctor.data());
    shell.json("skus retire small").await;
    let back = shell.json("archive restore --all").await;
    assert_eq!((back["events_restored"].as_i64(), count(&pool, GONE).await), (Some(head), 0));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_wrong_is_said_with_its_exit_code(_: PgPoolOptions, options: PgConnectOptions) {
    let nowhere = Shell::new(&options).run("archive status").await;
    assert_eq!(nowhere.code(), 2);
    assert!(nowhere.talk().contains("CAIRN_ARCHIVE_URL"), "{}", nowhere.talk());
    let shell = shell(&options);
    for line in ["archive restore", "archive restore 1 --all", "archive run --older-than soon"] {
        assert_eq!(shell.run(line).await.code(), 2, "{line}");
    }
    for line in ["archive restore 7", "archive verify 7"] {
        let unknown = shell.run(line).await;
        assert_eq!(unknown.code(), 4, "{line}: {}", unknown.talk());
        assert!(unknown.talk().contains("cairn archive status"), "{}", unknown.talk());
    }
    shell.json("skus define small --cpu-millis 250 --memory-mib 64 --disk-mib 64").await;
    shell.json("audit seal").await;
    shell.json(&format!("archive run {NOW}")).await;
    std::fs::remove_dir_all(shell.data().join("archive")).unwrap();
    for line in ["archive verify", "audit verify", "replay state sku small", "archive restore 1"] {
        let lost = shell.run(line).await;
        assert_eq!(lost.code(), 7, "{line}: {}", lost.talk());
        assert!(lost.talk().contains("position 1"), "{line}: {}", lost.talk());
    }
    let doctor = shell.run("doctor").await;
    assert_eq!((doctor.code(), doctor.talk().contains("archive")), (1, true), "{}", doctor.talk());
}

/// Fills the log directly with events that no view reads.
const FILL: &str = "
    ALTER TABLE events DISABLE TRIGGER USER;
    INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload,
        metadata, position, recorded_at, command_id)
      SELECT 'thing', 'thing_' || n % 97, n, 'thing.noted', '1', json_build_object('n', n),
        json_build_object('actor', 'test', 'correlation_id', 'c' || n, 'command_id', 'f' || n),
        n, to_timestamp(n), 'f' || n
      FROM generate_series(1, 640) AS n;
    UPDATE log_head SET position = 640;
    ALTER TABLE events ENABLE TRIGGER USER;
    ALTER TABLE events ENABLE ALWAYS TRIGGER append_only;
    ALTER TABLE events ENABLE ALWAYS TRIGGER append_only_others;
    ALTER TABLE events ENABLE ALWAYS TRIGGER append_only_moves;";
const KILLS: usize = 4;

#[sqlx::test(migrations = "../migrations")]
async fn a_run_killed_with_sigkill_again_and_again_loses_nothing(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let pool = pool.connect_with(options.clone()).await.unwrap();
    sqlx::raw_sql(FILL).execute(&pool).await.unwrap();
    let shell = shell(&options)
        .with("CAIRN_SEAL_EVENTS", "8".to_owned())
        .with("CAIRN_ARCHIVE_SEGMENT_EVENTS", "8".to_owned());
    shell.json("audit seal").await;
    let text: String = sqlx::query_scalar(ALL).fetch_one(&pool).await.unwrap();
    let line = format!("archive run {NOW}");
    for kill in 0..KILLS {
        let (gone, patience) = (count(&pool, GONE).await, Instant::now() + Duration::from_secs(60));
        let mut run = shell.command(&line);
        let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while count(&pool, GONE).await < gone + 8 {
            assert!(Instant::now() < patience && child.try_wait().unwrap().is_none(), "{kill}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = 640 - count(&pool, GONE).await;
        assert!(left > 0 && left % 8 == 0, "kill {kill} came too late, or half a segment went");
    }
    // The lease of who was killed goes when the server notices.
    let last = loop {
        let last = shell.run(&line).await;
        if last.code() != 5 {
            break last;
        }
        assert!(last.talk().contains("archive_busy"), "{}", last.talk());
    };
    assert_eq!((last.code(), count(&pool, GONE).await), (0, 640), "{}", last.talk());
    assert_eq!(count(&pool, "SELECT count(*) FROM log_segments").await, 80);
    assert_eq!(shell.json("archive verify").await["events"], 640);
    assert_eq!(shell.json("audit verify").await["intact"], true);
    shell.json("archive restore --all").await;
    let back: String = sqlx::query_scalar(ALL).fetch_one(&pool).await.unwrap();
    assert_eq!(back, text);
}

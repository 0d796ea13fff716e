//! A view has a generation that is read, one that is built and one that is kept: changing between them is invisible.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_projections::ledger::statement;
use cairn_projections::{EngineError, Projector, Rebuild, all};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::world::{PATIENCE, Running, World, organisation, until};

async fn tamper(world: &World) {
    let odd = "UPDATE ledger_statement_lines SET kind = 'odd'";
    assert!(sqlx::query(odd).execute(&world.pool).await.unwrap().rows_affected() > 0);
}

async fn kinds(world: &World) -> Vec<String> {
    let kinds = "SELECT DISTINCT kind FROM ledger_statement_lines ORDER BY kind";
    sqlx::query_scalar(kinds).fetch_all(&world.pool).await.unwrap()
}

/// Stops a rebuild of a view once it is past a position; answers where it was.
async fn stop_midway(projector: &Projector, name: &str, past: i64) -> i64 {
    let token = CancellationToken::new();
    let (stop, (told, seen)) = (token.clone(), std::sync::mpsc::channel());
    let progress = std::sync::Arc::new(move |at: cairn_projections::RebuildProgress| {
        if at.position >= past {
            told.send(at.position).unwrap();
            stop.cancel();
        }
    });
    let options = Rebuild { batch: 5, token, progress, ..Rebuild::default() };
    let cancelled = projector.rebuild(name, &options).await;
    assert!(matches!(cancelled, Err(EngineError::Cancelled)), "{cancelled:?}");
    seen.recv().unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rebuild_goes_on_where_it_was_stopped_and_comes_to_the_same_rows(pool: PgPool) {
    let world = World::new(pool).await;
    let head = world.everything().await;
    let projector = world.caught_up(all()).await;
    for name in [statement::NAME, "fleet/nodes", "compute/allocations"] {
        let live = projector.digest(name).await.unwrap();
        let reached = stop_midway(&projector, name, head / 2).await;
        assert!(reached < head, "{name} was done before it was stopped");
        let rebuilt = projector.rebuild(name, &Rebuild::default()).await.unwrap();
        assert_eq!(rebuilt.resumed_from, Some(reached));
        assert_eq!((rebuilt.position, rebuilt.differing), (head, 0));
        assert_eq!(projector.digest(name).await.unwrap(), live);
        stop_midway(&projector, name, head / 2).await;
        let options = Rebuild { anew: true, ..Rebuild::default() };
        assert_eq!(projector.rebuild(name, &options).await.unwrap().resumed_from, None);
        assert_eq!(projector.digest(name).await.unwrap(), live);
    }
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn any_number_of_workers_comes_to_the_same_rows(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    for name in projector.names() {
        let live = projector.digest(name).await.unwrap();
        for (workers, batch) in [(2, 7), (5, 1_000)] {
            let options = Rebuild { workers, batch, keep: Duration::ZERO, ..Rebuild::default() };
            let rebuilt = projector.rebuild(name, &options).await.unwrap();
            assert_eq!(rebuilt.differing, 0, "{name} by {workers}");
            assert_eq!(projector.digest(name).await.unwrap(), live, "{name} by {workers}");
        }
    }
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn however_few_rows_a_rebuild_holds_in_memory_it_comes_to_the_same_rows(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    for name in projector.names() {
        let live = projector.digest(name).await.unwrap();
        for (rows_max, workers, batch) in [(0, 1, 3), (2, 2, 7), (usize::MAX, 1, 3)] {
            let keep = Duration::ZERO;
            let options = Rebuild { rows_max, workers, batch, keep, ..Rebuild::default() };
            let rebuilt = projector.rebuild(name, &options).await.unwrap();
            assert_eq!(rebuilt.differing, 0, "{name} with {rows_max}");
            assert_eq!(projector.digest(name).await.unwrap(), live, "{name} with {rows_max}");
        }
    }
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_dry_run_names_the_rows_that_differ_and_changes_none(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    let sound = projector.digest(statement::NAME).await.unwrap();
    tamper(&world).await;
    let odd = projector.digest(statement::NAME).await.unwrap();
    let options = Rebuild { dry_run: true, ..Rebuild::default() };
    let tried = projector.rebuild(statement::NAME, &options).await.unwrap();
    assert!(!tried.swapped);
    assert_eq!((tried.differing, tried.rows), (odd.rows, odd.rows));
    assert_eq!(tried.tables[0].examples.len(), 5);
    assert_eq!(projector.digest(statement::NAME).await.unwrap(), odd);
    let rebuilt = projector.rebuild(statement::NAME, &Rebuild::default()).await.unwrap();
    assert_eq!((rebuilt.differing, rebuilt.resumed_from), (odd.rows, None));
    assert_eq!(projector.digest(statement::NAME).await.unwrap(), sound);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn the_replaced_rows_follow_the_log_and_come_back_at_one_position(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    let nothing = projector.rollback(statement::NAME).await;
    assert!(matches!(nothing, Err(EngineError::NothingKept(_))), "{nothing:?}");
    tamper(&world).await;
    let before = projector.digest(statement::NAME).await.unwrap().rows;
    projector.rebuild(statement::NAME, &Rebuild::default()).await.unwrap();
    assert!(!kinds(&world).await.contains(&"odd".to_owned()));
    let head = world.top_up(organisation(1), 901, 1).await;
    let running = Running::start(&projector);
    projector.wait_for(head, PATIENCE).await.unwrap();
    until(async || kept_position(&world).await == Some(head)).await;
    running.stop().await;
    // Folded at the rollback itself.
    let head = world.top_up(organisation(1), 902, 1).await;
    let projector = world.caught_up(all()).await;
    let good = projector.digest(statement::NAME).await.unwrap();
    let back = projector.rollback(statement::NAME).await.unwrap();
    assert_eq!((back.position, back.rows, back.differing), (head, before + 2, before));
    assert_eq!(kinds(&world).await, ["odd", "top_up"]);
    let forth = projector.rollback(statement::NAME).await.unwrap();
    assert_eq!((forth.position, forth.differing), (head, before));
    assert_eq!(projector.digest(statement::NAME).await.unwrap(), good);
    assert!(projector.verify(statement::NAME).await.unwrap().identical);
    let over = "UPDATE projection_generations SET keep_until = now()";
    sqlx::query(over).execute(&world.pool).await.unwrap();
    let running = Running::start(&projector);
    until(async || kept_position(&world).await.is_none()).await;
    running.stop().await;
    let gone = "SELECT to_regclass('view_kept.ledger_statement_lines') IS NULL";
    assert!(sqlx::query_scalar::<_, bool>(gone).fetch_one(&world.pool).await.unwrap());
    world.close().await;
}

async fn kept_position(world: &World) -> Option<i64> {
    let kept = "SELECT position FROM view_kept.projection_checkpoints WHERE name = $1";
    let kept = sqlx::query_scalar(kept).bind(statement::NAME);
    kept.fetch_optional(&world.pool).await.unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn readers_with_prepared_statements_see_all_old_or_all_new_rows_and_no_error(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..60 {
        world.top_up(organisation(number % 3), number, 1).await;
    }
    let projector = world.caught_up(all()).await;
    tamper(&world).await;
    let running = Running::start(&projector);
    let done = AtomicBool::new(false);
    let changes = async {
        for round in 0..12 {
            let options = Rebuild { workers: 1 + round % 3, ..Rebuild::default() };
            match round {
                0 => projector.rebuild(statement::NAME, &options).await.map(drop).unwrap(),
                _ => projector.rollback(statement::NAME).await.map(drop).unwrap(),
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let reads = async || {
        let (mut seen, mut reads, mut last) = ([false; 2], 0, 0);
        while !done.load(Ordering::Relaxed) {
            let position = projector.position(statement::NAME).await.unwrap();
            assert!(position >= last, "a read went back");
            last = position;
            let rows = "SELECT count(*), count(*) FILTER (WHERE kind = 'odd')
                FROM ledger_statement_lines WHERE position <= 60";
            let (rows, odd): (i64, i64) =
                sqlx::query_as(rows).fetch_one(world.log.pool()).await.unwrap();
            assert!(rows == 60 && (odd == 0 || odd == 60), "{odd} old rows among {rows}");
            seen[usize::from(odd == 0)] = true;
            reads += 1;
        }
        assert!(seen == [true, true] && reads > 10, "{reads} reads saw {seen:?}");
    };
    let writes = async {
        for number in 100..130 {
            world.top_up(organisation(number % 3), number, 1).await;
        }
    };
    tokio::join!(changes, reads(), reads(), writes);
    running.stop().await;
    world.close().await;
}

//! Each event counts once, whatever dies meanwhile.
use std::time::Duration;

use cairn_projections::{WaitError, all};
use sqlx::PgPool;

use crate::story::UNIT;
use crate::world::{PATIENCE, Running, World, organisation, until};

async fn lines(world: &World) -> i64 {
    let count = "SELECT count(*) FROM ledger_statement_lines";
    sqlx::query_scalar(count).fetch_one(&world.pool).await.unwrap()
}

async fn sums_agree(world: &World) {
    let sums = "SELECT coalesce(sum(amount_nanos), 0)::bigint FROM ledger_statement_lines";
    let lines: i64 = sqlx::query_scalar(sums).fetch_one(&world.pool).await.unwrap();
    let sums = "SELECT coalesce(sum(posted_nanos), 0)::bigint FROM ledger_wallets";
    let wallets: i64 = sqlx::query_scalar(sums).fetch_one(&world.pool).await.unwrap();
    assert_eq!(lines, wallets);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_killed_projector_loses_and_doubles_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..300 {
        world.top_up(organisation(number % 7), number, 1).await;
    }
    let head = world.log.head().await.unwrap();
    let mut kills = 0;
    for after in 0..40_u64 {
        let projector = world.projector(all()).with_batch(3);
        let running = Running::start(&projector);
        tokio::time::sleep(Duration::from_millis(2 + after % 17)).await;
        running.kill().await;
        if projector.position("ledger/statement").await.unwrap() < head {
            kills += 1;
        }
    }
    assert!(kills >= 3, "only {kills} kills met work under way");
    let projector = world.caught_up(all()).await;
    assert_eq!(lines(&world).await, 300);
    sums_agree(&world).await;
    for name in projector.names() {
        let verified = projector.verify(name).await.unwrap();
        assert!(verified.identical, "{verified:?}");
        assert_eq!(verified.position, head);
    }
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn lost_connections_roll_back_and_the_batch_comes_again(pool: PgPool) {
    let world = World::new(pool).await;
    let projector = world.projector(all()).with_batch(2);
    let running = Running::start(&projector);
    let mut cut = 0;
    for number in 0..150 {
        world.top_up(organisation(number % 5), number, 2).await;
        if number % 10 == 9 {
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND query LIKE '%projection_checkpoints%'";
            let killed: i64 = sqlx::query_scalar(kill).fetch_one(&world.pool).await.unwrap();
            cut += killed;
        }
    }
    assert!(cut > 0, "no connection was cut");
    let head = world.log.head().await.unwrap();
    projector.wait_for(head, PATIENCE).await.unwrap();
    running.stop().await;
    assert_eq!(lines(&world).await, 150);
    sums_agree(&world).await;
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn two_projectors_share_the_work_and_double_nothing(pool: PgPool) {
    let world = World::new(pool).await;
    let (one, two) = (world.projector(all()).with_batch(2), world.projector(all()).with_batch(3));
    let (first, second) = (Running::start(&one), Running::start(&two));
    for number in 0..200 {
        world.top_up(organisation(number % 3), number, 1).await;
    }
    let head = world.log.head().await.unwrap();
    one.wait_for(head, PATIENCE).await.unwrap();
    first.stop().await;
    second.stop().await;
    assert_eq!(lines(&world).await, 200);
    let distinct = "SELECT count(DISTINCT balance_nanos) FROM ledger_statement_lines
        WHERE organisation_id = $1";
    let balances: i64 = sqlx::query_scalar(distinct)
        .bind(organisation(0).to_string())
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(balances, 67, "each top-up stands on the one before it");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stopped_projector_stops_and_goes_on_where_it_was(pool: PgPool) {
    let world = World::new(pool).await;
    let position = world.top_up(organisation(1), 1, 1).await;
    let projector = world.projector(all());
    let running = Running::start(&projector);
    projector.wait_for(position, PATIENCE).await.unwrap();
    running.stop().await;
    let later = world.top_up(organisation(1), 2, 1).await;
    assert_eq!(projector.position("ledger/balances").await.unwrap(), position);
    let running = Running::start(&projector);
    projector.wait_for(later, PATIENCE).await.unwrap();
    running.stop().await;
    assert_eq!(lines(&world).await, 2);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wait_ends_when_all_views_are_there_and_not_before(pool: PgPool) {
    let world = World::new(pool).await;
    let position = world.top_up(organisation(1), 1, 1).await;
    let projector = world.projector(all());
    let nobody = projector.wait_for(position, Duration::from_millis(30)).await;
    assert!(
        matches!(nobody, Err(WaitError::TimedOut { reached: 0, wanted }) if wanted == position)
    );
    // Another process waits; it is not the one that folds.
    let elsewhere = world.projector(all());
    let running = Running::start(&projector);
    assert_eq!(elsewhere.wait_for(position, PATIENCE).await.unwrap(), position);
    assert_eq!(elsewhere.wait_for_view("ledger/balances", 1, PATIENCE).await.unwrap(), position);
    let beyond = elsewhere.wait_for(position + 1, Duration::from_millis(30)).await;
    assert!(matches!(beyond, Err(WaitError::TimedOut { reached, .. }) if reached == position));
    assert!(elsewhere.wait_for_view("no/such", 1, PATIENCE).await.is_err());
    running.stop().await;
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_follower_sees_events_of_other_processes_too(pool: PgPool) {
    let world = World::new(pool).await;
    let projector = world.projector(all());
    let running = Running::start(&projector);
    let other = World::new(world.pool.clone()).await;
    let position = other.top_up(organisation(1), 1, 3).await;
    until(async || projector.position("ledger/balances").await.unwrap() >= position).await;
    let status = projector.status().await.unwrap();
    assert!(status.iter().all(|one| one.lag_events == one.head - one.position));
    running.stop().await;
    let later = other.top_up(organisation(1), 2, 3).await;
    let behind = projector.status().await.unwrap();
    let behind = behind.iter().find(|one| one.name == "ledger/balances").unwrap();
    assert_eq!((behind.head, behind.lag_events), (later, 1));
    assert!(behind.lag_seconds >= 0.0);
    let sum: i64 = sqlx::query_scalar("SELECT posted_nanos FROM ledger_wallets")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(sum, 3 * UNIT);
    other.log.close().await;
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn growth_is_noticed_without_any_notification(pool: PgPool) {
    let world = World::new(pool).await;
    let projector = world.projector(all());
    let running = Running::start(&projector);
    let other = World::new(world.pool.clone()).await;
    let mut deaf = 0;
    for number in 0..5 {
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        let killed: i64 = sqlx::query_scalar(kill).fetch_one(&world.pool).await.unwrap();
        deaf += killed;
        let position = other.top_up(organisation(1), number, 1).await;
        projector.wait_for(position, PATIENCE).await.unwrap();
    }
    assert!(deaf > 0, "nobody was listening, so nothing was proved");
    running.stop().await;
    other.log.close().await;
    world.close().await;
}

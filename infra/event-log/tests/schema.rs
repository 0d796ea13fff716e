//! The migrations go up, down and up again, and many databases of one cluster may do so at once.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use cairn_event_log::{Appended, EventLog, LogError, MIGRATOR, Rights};
use common::{booked, event, request};
use sqlx::{Connection, Executor, PgConnection, PgPool};

/// Everything that migrations made: relations, functions, triggers, types.
async fn objects(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT relkind::text || ' ' || relname FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relname !~ '^_sqlx_migrations'
         UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p
         WHERE pronamespace = 'public'::regnamespace
         UNION ALL SELECT 'trigger ' || tgname || ' ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT 'grants ' || defaclobjtype::text FROM pg_default_acl
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrations = false)]
async fn what_goes_up_comes_down_and_goes_up_again(pool: PgPool) {
    let bare = objects(&pool).await;
    MIGRATOR.run(&pool).await.unwrap();
    let up = objects(&pool).await;
    MIGRATOR.undo(&pool, 0).await.unwrap();
    assert_eq!(objects(&pool).await, bare);
    MIGRATOR.run(&pool).await.unwrap();
    assert_eq!(objects(&pool).await, up);
    assert!(up.len() > 30, "{up:?}");
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn outcomes_survive_the_way_down_and_up_again(pool: PgPool) {
    let log = EventLog::connect((*pool.connect_options()).clone(), 4).await.unwrap();
    let first = request("a", 0, vec![event("1"), event("2")]);
    log.append(first.clone()).await.unwrap();
    let kept = log.outcome(&first.command_id).await.unwrap();
    log.close().await;
    MIGRATOR.undo(&pool, 20_261_127_000_101).await.unwrap();
    let commands = "SELECT count(*) FROM commands";
    assert_eq!(sqlx::query_scalar::<_, i64>(commands).fetch_one(&pool).await.unwrap(), 1);
    MIGRATOR.run(&pool).await.unwrap();
    let log = EventLog::connect((*pool.connect_options()).clone(), 4).await.unwrap();
    assert!(kept.is_some());
    assert_eq!(log.outcome(&first.command_id).await.unwrap(), kept);
    assert!(matches!(log.append(first).await.unwrap(), Appended::Repeated(_)));
    log.close().await;
}

#[sqlx::test(migrations = false)]
async fn databases_of_one_cluster_migrate_at_once(pool: PgPool) {
    let options = (*pool.connect_options()).clone();
    let own = std::process::id();
    let names: Vec<_> = (0..4).map(|number| format!("cairn_schema_{own}_{number}")).collect();
    let mut migrations = tokio::task::JoinSet::new();
    for name in &names {
        sqlx::query(&format!("CREATE DATABASE \"{name}\"")).execute(&pool).await.unwrap();
        let options = options.clone().database(name);
        migrations.spawn(async move {
            let pool = PgPool::connect_with(options).await.unwrap();
            for _ in 0..3 {
                MIGRATOR.run(&pool).await.unwrap();
                MIGRATOR.undo(&pool, 0).await.unwrap();
            }
            MIGRATOR.run(&pool).await.unwrap();
            pool.close().await;
        });
    }
    migrations.join_all().await;
    for name in &names {
        sqlx::query(&format!("DROP DATABASE \"{name}\"")).execute(&pool).await.unwrap();
    }
}

/// What its maker holds of a role since PostgreSQL 16: it may give it away, but not act as it.
const AS_ITS_MAKER: &str = "DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'GRANT cairn_app TO cairn_test_owner WITH ADMIN TRUE, INHERIT FALSE, SET FALSE';
    END IF;
END $$";

#[sqlx::test(migrations = false)]
async fn an_owner_who_is_no_superuser_migrates_and_the_log_keeps_its_rules(pool: PgPool) {
    let database = "cairn_test_owned";
    // Roles of an earlier run may be there: roles are the whole cluster's.
    for statement in [
        "DROP DATABASE IF EXISTS cairn_test_owned",
        "DROP ROLE IF EXISTS cairn_test_owner",
        "DO $$ BEGIN CREATE ROLE cairn_app; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
        "CREATE ROLE cairn_test_owner LOGIN CREATEROLE",
        AS_ITS_MAKER,
        "CREATE DATABASE cairn_test_owned OWNER cairn_test_owner",
    ] {
        pool.execute(statement).await.unwrap();
    }
    let options = (*pool.connect_options()).clone().database(database).username("cairn_test_owner");
    let mut owner = PgConnection::connect_with(&options).await.unwrap();
    MIGRATOR.run(&mut owner).await.unwrap();
    let log = EventLog::connect(options, 4).await.unwrap();
    let paid = request("a", 0, vec![booked(common::top_up("1", 5))]);
    let answer = log.append(paid).await.unwrap();
    assert!(matches!(answer, Appended::Done { position: 1, .. }), "{answer:?}");
    let overdrawn = request("a", 1, vec![booked(common::usage("2", 6))]);
    let answer = log.append(overdrawn).await;
    let no_overdraft = "ledger_balances_no_overdraft";
    assert!(
        matches!(&answer, Err(LogError::Rejected { constraint, .. }) if constraint == no_overdraft),
        "{answer:?}"
    );
    let mut legless = common::top_up("3", 5);
    legless.journal.as_mut().unwrap().postings.clear();
    let answer = log.append(request("a", 1, vec![booked(legless)])).await;
    assert!(matches!(answer, Err(LogError::Rejected { .. })), "checked at the commit: {answer:?}");
    for change in [
        "UPDATE events SET position = 2",
        "DELETE FROM commands",
        "UPDATE log_head SET position = 0",
    ] {
        let refusal = owner.execute(change).await.unwrap_err();
        let code = refusal.as_database_error().and_then(|it| it.code()).unwrap().into_owned();
        assert_eq!(code, "23001", "the triggers bite the owner: {change}");
    }
    log.append(request("a", 1, vec![event("after all that")])).await.unwrap();
    log.close().await;
    MIGRATOR.undo(&mut owner, 0).await.unwrap();
    owner.close().await.unwrap();
    pool.execute("DROP DATABASE cairn_test_owned").await.unwrap();
    pool.execute("DROP ROLE cairn_test_owner").await.unwrap();
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn a_role_that_may_more_than_it_needs_is_named(pool: PgPool) {
    let log = EventLog::connect((*pool.connect_options()).clone(), 2).await.unwrap();
    let sound = Rights::of(log.pool()).await.unwrap();
    assert_eq!(sound.excess, [""; 0]);
    assert!(sound.login_is_owner, "the tests log in as who migrated: {sound:?}");
    for (change, back, excess) in [
        (
            "CREATE TABLE forgotten (organisation_id text)",
            "DROP TABLE forgotten",
            "the rows of forgotten are not guarded",
        ),
        (
            "ALTER TABLE compute_allocations NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE compute_allocations FORCE ROW LEVEL SECURITY",
            "the rows of compute_allocations are not guarded",
        ),
        (
            "ALTER TABLE identity_sessions DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE identity_sessions ENABLE ROW LEVEL SECURITY",
            "the rows of identity_sessions are not guarded",
        ),
        (
            "ALTER TABLE edge_tickets OWNER TO cairn_app",
            "ALTER TABLE edge_tickets OWNER TO CURRENT_USER",
            "the role cairn_app owns 1 tables",
        ),
        (
            "GRANT UPDATE ON identity_members TO cairn_tenant",
            "REVOKE UPDATE ON identity_members FROM cairn_tenant",
            "the role cairn_tenant may write 1 tables",
        ),
    ] {
        pool.execute(change).await.unwrap();
        assert_eq!(Rights::of(log.pool()).await.unwrap().excess, [excess]);
        pool.execute(back).await.unwrap();
    }
    assert_eq!(Rights::of(log.pool()).await.unwrap().excess, [""; 0]);
    let as_owner = Rights::of(&pool).await.unwrap();
    assert!(as_owner.excess.iter().any(|what| what.ends_with("is a superuser")), "{as_owner:?}");
    log.close().await;
}

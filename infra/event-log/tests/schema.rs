//! The migrations go up, down and up again, and many databases of one cluster may do so at once.
#![allow(clippy::unwrap_used, reason = "a test")]
use cairn_event_log::MIGRATOR;
use sqlx::PgPool;

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

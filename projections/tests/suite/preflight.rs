//! What does not decode is listed before a rebuild, and holds up its own key and nothing else, whatever part of it is broken.
use std::sync::{Arc, Mutex};

use cairn_ledger::wallet_id;
use cairn_projections::engine::{Preflight, Skip, Unreadable};
use cairn_projections::ledger::balances::{self, Balances};
use cairn_projections::operations::audit::Audit;
use cairn_projections::{EngineError, Projector, Rebuild};
use sqlx::{Executor as _, PgPool};

use crate::story::CURRENCY;
use crate::world::{World, organisation};

/// Wallets 1, 2 and 3, with two payments each: positions 1 to 6.
async fn paid(world: &World) {
    for owner in 1..4 {
        for number in 0..2 {
            world.top_up(organisation(owner), owner * 10 + number, 1).await;
        }
    }
    assert_eq!(world.log.head().await.unwrap(), 6);
}

/// As no append would write it: the owner of the table changes it past every trigger.
async fn damage(pool: &PgPool, position: i64, column: &str, value: &str) {
    let mut db = pool.acquire().await.unwrap();
    db.execute("ALTER TABLE events DISABLE TRIGGER ALL").await.unwrap();
    let change = format!("UPDATE events SET {column} = '{value}' WHERE position = {position}");
    let done = db.execute(change.as_str()).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "the damage must bite: {change}");
    db.execute("ALTER TABLE events ENABLE TRIGGER ALL").await.unwrap();
}

async fn parked(projector: &Projector, name: &str) -> Vec<(i64, bool)> {
    let parked = projector.parked(Some(name)).await.unwrap();
    parked.iter().map(|one| (one.position, one.error.is_some())).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn broken_metadata_or_version_parks_its_key_and_stalls_no_view(pool: PgPool) {
    let world = World::new(pool).await;
    paid(&world).await;
    for (position, column, value) in
        [(1, "metadata", r#"{"actor": 5}"#), (3, "metadata", "[]"), (5, "event_version", "one")]
    {
        damage(&world.pool, position, column, value).await;
        let read = world.log.read_types((0, 6), None).await.unwrap();
        let faulty = &read[usize::try_from(position).unwrap() - 1];
        assert!(faulty.fault.is_some() && faulty.check().is_err(), "the fault bit: {faulty:?}");
    }
    // Both read the whole log: one decodes each event, the other only asks who did it.
    let projector = world.caught_up(vec![Box::new(Balances), Box::new(Audit)]).await;
    let expected = [(1, true), (2, false), (3, true), (4, false), (5, true), (6, false)];
    assert_eq!(parked(&projector, balances::NAME).await, expected);
    assert_eq!(parked(&projector, "operations/audit").await, expected);
    let after = world.top_up(organisation(4), 40, 1).await;
    let projector = world.caught_up(vec![Box::new(Balances), Box::new(Audit)]).await;
    for status in projector.status().await.unwrap() {
        assert_eq!((status.position, status.parked_keys), (after, 3), "{}", status.name);
    }
    let key = format!("wallet/{}", wallet_id(organisation(1), CURRENCY));
    let again = projector.retry_parked(balances::NAME, &key).await;
    assert!(matches!(again, Err(EngineError::StillPoisonous { position: 1, .. })), "{again:?}");
    let mended = r#"{"actor": "a", "correlation_id": "b", "command_id": "c"}"#;
    damage(&world.pool, 1, "metadata", mended).await;
    assert_eq!(projector.retry_parked(balances::NAME, &key).await.unwrap(), 2);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rebuild_lists_what_does_not_decode_before_it_folds_anything(pool: PgPool) {
    let world = World::new(pool).await;
    paid(&world).await;
    damage(&world.pool, 2, "payload", r#"{"type": "wallet.topped_up", "amount_nanos": "much"}"#)
        .await;
    damage(&world.pool, 3, "metadata", "[]").await;
    let projector = world.caught_up(vec![Box::new(Balances)]).await;
    let told: Arc<Mutex<Vec<Preflight>>> = Arc::default();
    let (seen, heard) = (Arc::clone(&told), Arc::clone(&told));
    let options = Rebuild {
        preflight: Arc::new(move |found: &Preflight| seen.lock().unwrap().push(found.clone())),
        progress: Arc::new(move |_| assert_eq!(heard.lock().unwrap().len(), 1, "told before")),
        ..Rebuild::default()
    };
    let dry = Rebuild { dry_run: true, ..options.clone() };
    let tried = projector.rebuild(balances::NAME, &dry).await.unwrap();
    let key = |owner| format!("wallet/{}", wallet_id(organisation(owner), CURRENCY));
    let seen: Vec<_> = tried.preflight.events.iter().map(|one| (one.position, &one.key)).collect();
    assert_eq!(seen, [(2, &key(1)), (3, &key(2))]);
    let Unreadable { event_type, error, .. } = &tried.preflight.events[1];
    assert_eq!(event_type, "wallet.topped_up");
    assert!(error.contains("position 3") && error.contains("metadata"), "{error}");
    assert_eq!((tried.preflight.found, tried.parked), (2, 3), "with what waits behind them");
    let said: Vec<_> = told.lock().unwrap().drain(..).collect();
    assert!(said.len() == 1 && said[0] == tried.preflight, "{said:?}");

    let strict = Rebuild { strict: true, ..options.clone() };
    let stopped = projector.rebuild(balances::NAME, &strict).await;
    let unreadable = matches!(stopped, Err(EngineError::Unreadable { found: 2, position: 2, .. }));
    assert!(unreadable, "{stopped:?}");
    assert_eq!(told.lock().unwrap().drain(..).count(), 1, "said although it stopped");
    let rebuilt = projector.rebuild(balances::NAME, &options).await.unwrap();
    assert!(rebuilt.swapped && rebuilt.preflight == tried.preflight, "{rebuilt:?}");
    let told_again = told.lock().unwrap().drain(..).count();
    assert_eq!(told_again, 1);

    // What a person decided to go on without is known.
    let skip = |position| Skip { position, by: "eve".to_owned(), reason: "known".to_owned() };
    for position in [2, 3] {
        projector.skip_parked(balances::NAME, &skip(position)).await.unwrap();
    }
    let strict = Rebuild { strict: true, ..Rebuild::default() };
    let sound = projector.rebuild(balances::NAME, &strict).await.unwrap();
    assert_eq!((sound.preflight.found, sound.parked), (0, 0));
    world.close().await;
}

//! A rebuilt view is the live view, byte for byte, and readers never notice.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use cairn_core::{Decider, HoldId, OrganisationId, Timestamp, chart};
use cairn_ledger::{CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id};
use cairn_projections::ledger::{balances, statement};
use cairn_projections::{EngineError, Rebuild, all};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::story::{CURRENCY, UNIT, payment};
use crate::world::{PATIENCE, Running, World, organisation};

#[sqlx::test(migrations = "../migrations")]
async fn live_is_rebuilt_is_rebuilt_with_other_batches(pool: PgPool) {
    let world = World::new(pool).await;
    let head = world.everything().await;
    let projector = world.caught_up(all()).await;
    for name in projector.names() {
        let live = projector.digest(name).await.unwrap();
        assert_eq!(live.position, head);
        assert!(live.rows > 0, "{name} shows nothing of the story");
        let verified = projector.verify(name).await.unwrap();
        assert!(verified.identical, "{verified:?}");
        for batch in [1, 2, 13, 1_000] {
            let options = Rebuild { batch, ..Rebuild::default() };
            let rebuilt = projector.rebuild(name, &options).await.unwrap();
            assert_eq!((rebuilt.position, rebuilt.rows), (head, live.rows));
            assert_eq!(projector.digest(name).await.unwrap(), live, "{name} by {batch}");
        }
    }
    assert_eq!(projector.parked(None).await.unwrap(), []);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn verify_finds_every_row_that_was_tampered_with(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    let sound = projector.digest(statement::NAME).await.unwrap();
    for tampering in [
        "UPDATE ledger_statement_lines SET amount_nanos = amount_nanos + 1
         WHERE position = (SELECT max(position) FROM ledger_statement_lines)",
        "DELETE FROM ledger_statement_lines
         WHERE position = (SELECT min(position) FROM ledger_statement_lines)",
        "INSERT INTO ledger_statement_lines
         SELECT 100000, organisation_id, currency, kind, amount_nanos, owed_nanos, balance_nanos,
           reference, seconds, occurred_at FROM ledger_statement_lines LIMIT 1",
    ] {
        sqlx::query(tampering).execute(&world.pool).await.unwrap();
    }
    let verified = projector.verify(statement::NAME).await.unwrap();
    assert!(!verified.identical);
    assert_eq!(verified.tables[0].differing, 3);
    assert_eq!(verified.tables[0].examples.len(), 3);
    assert_ne!(projector.digest(statement::NAME).await.unwrap().sha256, sound.sha256);
    projector.rebuild(statement::NAME, &Rebuild::default()).await.unwrap();
    assert_eq!(projector.digest(statement::NAME).await.unwrap(), sound);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn readers_see_whole_views_that_only_grow_while_one_is_rebuilt_and_followed(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..100 {
        world.top_up(organisation(1), number, 1).await;
    }
    let projector = world.caught_up(all()).await;
    let running = Running::start(&projector);
    let done = AtomicBool::new(false);
    let writes = async {
        for number in 100..200 {
            world.top_up(organisation(1), number, 1).await;
        }
    };
    let rebuilds = async {
        for batch in [1, 5, 25, 125, 1_000] {
            let options = Rebuild { batch, ..Rebuild::default() };
            projector.rebuild(balances::NAME, &options).await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    };
    let reads = async {
        let (mut last, mut last_position, mut count) = (0, 0, 0);
        while !done.load(Ordering::Relaxed) {
            let position = projector.position(balances::NAME).await.unwrap();
            let row = balances::get(&world.pool, organisation(1), CURRENCY).await.unwrap();
            let posted = row.expect("the wallet is never missing").posted_nanos;
            assert!(posted >= last && position >= last_position, "a read went back");
            (last, last_position, count) = (posted, position, count + 1);
        }
        assert!(count > 10, "only {count} reads met the rebuilds");
    };
    tokio::join!(writes, rebuilds, reads);
    projector.wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
    running.stop().await;
    for name in [balances::NAME, statement::NAME] {
        assert!(projector.verify(name).await.unwrap().identical);
    }
    let row = balances::get(&world.pool, organisation(1), CURRENCY).await.unwrap().unwrap();
    assert_eq!(row.posted_nanos, 200 * UNIT);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_cancelled_rebuild_changes_nothing_and_tells_how_far_it_was(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    let before = projector.digest(statement::NAME).await.unwrap();
    sqlx::query("UPDATE ledger_statement_lines SET kind = 'odd'")
        .execute(&world.pool)
        .await
        .unwrap();
    let odd = projector.digest(statement::NAME).await.unwrap();
    let (token, seen) = (CancellationToken::new(), Arc::new(AtomicI64::new(0)));
    let (stop, told) = (token.clone(), Arc::clone(&seen));
    let progress = Arc::new(move |progress: cairn_projections::RebuildProgress| {
        told.store(progress.position, Ordering::Relaxed);
        if progress.position >= 10 {
            stop.cancel();
        }
    });
    let options = Rebuild { batch: 5, token, progress, ..Rebuild::default() };
    let cancelled = projector.rebuild(statement::NAME, &options).await;
    assert!(matches!(cancelled, Err(EngineError::Cancelled)), "{cancelled:?}");
    assert_eq!(seen.load(Ordering::Relaxed), 10);
    assert_eq!(projector.digest(statement::NAME).await.unwrap(), odd);
    projector.rebuild(statement::NAME, &Rebuild::default()).await.unwrap();
    assert_eq!(projector.digest(statement::NAME).await.unwrap(), before);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn rows_of_an_older_version_are_rebuilt_before_new_events_are_folded(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    let before = projector.digest(statement::NAME).await.unwrap();
    sqlx::query("UPDATE ledger_statement_lines SET kind = 'old'")
        .execute(&world.pool)
        .await
        .unwrap();
    let set = "UPDATE projection_checkpoints SET version = $1 WHERE name = 'ledger/statement'";
    sqlx::query(set).bind(0_i32).execute(&world.pool).await.unwrap_err();
    // Versions begin at 1, so an older one than the code's is made by letting the check go.
    for room in ["public", "view_kept"] {
        let unchecked = format!(
            "ALTER TABLE {room}.projection_checkpoints
             DROP CONSTRAINT projection_checkpoints_version_check"
        );
        sqlx::query(&unchecked).execute(&world.pool).await.unwrap();
    }
    sqlx::query(set).bind(0_i32).execute(&world.pool).await.unwrap();
    world.top_up(organisation(1), 999, 1).await;
    let projector = world.caught_up(all()).await;
    crate::world::until(async || projector.verify(statement::NAME).await.unwrap().identical).await;
    let after = projector.digest(statement::NAME).await.unwrap();
    assert_eq!(after.rows, before.rows + 1);
    sqlx::query(set).bind(9_i32).execute(&world.pool).await.unwrap();
    let newer = projector.rebuild(statement::NAME, &Rebuild::default()).await;
    assert!(matches!(newer, Err(EngineError::Newer { stored: 9, .. })), "{newer:?}");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rebuild_killed_at_any_moment_leaves_the_view_whole(pool: PgPool) {
    let world = World::new(pool).await;
    world.everything().await;
    let projector = world.caught_up(all()).await;
    let before = projector.digest(balances::NAME).await.unwrap();
    let mut killed = 0;
    for micros in (0..60).map(|step| 500 + step * 1_500) {
        let options = Rebuild { batch: 2, ..Rebuild::default() };
        let rebuild = projector.rebuild(balances::NAME, &options);
        let limit = std::time::Duration::from_micros(micros);
        if tokio::time::timeout(limit, rebuild).await.is_err() {
            killed += 1;
        }
        assert_eq!(projector.digest(balances::NAME).await.unwrap(), before);
    }
    assert!(killed > 5, "only {killed} rebuilds were killed");
    // The lock of a killed rebuild goes with its connection.
    crate::world::until(async || {
        projector.rebuild(balances::NAME, &Rebuild::default()).await.is_ok()
    })
    .await;
    world.close().await;
}

/// One step of a small generator: the same seed makes the same history.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

fn random_command(state: &mut u64, owner: OrganisationId, at: Timestamp) -> WalletCommand {
    let hold_id = HoldId::from_bits(u128::from(random(state, 40)) * 4 + owner.bits());
    let amount_nanos = i64::try_from(random(state, 9) + 1).unwrap() * UNIT;
    match random(state, 6) {
        0 | 1 => WalletCommand::TopUp(TopUp {
            organisation_id: owner,
            currency: CURRENCY,
            payment_id: payment(at.as_micros().unsigned_abs().into()),
            amount_nanos,
            charge_id: format!("ch_{at}"),
            at,
        }),
        2 => WalletCommand::PlaceHold(PlaceHold {
            hold_id,
            purpose: hold_id.to_string(),
            project_id: None,
            amount_nanos,
            expires_at: at.plus_secs(i64::try_from(random(state, 100)).unwrap()),
            at,
        }),
        3 | 4 => WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: amount_nanos * 2 + 7,
            seconds: 9,
            product: "compute".to_owned(),
            tax: None,
            keep_nanos: UNIT,
            expires_at: at.plus_secs(50),
            at,
        }),
        _ => WalletCommand::ReleaseHold { hold_id, at },
    }
}

/// The view, the books and the aggregate's own memory say the same of a wallet.
async fn agrees(world: &World, owner: OrganisationId) {
    let id = wallet_id(owner, CURRENCY);
    let history = world.log.load("wallet", &id, 0).await.unwrap();
    let wallet = Wallet::fold(history.iter().map(|event| event.decode().unwrap()));
    let remembered = (wallet.posted_nanos, wallet.held_nanos);
    let row = balances::get(&world.pool, owner, CURRENCY).await.unwrap().unwrap();
    assert_eq!(row.held_nanos + row.available_nanos, wallet.posted_nanos);
    // The row itself counts a hold until it is swept, as the aggregate does.
    let kept = "SELECT posted_nanos, held_nanos FROM ledger_wallets WHERE organisation_id = $1";
    let kept: (i64, i64) =
        sqlx::query_as(kept).bind(owner.to_string()).fetch_one(&world.pool).await.unwrap();
    assert_eq!(kept, remembered);
    let last = statement::list(&world.pool, owner, None, None, 1).await.unwrap();
    assert_eq!(last.items[0].balance_nanos, wallet.posted_nanos);
    let guarded = "SELECT posted_nanos, held_nanos FROM ledger_balances WHERE account = $1";
    let guarded: (i64, i64) = sqlx::query_as(guarded)
        .bind(chart::wallet_paid(owner, CURRENCY))
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(guarded, remembered);
}

#[sqlx::test(migrations = "../migrations")]
async fn views_of_random_histories_agree_with_the_aggregates_and_with_the_books(pool: PgPool) {
    let world = World::new(pool).await;
    let seed = 0x5EED;
    let mut state = seed;
    let projector = world.projector(all()).with_batch(7);
    let running = Running::start(&projector);
    let mut refused = 0;
    for _ in 0..400 {
        let owner = organisation(u128::from(random(&mut state, 4)));
        let command = random_command(&mut state, owner, world.now());
        refused += i32::from(!world.try_run::<Wallet>(&wallet_id(owner, CURRENCY), command).await);
    }
    assert!((20..380).contains(&refused), "seed {seed}: {refused} of 400 refused");
    projector.wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
    running.stop().await;
    for owner in 0..4 {
        agrees(&world, organisation(owner)).await;
    }
    for name in [balances::NAME, statement::NAME] {
        let live = projector.digest(name).await.unwrap();
        for batch in [1, 11, 5_000] {
            let options = Rebuild { batch, ..Rebuild::default() };
            projector.rebuild(name, &options).await.unwrap();
            assert_eq!(projector.digest(name).await.unwrap(), live, "seed {seed}, batch {batch}");
        }
    }
    world.close().await;
}

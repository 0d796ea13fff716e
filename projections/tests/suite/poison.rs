//! An event that cannot be folded holds up its own key, in order, and nothing else.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cairn_core::chart;
use cairn_core::{JournalTransaction, Timestamp};
use cairn_event_log::{EventLog, NewEvent, Recorded};
use cairn_ledger::{WalletEvent, wallet_id};
use cairn_projections::engine::{Changes, Interest, Skip};
use cairn_projections::ledger::statement::{self, Statement};
use cairn_projections::{
    EngineError, Parked, ProjectError, Projection, Projector, Rebuild, all, row,
};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use crate::story::{CURRENCY, UNIT, payment};
use crate::world::{World, new_event, organisation};

/// A sound top-up, written past the aggregate.
fn topped_up(owner: u128, number: u128) -> NewEvent {
    let organisation_id = organisation(owner);
    let journal = JournalTransaction::transfer(
        ("top_up", "stripe", &format!("ch_{number}")),
        (CURRENCY, UNIT),
        (chart::stripe(CURRENCY), chart::wallet_paid(organisation_id, CURRENCY)),
        Timestamp::from_secs(1_700_000_000),
    );
    let event = WalletEvent::ToppedUp {
        organisation_id,
        currency: CURRENCY,
        payment_id: payment(number),
        amount_nanos: UNIT,
        journal,
    };
    NewEvent::try_new(&event, None).unwrap()
}

fn poison() -> NewEvent {
    new_event("wallet.topped_up", json!({"type": "wallet.topped_up", "amount_nanos": "much"}))
}

/// Wallet 1: good, bad, good, good. Wallet 2: good, good.
async fn poisoned(world: &World) -> i64 {
    let (bad, good) = (wallet_id(organisation(1), CURRENCY), wallet_id(organisation(2), CURRENCY));
    world.append("wallet", &bad, 0, vec![topped_up(1, 1), poison()]).await;
    world.append("wallet", &good, 0, vec![topped_up(2, 2)]).await;
    world.append("wallet", &bad, 2, vec![topped_up(1, 3), topped_up(1, 4)]).await;
    world.append("wallet", &good, 1, vec![topped_up(2, 5)]).await
}

async fn lines(world: &World, owner: u128) -> Vec<i64> {
    let page = statement::list(&world.pool, organisation(owner), None, None, 100).await.unwrap();
    page.items.iter().rev().map(|line| line.balance_nanos / UNIT).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn poison_parks_only_its_key(pool: PgPool) {
    let world = World::new(pool).await;
    let head = poisoned(&world).await;
    let projector = world.caught_up(vec![Box::new(Statement)]).await;
    assert_eq!(lines(&world, 1).await, [1]);
    assert_eq!(lines(&world, 2).await, [1, 2]);
    let parked = projector.parked(Some(statement::NAME)).await.unwrap();
    let seen: Vec<_> = parked.iter().map(|p| (p.position, p.error.is_some())).collect();
    assert_eq!(seen, [(2, true), (4, false), (5, false)]);
    let status = projector.status().await.unwrap().remove(0);
    assert_eq!((status.position, status.parked_keys, status.parked_events), (head, 1, 3));
    // Everything that follows on the same key waits as well, after a restart too.
    let key = wallet_id(organisation(1), CURRENCY);
    world.append("wallet", &key, 4, vec![topped_up(1, 6)]).await;
    let projector = world.caught_up(vec![Box::new(Statement)]).await;
    assert_eq!(lines(&world, 1).await, [1]);
    assert_eq!(projector.parked(None).await.unwrap().len(), 4);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn skipping_needs_a_reason_and_lasts(pool: PgPool) {
    let world = World::new(pool).await;
    poisoned(&world).await;
    let projector = world.caught_up(vec![Box::new(Statement)]).await;
    let key = format!("wallet/{}", wallet_id(organisation(1), CURRENCY));
    let again = projector.retry_parked(statement::NAME, &key).await;
    assert!(matches!(again, Err(EngineError::StillPoisonous { position: 2, .. })), "{again:?}");
    assert_eq!(projector.parked(None).await.unwrap().len(), 3, "a retry in vain changes nothing");
    let skip = |reason: &str| Skip { position: 2, by: "eve".to_owned(), reason: reason.to_owned() };
    let refused = projector.skip_parked(statement::NAME, &skip(" ")).await;
    assert!(matches!(refused, Err(EngineError::ReasonNeeded)));
    projector.skip_parked(statement::NAME, &skip("a bug of 1.2, corrected by hand")).await.unwrap();
    assert_eq!(projector.retry_parked(statement::NAME, &key).await.unwrap(), 2);
    assert_eq!(lines(&world, 1).await, [1, 2, 3]);
    let before = projector.digest(statement::NAME).await.unwrap();
    projector.rebuild(statement::NAME, &Rebuild::default()).await.unwrap();
    assert_eq!(projector.digest(statement::NAME).await.unwrap(), before);
    let parked = projector.parked(None).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].skipped_by.as_deref(), Some("eve"));
    let nothing = projector.retry_parked(statement::NAME, &key).await;
    assert!(matches!(nothing, Err(EngineError::NotParked { .. })));
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn one_bad_event_in_a_hundred_leaves_the_other_keys_whole(pool: PgPool) {
    let world = World::new(pool).await;
    for owner in 0..20_u128 {
        let id = wallet_id(organisation(owner), CURRENCY);
        let mut events: Vec<_> = (0..20).map(|n| topped_up(owner, owner * 100 + n)).collect();
        if owner % 5 == 0 {
            events[10] = poison();
        }
        world.append("wallet", &id, 0, events).await;
    }
    let projector = world.caught_up(all()).await;
    for owner in 0..20 {
        let expected = if owner % 5 == 0 { 10 } else { 20 };
        assert_eq!(lines(&world, owner).await.len(), expected);
    }
    let parked = projector.parked(Some(statement::NAME)).await.unwrap();
    assert_eq!(parked.len(), 4 * 10);
    assert_eq!(parked.iter().filter(|one| one.error.is_some()).count(), 4);
    let live = projector.digest(statement::NAME).await.unwrap();
    for batch in [1, 7, 400] {
        let options = Rebuild { batch, ..Rebuild::default() };
        assert_eq!(projector.rebuild(statement::NAME, &options).await.unwrap().parked, 40);
        assert_eq!(projector.digest(statement::NAME).await.unwrap(), live);
    }
    world.close().await;
}

/// Fails a number of times at one position, then folds as it should.
struct Faulty {
    left: Arc<AtomicU32>,
    panics: bool,
}

#[async_trait]
impl Projection for Faulty {
    fn name(&self) -> &'static str {
        statement::NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        Statement.tables()
    }

    fn interest(&self) -> Interest {
        Statement.interest()
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let failing = |left: u32| left.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        if event.position == 2 && self.left.fetch_update(relaxed, relaxed, failing).is_ok() {
            assert!(!self.panics, "a bug");
            return Err(ProjectError::Inconsistent("not yet".to_owned()));
        }
        Statement.project(event, changes).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_passes_on_the_second_try_is_not_parked(pool: PgPool) {
    let world = World::new(pool).await;
    let id = wallet_id(organisation(1), CURRENCY);
    let events = (0..5).map(|number| topped_up(1, number)).collect();
    world.append("wallet", &id, 0, events).await;
    let left = Arc::new(AtomicU32::new(2));
    let faulty = Faulty { left: Arc::clone(&left), panics: false };
    let projector = world.caught_up(vec![Box::new(faulty)]).await;
    assert_eq!(left.load(Ordering::Relaxed), 0, "the fault bit twice");
    assert_eq!(projector.parked(None).await.unwrap(), []);
    assert_eq!(lines(&world, 1).await, [1, 2, 3, 4, 5]);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_panic_parks_the_event_and_a_retry_folds_it_once_the_bug_is_gone(pool: PgPool) {
    let world = World::new(pool).await;
    let id = wallet_id(organisation(1), CURRENCY);
    let events = (0..5).map(|number| topped_up(1, number)).collect();
    world.append("wallet", &id, 0, events).await;
    let faulty = Faulty { left: Arc::new(AtomicU32::new(4)), panics: true };
    let projector = world.caught_up(vec![Box::new(faulty)]).await;
    let parked = projector.parked(None).await.unwrap();
    assert_eq!(parked.len(), 4);
    assert!(parked[0].error.as_ref().unwrap().contains("a bug"));
    let folded = projector.retry_parked(statement::NAME, &parked[0].key).await.unwrap();
    assert_eq!(folded, 4);
    assert_eq!(lines(&world, 1).await, [1, 2, 3, 4, 5]);
    assert!(projector.verify(statement::NAME).await.unwrap().identical);
    world.close().await;
}

row! {
    /// A line of the statement.
    struct Line in "ledger_statement_lines" by (position: i64) {
        position: i64,
        organisation_id: String,
        currency: String,
        kind: String,
        amount_nanos: i64,
        owed_nanos: i64,
        balance_nanos: i64,
        reference: String,
        occurred_at: cairn_projections::At,
    }
}

/// Says of one event a line whose entry no index has room for.
struct TooLarge;

/// Text that does not get smaller when it is compressed.
fn noise(length: usize) -> String {
    let mut state = 20_261_127_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        char::from_u32(0x4E00 + u32::try_from(state >> 51).unwrap()).unwrap()
    };
    (0..length).map(|_| next()).collect()
}

#[async_trait]
impl Projection for TooLarge {
    fn name(&self) -> &'static str {
        statement::NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        Statement.tables()
    }

    fn interest(&self) -> Interest {
        Statement.interest()
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        if event.position == 2 {
            let line = Line { position: 2, organisation_id: noise(4_000), ..Line::default() };
            changes.insert(line);
            return Ok(());
        }
        Statement.project(event, changes).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_database_has_no_room_for_is_parked(pool: PgPool) {
    let world = World::new(pool).await;
    let id = wallet_id(organisation(1), CURRENCY);
    world.append("wallet", &id, 0, (0..3).map(|number| topped_up(1, number)).collect()).await;
    let projector = world.caught_up(vec![Box::new(TooLarge)]).await;
    let refused = |parked: Vec<Parked>| {
        assert_eq!(parked.iter().map(|p| p.position).collect::<Vec<_>>(), [2, 3]);
        let why = parked[0].error.as_ref().unwrap();
        assert!(why.contains("index row") && parked[1].error.is_none(), "{parked:?}");
    };
    refused(projector.parked(None).await.unwrap());
    assert_eq!(lines(&world, 1).await, [1]);
    // A rebuild, which writes many rows at once, finds the same.
    let rebuilt = projector.rebuild(statement::NAME, &Rebuild::default()).await.unwrap();
    assert_eq!((rebuilt.parked, rebuilt.rows, rebuilt.differing), (2, 1, 0));
    refused(projector.parked(None).await.unwrap());
    world.close().await;
}

/// Skips an event of the statement from outside, as a command of the command line does.
fn skip_beside(options: PgConnectOptions) {
    let work = async {
        let log = EventLog::connect(options, 2).await.unwrap();
        let projector = Projector::new(log.clone(), vec![Box::new(Statement)]);
        let skip = Skip { position: 2, by: "eve".to_owned(), reason: "a bug of 1.2".to_owned() };
        projector.skip_parked(statement::NAME, &skip).await.unwrap();
        log.close().await;
    };
    let beside = || tokio::runtime::Runtime::new().unwrap().block_on(work);
    std::thread::scope(|scope| scope.spawn(beside).join().unwrap());
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_skipped_while_a_view_is_rebuilt_stays_skipped(pool: PgPool) {
    let options = (*pool.connect_options()).clone();
    let world = World::new(pool).await;
    poisoned(&world).await;
    let projector = world.caught_up(vec![Box::new(Statement)]).await;
    let skipped = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&skipped);
    let progress = Arc::new(move |at: cairn_projections::RebuildProgress| {
        if at.position >= 2 && told.fetch_add(1, Ordering::Relaxed) == 0 {
            skip_beside(options.clone());
        }
    });
    let rebuild = Rebuild { batch: 1, progress, ..Rebuild::default() };
    let rebuilt = projector.rebuild(statement::NAME, &rebuild).await.unwrap();
    assert!(skipped.load(Ordering::Relaxed) > 0, "nobody skipped");
    assert_eq!(rebuilt.parked, 2, "those that waited behind it");
    let parked = projector.parked(None).await.unwrap();
    let seen: Vec<_> = parked.iter().map(|p| (p.position, p.skipped_by.as_deref())).collect();
    assert_eq!(seen, [(2, Some("eve")), (4, None), (5, None)]);
    let key = format!("wallet/{}", wallet_id(organisation(1), CURRENCY));
    assert_eq!(projector.retry_parked(statement::NAME, &key).await.unwrap(), 2);
    assert_eq!(lines(&world, 1).await, [1, 2, 3]);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_skip_waits_for_the_swap_of_a_rebuild(pool: PgPool) {
    let world = World::new(pool).await;
    poisoned(&world).await;
    let projector = world.caught_up(vec![Box::new(Statement)]).await;
    let mut swap = world.pool.begin().await.unwrap();
    let lock = "SELECT 1 FROM projection_checkpoints WHERE name = $1 FOR UPDATE";
    sqlx::query(lock).bind(statement::NAME).execute(&mut *swap).await.unwrap();
    let skip = Skip { position: 2, by: "eve".to_owned(), reason: "a bug".to_owned() };
    let mut skipping = Box::pin(projector.skip_parked(statement::NAME, &skip));
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        tokio::select! {
            biased;
            skipped = &mut skipping => panic!("it did not wait: {skipped:?}"),
            waiting = sqlx::query_scalar::<_, i64>(waiting).fetch_one(&world.pool) => {
                if waiting.unwrap() > 0 {
                    break;
                }
            }
        }
    }
    swap.rollback().await.unwrap();
    skipping.await.unwrap();
    world.close().await;
}

//! Views that are folded anew together share one reading of the log and nothing else.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_event_log::Recorded;
use cairn_ledger::{WalletEvent, wallet_id};
use cairn_projections::engine::{Changes, Interest, Preflight};
use cairn_projections::ledger::balances::{self, Balances};
use cairn_projections::ledger::statement::{self, Statement};
use cairn_projections::{EngineError, ProjectError, Projection, Rebuild, RebuildProgress, all};
use futures::FutureExt as _;
use sqlx::{Executor as _, PgPool};
use tokio_util::sync::CancellationToken;

use crate::story::CURRENCY;
use crate::world::{World, new_event, organisation};

/// Where each event lies in memory, by its position.
type Seen = Arc<Mutex<BTreeMap<i64, usize>>>;

/// Folds as another does, and notes where its events lie.
struct Noting<P>(P, Seen);

#[async_trait]
impl<P: Projection> Projection for Noting<P> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn tables(&self) -> &'static [&'static str] {
        self.0.tables()
    }

    fn interest(&self) -> Interest {
        self.0.interest()
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let decoded = Arc::as_ptr(&event.decoded::<WalletEvent>()?).cast::<()>() as usize;
        self.1.lock().unwrap().insert(event.position, decoded);
        self.0.project(event, changes).await
    }
}

fn named(names: &[&str], options: &Rebuild) -> Vec<(String, Rebuild)> {
    names.iter().map(|&name| (name.to_owned(), options.clone())).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn every_view_is_handed_the_same_decoded_event(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..20 {
        world.top_up(organisation(number % 3), number, 1).await;
    }
    let seen: [Seen; 2] = Default::default();
    let projector = world
        .caught_up(vec![
            Box::new(Noting(Balances, Arc::clone(&seen[0]))),
            Box::new(Noting(Statement, Arc::clone(&seen[1]))),
        ])
        .await;
    seen.iter().for_each(|seen| seen.lock().unwrap().clear());
    let views = named(&[balances::NAME, statement::NAME], &Rebuild::default());
    for rebuilt in projector.rebuild_all(views).await {
        assert_eq!(rebuilt.unwrap().differing, 0);
    }
    let [one, other] = seen.map(|seen| seen.lock().unwrap().clone());
    assert_eq!(one.len(), 20);
    assert_eq!(one, other, "an event was decoded more than once");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn all_views_together_come_to_the_rows_of_each_alone(pool: PgPool) {
    let world = World::new(pool).await;
    let head = world.everything().await;
    let projector = world.caught_up(all()).await;
    let names = projector.names();
    let mut live = vec![];
    for name in &names {
        live.push(projector.digest(name).await.unwrap());
    }
    for (workers, batch, rows_max) in [(1, 1_000_000, 50_000), (3, 7, 2)] {
        let options = Rebuild { workers, batch, rows_max, ..Rebuild::default() };
        let done = projector.rebuild_all(named(&names, &options)).await;
        for ((name, live), rebuilt) in names.iter().zip(&live).zip(done) {
            let rebuilt = rebuilt.unwrap();
            assert_eq!((rebuilt.name.as_str(), rebuilt.position), (*name, head));
            assert_eq!(&projector.digest(name).await.unwrap(), live, "{name} by {batch}");
        }
    }
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_view_that_fails_holds_up_no_other_and_one_that_was_stopped_goes_on(pool: PgPool) {
    let world = World::new(pool).await;
    for number in 0..30 {
        world.top_up(organisation(number % 3), number, 1).await;
    }
    let projector = world.caught_up(all()).await;
    let (token, reached) = (CancellationToken::new(), Arc::new(AtomicI64::new(0)));
    let (stop, told) = (token.clone(), Arc::clone(&reached));
    let progress = Arc::new(move |at: RebuildProgress| {
        told.store(at.position, Ordering::Relaxed);
        if at.position >= 10 {
            stop.cancel();
        }
    });
    let mut views = named(&["ledger/none", balances::NAME, statement::NAME], &Rebuild::default());
    views[2].1 = Rebuild { batch: 5, token, progress, ..Rebuild::default() };
    let done = projector.rebuild_all(views).await;
    assert!(matches!(&done[0], Err(EngineError::Unknown(name)) if name == "ledger/none"));
    assert_eq!(done[1].as_ref().unwrap().position, 30);
    assert!(matches!(&done[2], Err(EngineError::Cancelled)), "{done:?}");
    assert_eq!(reached.load(Ordering::Relaxed), 10);
    // Beside one from the beginning, it goes on where it was.
    let views = named(&[statement::NAME, balances::NAME], &Rebuild::default());
    let done = projector.rebuild_all(views).await;
    let resumed: Vec<_> = done.into_iter().map(|done| done.unwrap().resumed_from).collect();
    assert_eq!(resumed, [Some(10), None]);
    for name in [balances::NAME, statement::NAME] {
        assert!(projector.verify(name).await.unwrap().identical);
    }
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn all_that_does_not_decode_is_told_before_the_first_of_it_is_folded(pool: PgPool) {
    let world = World::new(pool).await;
    let broken = serde_json::json!({ "type": "wallet.topped_up", "amount_nanos": "much" });
    for owner in 1..4_u128 {
        world.top_up(organisation(owner), owner, 1).await;
    }
    for owner in 1..4_u128 {
        let id = wallet_id(organisation(owner), CURRENCY);
        let event = new_event("wallet.topped_up", broken.clone());
        assert_eq!(
            world.append("wallet", &id, 1, vec![event]).await,
            3 + i64::try_from(owner).unwrap()
        );
    }
    let projector = world.caught_up(all()).await;
    let (folded, said) = (Arc::new(AtomicI64::new(0)), Arc::new(Mutex::new(vec![])));
    let (at, heard) = (Arc::clone(&folded), Arc::clone(&said));
    let options = Rebuild {
        batch: 1,
        progress: Arc::new(move |progress| folded.store(progress.position, Ordering::Relaxed)),
        preflight: Arc::new(move |found: &Preflight| {
            let events = found.events.iter();
            let listed: Vec<_> = events.map(|one| (one.projection.clone(), one.position)).collect();
            heard.lock().unwrap().push((at.load(Ordering::Relaxed), found.found, listed));
        }),
        ..Rebuild::default()
    };
    let mut views = named(&[balances::NAME], &options);
    views.extend(named(&["compute/allocations"], &Rebuild::default()));
    let done = projector.rebuild_all(views).await;
    let said = said.lock().unwrap().clone();
    let name = || balances::NAME.to_owned();
    let listed = vec![(name(), 4), (name(), 5), (name(), 6)];
    assert!(said.len() == 1 && said[0].0 < 4, "told before: {said:?}");
    assert_eq!((said[0].1, &said[0].2), (3, &listed));
    assert_eq!((done[0].as_ref().unwrap().parked, done[1].as_ref().unwrap().parked), (3, 0));
    assert_eq!(done[1].as_ref().unwrap().preflight, Preflight::default(), "it reads no top-ups");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_reader_of_stretches_reads_what_a_query_reads_even_after_it_was_cut_short(pool: PgPool) {
    let world = World::new(pool.clone()).await;
    let head = world.everything().await;
    let mut reader = world.log.reader();
    let some = ["wallet.topped_up".to_owned(), "it's none".to_owned()];
    for range in [(0, head), (3, 9), (head, head + 5)] {
        for types in [None, Some(&some[..])] {
            let read = world.log.read_types(range, types).await.unwrap();
            assert_eq!(reader.read(range, types).await.unwrap(), read);
            // Asked and not heard, as a lock holds the server back: the next answer is its own.
            let mut held = pool.begin().await.unwrap();
            held.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").await.unwrap();
            let cut = reader.read((0, head), None).now_or_never().is_none();
            held.rollback().await.unwrap();
            assert!(cut, "it was not cut short");
        }
    }
    world.close().await;
}

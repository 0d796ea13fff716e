//! A live view held against another one: which rows differ, and which event made each of them.
use std::sync::Arc;

use async_trait::async_trait;
use cairn_core::{JournalTransaction, Timestamp, chart};
use cairn_event_log::{NewEvent, Recorded};
use cairn_ledger::{WalletEvent, wallet_id};
use cairn_projections::engine::{Against, Changes, DifferentRow, Interest, Kind, ViewDiff};
use cairn_projections::ledger::balances::{self, Balances};
use cairn_projections::{EngineError, ProjectError, Projection, Projector, Rebuild};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::story::{CURRENCY, UNIT, payment};
use crate::world::{World, organisation};

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

/// One unit for each event, in this order of wallets: 1, 2, 1, 1, 3.
async fn paid(world: &World) -> i64 {
    for (owner, known) in [(1, 0_i64), (2, 0), (1, 1), (1, 2), (3, 0)] {
        let id = wallet_id(organisation(owner), CURRENCY);
        let number = owner * 100 + u128::from(known.unsigned_abs());
        world.append("wallet", &id, known, vec![topped_up(owner, number)]).await;
    }
    world.log.head().await.unwrap()
}

/// Code of another version, which does not see what is recorded from some position on.
struct Other {
    version: i32,
    blind_from: i64,
}

#[async_trait]
impl Projection for Other {
    fn name(&self) -> &'static str {
        balances::NAME
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn tables(&self) -> &'static [&'static str] {
        Balances.tables()
    }

    fn interest(&self) -> Interest {
        Balances.interest()
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        if event.position >= self.blind_from {
            return Ok(());
        }
        Balances.project(event, changes).await
    }
}

async fn diff(projector: &Projector, against: Against) -> ViewDiff {
    projector.compare(balances::NAME, against, 100).await.unwrap()
}

/// Whose wallet it is, how it differs, by which event, and whether the sides were seen to part there.
fn told(rows: &[DifferentRow]) -> Vec<(u128, Kind, Option<i64>, bool)> {
    let owner = |row: &DifferentRow| {
        (1..4).find(|&owner| row.key.starts_with(&organisation(owner).to_string())).unwrap()
    };
    let by = |row: &DifferentRow| row.by.as_ref().map(|event| event.position);
    rows.iter().map(|row| (owner(row), row.change, by(row), row.parted)).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn what_came_after_a_position_is_named_by_the_first_event_that_did_it(pool: PgPool) {
    let world = World::new(pool).await;
    let head = paid(&world).await;
    let projector = world.caught_up(vec![Box::new(Balances)]).await;
    let same = diff(&projector, Against::Position(head)).await;
    assert_eq!((same.differing, same.rows.len()), (0, 0));
    assert_eq!((same.live.position, same.against.rows), (head, "folded"));
    let then = diff(&projector, Against::Position(2)).await;
    assert_eq!((then.differing, then.live.rows, then.against.position), (2, "live", 2));
    let expected = [(1, Kind::Changed, Some(3), true), (3, Kind::Added, Some(5), true)];
    assert_eq!(told(&then.rows), expected);
    let column = &then.rows[0].columns[0];
    assert_eq!((then.rows[0].columns.len(), column.column.as_str()), (1, "posted_nanos"));
    assert_eq!((&column.before, &column.after), (&UNIT.into(), &(3 * UNIT).into()));
    assert_eq!(then.rows[0].by.as_ref().unwrap().actor, "tester");
    let few = projector.compare(balances::NAME, Against::Position(0), 1).await.unwrap();
    assert_eq!((few.differing, few.rows.len()), (3, 1), "all are counted, some described");
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn rows_of_older_code_differ_from_the_event_on_that_it_folded_otherwise(pool: PgPool) {
    let world = World::new(pool).await;
    let head = paid(&world).await;
    world.caught_up(vec![Box::new(Other { version: 1, blind_from: 4 })]).await;
    let today = Other { version: 2, blind_from: i64::MAX };
    let projector = world.projector(vec![Box::new(today)]);
    let upgrade = diff(&projector, Against::Position(head)).await;
    assert_eq!((upgrade.live.version, upgrade.against.version), (1, 2));
    let expected = [(1, Kind::Changed, Some(4), true), (3, Kind::Removed, Some(5), true)];
    assert_eq!(told(&upgrade.rows), expected);
    let earlier = diff(&projector, Against::Position(1)).await;
    let expected = [(1, Kind::Changed, Some(3), true), (2, Kind::Added, Some(2), true)];
    assert_eq!(told(&earlier.rows), expected, "the blind rows are as they were before 4");
    // The rebuild keeps the old rows, and they are found by what they are called and by their version.
    projector.rebuild(balances::NAME, &Rebuild::default()).await.unwrap();
    let kept = diff(&projector, Against::Kept).await;
    assert_eq!((kept.against.rows, kept.against.version), ("kept", 1));
    let expected = [(1, Kind::Changed, Some(4), true), (3, Kind::Added, Some(5), true)];
    assert_eq!(told(&kept.rows), expected);
    assert_eq!(diff(&projector, Against::Version(1)).await, kept);
    let none = projector.compare(balances::NAME, Against::Version(7), 100).await;
    assert!(matches!(none, Err(EngineError::NoGeneration { .. })), "{none:?}");
    let said = none.unwrap_err().to_string();
    assert!(
        said.ends_with(&format!("it has: kept rows of version 1 at position {head}")),
        "{said}"
    );
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_stopped_rebuild_left_is_held_against_the_live_rows(pool: PgPool) {
    let world = World::new(pool).await;
    let head = paid(&world).await;
    let projector = world.caught_up(vec![Box::new(Balances)]).await;
    let none = projector.compare(balances::NAME, Against::Building, 100).await;
    assert!(matches!(none, Err(EngineError::NoGeneration { .. })), "{none:?}");
    let token = CancellationToken::new();
    let stop = token.clone();
    let progress = Arc::new(move |_| stop.cancel());
    let options = Rebuild { batch: 2, token, progress, ..Rebuild::default() };
    let stopped = projector.rebuild(balances::NAME, &options).await;
    assert!(matches!(stopped, Err(EngineError::Cancelled)), "{stopped:?}");
    let found = diff(&projector, Against::Building).await;
    let sides = (found.live.position, found.against.rows, found.against.position);
    assert_eq!(sides, (head, "building", 2), "it stopped after its first batch");
    let expected = [(1, Kind::Changed, Some(3), true), (3, Kind::Added, Some(5), true)];
    assert_eq!(told(&found.rows), expected);
    world.close().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_that_nobody_folded_names_no_event_as_its_cause(pool: PgPool) {
    let world = World::new(pool).await;
    let head = paid(&world).await;
    let projector = world.caught_up(vec![Box::new(Balances)]).await;
    let tampered = "UPDATE ledger_wallets SET posted_nanos = 7 WHERE organisation_id = $1";
    let owner = organisation(2).to_string();
    let done = sqlx::query(tampered).bind(&owner).execute(&world.pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "the tampering must bite");
    let copied = "INSERT INTO ledger_wallets SELECT 'nobody', currency, posted_nanos, held_nanos, owed_nanos,
        opened_at, 99 FROM ledger_wallets WHERE organisation_id = $1";
    assert_eq!(
        sqlx::query(copied).bind(&owner).execute(&world.pool).await.unwrap().rows_affected(),
        1
    );
    let found = diff(&projector, Against::Position(head)).await;
    assert_eq!(found.differing, 2);
    let nobody = found.rows.iter().find(|row| row.key.starts_with("nobody")).unwrap();
    assert_eq!((nobody.change, &nobody.by, nobody.parted), (Kind::Added, &None, false));
    let tampered = found.rows.iter().find(|row| row.key.starts_with(&owner)).unwrap();
    assert!(!tampered.parted, "{tampered:?}");
    assert_eq!(tampered.by.as_ref().unwrap().position, 2, "the first of the row");
    world.close().await;
}

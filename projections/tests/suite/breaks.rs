//! Breaks, as the view has them.
use cairn_core::BreakId;
use cairn_finance::break_case::Means;
use cairn_finance::{Account, BreakCase, BreakCommand, BreakType, Disagreement, Transfer};
use cairn_projections::all;
use cairn_projections::finance::breaks;
use sqlx::PgPool;

use crate::story::UNIT;
use crate::world::World;

fn found(world: &World, line: &str, difference_nanos: i64) -> Disagreement {
    Disagreement {
        break_type: BreakType::MissingInternal,
        transaction_id: Some(line.to_owned()),
        source_id: None,
        reference: None,
        currency: "USD".to_owned(),
        provider_nanos: Some(difference_nanos),
        books_nanos: None,
        difference_nanos,
        occurred_at: world.now(),
        message: "our books have no place for 'payout'".to_owned(),
    }
}

impl World {
    async fn case(&self, id: BreakId, command: BreakCommand) -> i64 {
        self.run::<BreakCase>(&id.to_string(), command).await
    }

    async fn find(&self, line: &str, difference_nanos: i64) -> BreakId {
        let item = found(self, line, difference_nanos);
        let id = item.id();
        self.case(id, BreakCommand::Find { item, at: self.now() }).await;
        id
    }

    async fn settle(&self, id: BreakId, (by, limit_nanos): (Means, i64)) -> i64 {
        let (cause, actor) = ("a payout".to_owned(), "operator:ada".to_owned());
        self.case(id, BreakCommand::Resolve { by, cause, actor, limit_nanos, at: self.now() }).await
    }

    /// One that is posted, one that waits for a second person, and one that has cleared.
    pub async fn breaks(&self) -> [BreakId; 3] {
        let account = |code: &str| Account::try_new(code).unwrap();
        let (debit, credit) = (account("bank:main:USD"), account("stripe:pending:USD"));
        let payout = Means::Post(Transfer { debit, credit, amount_nanos: UNIT });
        let posted = self.find("txn_1", -UNIT).await;
        self.settle(posted, (payout, UNIT)).await;
        let waits = self.find("txn_2", -2 * UNIT).await;
        let owner = ("treasury".to_owned(), "theirs".to_owned());
        let due_at = self.now().plus_secs(86_400);
        let (owner, reason) = owner;
        let assign = BreakCommand::Assign { owner, due_at, reason, at: self.now() };
        self.case(waits, assign).await;
        self.settle(waits, (Means::WriteOff, UNIT)).await;
        let cleared = self.find("txn_3", UNIT).await;
        self.case(cleared, BreakCommand::Clear { at: self.now() }).await;
        [posted, waits, cleared]
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_break_shows_where_it_stands_and_what_was_posted_for_it(pool: PgPool) {
    let world = World::new(pool).await;
    let [posted, waits, cleared] = world.breaks().await;
    world.caught_up(all()).await;
    let get = async |id: BreakId| breaks::get(&world.pool, &id.to_string()).await.unwrap().unwrap();
    let one = get(posted).await;
    assert_eq!((one.status.as_str(), one.is_open()), ("posted", false));
    assert_eq!((one.debit.as_deref(), one.amount_nanos), (Some("bank:main:USD"), Some(UNIT)));
    let kind: String =
        sqlx::query_scalar("SELECT kind FROM ledger_journal_transactions WHERE position = $1")
            .bind(one.posted_position)
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(kind, "break_correction");
    let two = get(waits).await;
    assert_eq!((two.status.as_str(), two.posted_position), ("proposed", None));
    assert_eq!(
        (two.owner.as_deref(), two.proposed_by.as_deref()),
        (Some("treasury"), Some("operator:ada"))
    );
    assert_eq!((two.debit.as_deref(), two.approved_by.as_deref()), (Some("write_offs:USD"), None));
    assert_eq!(get(cleared).await.status, "cleared");
    let open = breaks::list(&world.pool, true, None, 10).await.unwrap().items;
    assert_eq!(
        open.iter().map(|row| row.break_id.clone()).collect::<Vec<_>>(),
        [waits.to_string()]
    );

    let (actor, reason) = ("operator:grace".to_owned(), "seen".to_owned());
    world.case(waits, BreakCommand::Approve { actor, reason, at: world.now() }).await;
    world.find("txn_3", UNIT).await;
    world.find("txn_1", -3 * UNIT).await;
    world.caught_up(all()).await;
    let two = get(waits).await;
    assert_eq!(
        (two.status.as_str(), two.approved_by.as_deref()),
        ("written_off", Some("operator:grace"))
    );
    let one = get(posted).await;
    assert_eq!((one.status.as_str(), one.difference_nanos, one.cause), ("open", -3 * UNIT, None));
    assert!(one.posted_position.is_some(), "what was posted stays told");
    assert_eq!(get(cleared).await.status, "open", "back again");
    world.close().await;
}

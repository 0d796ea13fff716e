//! When the money runs out: what runs is stopped and kept, what is paid for again goes on, what nobody pays for is given up in the end.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::ledger::{SetSpendingLimits, set_spending_limits};
use cairn_commands::processes::{Settings, operator};
use cairn_compute::{Allocation, AllocationStatus};
use cairn_core::{AllocationId, Currency, OrganisationId};
use cairn_ledger::{Dunning, SpendingLimits, Stage, wallet_id};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::faults::Mode;
use support::harness::{Harness, Memory, PER_HOUR};
use support::stories::{ask_for_release, rent, top_up, wallet};

type Options = PgConnectOptions;

const SUSPENDED: i64 = 7_200;
const RETENTION: i64 = 14_400;

/// Rentals of an organisation whose money pays for less than two hours of one.
struct Story {
    harness: Harness,
    memory: Arc<Memory>,
    organisation: OrganisationId,
    id: AllocationId,
}

impl Story {
    async fn begin(db: Options, units: i64) -> Self {
        let memory = Memory::new();
        let settings = Settings {
            provider_seconds: 600,
            suspended_seconds: SUSPENDED,
            retention_seconds: RETENTION,
            ..Settings::default()
        };
        let mut harness = Harness::start_with(db, Arc::clone(&memory) as _, settings).await;
        let organisation = harness.organisation();
        top_up(&mut harness, organisation, units).await;
        let id = rent(&mut harness, organisation).await;
        Self { harness, memory, organisation, id }
    }

    async fn of(&self, id: AllocationId) -> Allocation {
        self.harness.load(&id.to_string()).await
    }

    async fn status(&self) -> AllocationStatus {
        self.of(self.id).await.status
    }

    async fn dunning(&self) -> Dunning {
        self.harness.load(&wallet_id(self.organisation, Currency::USD)).await
    }

    fn there(&self) -> Vec<String> {
        self.memory.nodes.left(&self.id.to_string())
    }

    async fn charged(&self) -> i64 {
        let wallet = wallet(&self.harness, self.organisation).await;
        wallet.holds.values().map(|hold| hold.captured_nanos + hold.overrun_nanos).sum()
    }

    /// So many units a month, and no more.
    async fn limit(&self, units: Option<i64>) {
        let stop_nanos = units.map(|units| units * 1_000_000_000);
        let input = SetSpendingLimits {
            organisation_id: self.organisation,
            currency: Currency::USD,
            limits: SpendingLimits { warn_nanos: None, stop_nanos },
        };
        let context = self.harness.context();
        set_spending_limits(&self.harness.commands, &context, input).await.unwrap();
    }

    /// What was charged is what was metered, to the second.
    async fn agrees(&self) {
        let metered = self.of(self.id).await.metered_seconds();
        assert_eq!(self.charged().await, metered * PER_HOUR / 3_600);
    }

    async fn types(&self, like: &str) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT event_type FROM events WHERE event_type LIKE $1 ORDER BY position",
        )
        .bind(like)
        .fetch_all(self.harness.pool())
        .await
        .unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_not_paid_for_is_stopped_and_kept_and_goes_on_once_it_is_paid_for(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db, 5).await;
    story.harness.run_for(900).await;
    assert_eq!(story.dunning().await.stage, Stage::Low, "five units last for less than two hours");
    story.harness.run_for(2_500).await;
    assert_eq!(story.dunning().await.stage, Stage::Grace, "there is nothing more to set aside");
    assert_eq!(story.status().await, AllocationStatus::Active);
    story.harness.run_for(1_700).await;
    assert_eq!(story.status().await, AllocationStatus::Suspended);
    assert_eq!(story.dunning().await.stage, Stage::Suspended);
    assert_eq!(story.there(), ["uid", "home", "user", "limits"], "all but the login is kept");
    story.agrees().await;
    let charged = story.charged().await;
    let owed = wallet(&story.harness, story.organisation).await.posted_nanos;
    assert!(owed >= 0, "nothing ran on credit");

    story.harness.run_for(3_600).await;
    assert_eq!(story.status().await, AllocationStatus::Suspended);
    assert_eq!(story.charged().await, charged, "what is suspended costs nothing");

    top_up(&mut story.harness, story.organisation, 20).await;
    story.harness.run_for(60).await;
    assert_eq!(story.status().await, AllocationStatus::Active, "nobody had to ask");
    assert!(story.there().contains(&"access".to_owned()));
    assert_eq!(story.dunning().await.stage, Stage::Low);
    story.harness.run_for(900).await;
    assert!(story.charged().await > charged, "the meter goes on");
    ask_for_release(&story.harness, story.id).await;
    story.harness.run_for(60).await;
    assert_eq!(story.status().await, AllocationStatus::Released);
    story.agrees().await;
    let allocation = story.of(story.id).await;
    assert!((3_600..3_900).contains(&allocation.idle_seconds), "{}", allocation.idle_seconds);
    assert_eq!(operator::waiting(story.harness.pool()).await.unwrap(), 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_pays_for_is_given_up_after_both_periods_and_not_before(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db, 4).await;
    story.harness.run_for(4_500).await;
    assert_eq!(story.dunning().await.stage, Stage::Suspended);
    let until = story.dunning().await.until.unwrap();
    let wait = until.secs_since(story.harness.clock_now());
    assert!((SUSPENDED - 900..=SUSPENDED).contains(&wait), "{wait}");
    story.harness.run_for(wait - 60).await;
    assert_eq!(story.dunning().await.stage, Stage::Suspended);
    story.harness.run_for(400).await;
    assert_eq!(story.dunning().await.stage, Stage::Retention);
    story.harness.run_for(RETENTION - 400).await;
    assert_eq!(story.status().await, AllocationStatus::Suspended, "the data is still there");
    assert!(story.there().contains(&"home".to_owned()));
    story.harness.run_for(800).await;
    assert_eq!(story.status().await, AllocationStatus::Released);
    assert_eq!(story.there(), Vec::<String>::new());
    assert_eq!(story.dunning().await.stage, Stage::Released);
    story.agrees().await;
    let stages = story.types("dunning.stage_changed").await.len();
    assert_eq!(stages, 5, "low, grace, suspended, retention, released: each told once");
    let held = wallet(&story.harness, story.organisation).await.held_nanos;
    assert_eq!(held, 0, "what was left of the hold is available");
}

#[sqlx::test(migrations = "../migrations")]
async fn nothing_is_shown_as_suspended_that_its_node_has_not_confirmed(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db, 4).await;
    story.harness.faults.arm("suspend_tenant", Mode::Permanent);
    story.harness.run_for(4_300).await;
    assert!(story.harness.faults.hits("suspend_tenant") > 0, "the fault bit");
    assert_eq!(story.status().await, AllocationStatus::Suspending);
    assert_eq!(story.dunning().await.stage, Stage::Grace);
    let charged = story.charged().await;
    story.harness.run_for(1_200).await;
    assert_eq!(story.status().await, AllocationStatus::Suspending);
    assert!(story.of(story.id).await.needs_operator, "somebody is called for a turn that is stuck");
    assert_eq!(story.charged().await, charged, "the meter stands still from the request on");
    // Paid for before it is confirmed: it must be stopped first, and goes on by itself.
    top_up(&mut story.harness, story.organisation, 20).await;
    story.harness.run_for(120).await;
    assert_eq!(story.status().await, AllocationStatus::Suspending);
    story.harness.faults.mend();
    story.harness.run_for(900).await;
    assert_eq!(story.status().await, AllocationStatus::Active);
    assert_eq!(story.types("allocation.suspended").await.len(), 1);
    assert!(!story.of(story.id).await.needs_operator);
    assert_eq!(operator::waiting(story.harness.pool()).await.unwrap(), 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_suspended_longest_is_resumed_first_as_far_as_the_money_goes(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db, 9).await;
    let other = rent(&mut story.harness, story.organisation).await;
    story.harness.run_for(6_000).await;
    for id in [story.id, other] {
        assert_eq!(story.of(id).await.status, AllocationStatus::Suspended);
    }
    let mut ids = [story.id, other];
    let stopped = [story.of(ids[0]).await.stopped_at, story.of(ids[1]).await.stopped_at];
    if stopped[1] < stopped[0] {
        ids.reverse();
    }
    top_up(&mut story.harness, story.organisation, 5).await;
    story.harness.run_for(60).await;
    let statuses = [story.of(ids[0]).await.status, story.of(ids[1]).await.status];
    assert_eq!(statuses, [AllocationStatus::Active, AllocationStatus::Suspended]);
    assert_eq!(story.dunning().await.stage, Stage::Suspended, "one of them still is");
    ask_for_release(&story.harness, ids[1]).await;
    story.harness.run_for(60).await;
    assert_eq!(
        story.of(ids[1]).await.status,
        AllocationStatus::Released,
        "customers may let it go"
    );
    assert_eq!(story.memory.nodes.left(&ids[1].to_string()), Vec::<String>::new());
}

#[sqlx::test(migrations = "../migrations")]
async fn a_login_that_cannot_be_opened_is_tried_until_it_is(_: PgPoolOptions, db: Options) {
    let mut story = Story::begin(db, 4).await;
    story.harness.run_for(4_500).await;
    assert_eq!(story.status().await, AllocationStatus::Suspended);
    story.harness.faults.arm("ensure_access", Mode::Permanent);
    top_up(&mut story.harness, story.organisation, 20).await;
    story.harness.run_for(1_200).await;
    assert!(story.harness.faults.hits("ensure_access") > 0, "the fault bit");
    let stuck = story.of(story.id).await;
    assert_eq!((stuck.status, stuck.needs_operator), (AllocationStatus::Resuming, true));
    let charged = story.charged().await;
    story.harness.faults.mend();
    story.harness.run_for(900).await;
    assert_eq!(story.status().await, AllocationStatus::Active);
    story.agrees().await;
    assert!(story.charged().await > charged, "it is charged once it is proven");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_spending_limit_stops_is_kept_without_a_day_and_goes_on_when_there_is_room(
    _: PgPoolOptions,
    db: Options,
) {
    let mut story = Story::begin(db, 300).await;
    story.limit(Some(5)).await;
    story.harness.run_for(5_100).await;
    let rental = story.of(story.id).await;
    assert_eq!(rental.status, AllocationStatus::Suspended);
    let why: serde_json::Value = sqlx::query_scalar(
        "SELECT payload FROM events WHERE event_type = 'allocation.suspension_requested'",
    )
    .fetch_one(story.harness.pool())
    .await
    .unwrap();
    assert_eq!(why["reason"], "spending_limit");
    let money = wallet(&story.harness, story.organisation).await;
    assert!(money.spending.spent_nanos <= 5_000_000_000, "{}", money.spending.spent_nanos);
    assert_eq!(story.types("wallet.spending_reached").await.len(), 1, "told once");
    story.agrees().await;
    let charged = story.charged().await;

    story.harness.run_for(SUSPENDED + RETENTION + 1_200).await;
    assert_eq!(story.status().await, AllocationStatus::Suspended);
    assert!(story.there().contains(&"home".to_owned()), "its data has no day on which it goes");
    let stages = story.types("dunning.stage_changed").await;
    assert!(stages.is_empty(), "there is money, so nobody is dunned, not for a moment: {stages:?}");
    assert_eq!(story.charged().await, charged);

    story.limit(Some(40)).await;
    story.harness.run_for(60).await;
    assert_eq!(story.status().await, AllocationStatus::Active, "nobody had to ask");
    story.limit(None).await;
    story.harness.run_for(900).await;
    assert!(story.charged().await > charged, "the meter goes on");
    story.agrees().await;
}

//! Spending limits of projects: what is in one without room is stopped and kept, what is in another goes on.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use std::sync::Arc;

use cairn_commands::identity::organisations;
use cairn_commands::ledger::{SetSpendingLimits, set_project_limits};
use cairn_commands::processes::send_mail::SendMail;
use cairn_commands::processes::{Action, Effect, Letter, Settings};
use cairn_commands::{Expected, compute};
use cairn_compute::{Allocation, AllocationStatus};
use cairn_core::{AllocationId, Currency, Month, OrganisationId, ProjectId, UserId};
use cairn_identity::ProjectWish;
use cairn_ledger::{Alert, AlertOn, SpendingLimit, SpendingLimits, WalletEvent};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use support::harness::{Harness, Memory, SKU};
use support::react::{NOW, given, wallet as of_wallet};
use support::stories::{top_up, wallet};

const UNIT: i64 = 1_000_000_000;
const SEARCH: ProjectId = ProjectId::from_bits(1);
const RANKING: ProjectId = ProjectId::from_bits(2);

struct Story {
    harness: Harness,
    organisation: OrganisationId,
}

impl Story {
    async fn begin(db: PgConnectOptions) -> Self {
        let settings = Settings { provider_seconds: 600, ..Settings::default() };
        let mut harness = Harness::start_with(db, Arc::clone(&Memory::new()) as _, settings).await;
        let context = harness.context();
        let owner = UserId::from_bits(1);
        let name = "somebody".to_owned();
        let found = organisations::found(&harness.commands, &context, owner, name).await;
        let organisation = found.unwrap().aggregate_id.parse().unwrap();
        top_up(&mut harness, organisation, 1_500).await;
        for (project_id, name) in [(SEARCH, "search"), (RANKING, "ranking")] {
            let create = (project_id, ProjectWish::Create { name: name.to_owned() });
            let whose = (organisation, Expected::Anything);
            let context = harness.context();
            organisations::project(&harness.commands, &context, whose, create).await.unwrap();
        }
        Self { harness, organisation }
    }

    async fn rent(&mut self, project_id: Option<ProjectId>) -> AllocationId {
        let request = compute::RequestAllocation {
            organisation_id: self.organisation,
            sku_id: SKU.to_owned(),
            additional_disk_gib: 0,
            currency: Currency::USD,
            ssh_public_key: self.harness.world.public_key(),
            project_id,
            node_id: None,
        };
        let context = self.harness.context();
        let asked = compute::request_allocation(&self.harness.commands, &context, request).await;
        let key = asked.unwrap().aggregate_id;
        self.harness.until("the rental has ended", |s| s.ended("rent_node", &key)).await;
        key.parse().unwrap()
    }

    async fn limit(&self, project_id: ProjectId, units: Option<i64>) {
        let stop_nanos = units.map(|units| units * UNIT);
        let input = SetSpendingLimits {
            organisation_id: self.organisation,
            currency: Currency::USD,
            limits: SpendingLimits { warn_nanos: None, stop_nanos },
        };
        let context = self.harness.context();
        set_project_limits(&self.harness.commands, &context, project_id, input).await.unwrap();
    }

    async fn statuses<const N: usize>(&self, ids: [AllocationId; N]) -> [AllocationStatus; N] {
        let mut statuses = [AllocationStatus::Unknown; N];
        for (status, id) in statuses.iter_mut().zip(ids) {
            *status = self.harness.load::<Allocation>(&id.to_string()).await.status;
        }
        statuses
    }

    /// What was used in the first two, of a project each, is in their projects; and with the third, in none, it is the whole.
    async fn adds_up(&self, ids: [AllocationId; 3]) {
        let now = self.harness.clock_now();
        let money = wallet(&self.harness, self.organisation).await;
        let spent = money.spent_in(SEARCH, now);
        assert!(spent <= 5 * UNIT, "{spent}");
        let charged = |id: &AllocationId| {
            let of_it = money.holds.values().find(|hold| hold.purpose == id.to_string());
            of_it.unwrap().charged_nanos()
        };
        assert_eq!(ids.iter().map(charged).sum::<i64>(), money.spending.spent_at(now));
        assert_eq!([spent, money.spent_in(RANKING, now)], [charged(&ids[0]), charged(&ids[1])]);
    }

    async fn payloads(&self, like: &str) -> Vec<serde_json::Value> {
        sqlx::query_scalar("SELECT payload FROM events WHERE event_type LIKE $1 ORDER BY position")
            .bind(like)
            .fetch_all(self.harness.pool())
            .await
            .unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_project_without_room_stops_alone_is_kept_and_goes_on_when_its_limit_is_raised(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    use AllocationStatus::{Active, Rejected, Suspended};
    let mut story = Story::begin(db).await;
    story.limit(SEARCH, Some(5)).await;
    let ids =
        [story.rent(Some(SEARCH)).await, story.rent(Some(RANKING)).await, story.rent(None).await];
    story.harness.run_for(5_100).await;
    assert_eq!(story.statuses(ids).await, [Suspended, Active, Active]);
    let why = story.payloads("allocation.suspension_requested").await;
    assert_eq!((why.len(), &why[0]["reason"]), (1, &"spending_limit".into()));
    let told = story.payloads("wallet.%reached").await;
    assert_eq!((told.len(), &told[0]["project_id"]), (1, &SEARCH.to_string().into()), "{told:?}");
    let stages = story.payloads("dunning.stage_changed").await;
    assert!(stages.is_empty(), "nobody owes anything: {stages:?}");
    story.adds_up(ids).await;

    // Another in the same project finds no room, one in the other does.
    let (more, other) = (story.rent(Some(SEARCH)).await, story.rent(Some(RANKING)).await);
    assert_eq!(story.statuses([more, other]).await, [Rejected, Active]);
    let refused = story.payloads("allocation.rejected").await;
    let (code, message) = (refused[0]["code"].as_str(), refused[0]["message"].as_str().unwrap());
    assert_eq!(code, Some("spending_limit_reached"));
    assert!(message.contains(&SEARCH.to_string()), "{message}");

    story.limit(SEARCH, Some(40)).await;
    story.harness.run_for(60).await;
    assert_eq!(story.statuses(ids).await, [Active; 3], "nobody had to ask");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_project_stopped_goes_on_with_the_next_month(
    _: PgPoolOptions,
    db: PgConnectOptions,
) {
    let mut story = Story::begin(db).await;
    story.limit(SEARCH, Some(5)).await;
    let id = story.rent(Some(SEARCH)).await;
    story.harness.run_for(5_100).await;
    assert_eq!(story.statuses([id]).await, [AllocationStatus::Suspended]);
    let ends_at = Month::of(story.harness.clock_now()).unwrap().ends_at();
    story.harness.clock.advance_to(ends_at.plus_secs(-600));
    story.harness.run_for(590).await;
    assert_eq!(story.statuses([id]).await, [AllocationStatus::Suspended]);
    story.harness.run_for(600).await;
    assert_eq!(story.statuses([id]).await, [AllocationStatus::Active]);
}

#[test]
fn whoever_sees_to_the_money_is_written_of_the_project() {
    let reached = WalletEvent::ProjectLimitReached {
        project_id: SEARCH,
        limit: SpendingLimit::Stop,
        month: Month::of(NOW).unwrap(),
        limit_nanos: 5 * UNIT,
        spent_nanos: 4 * UNIT,
        at: NOW,
    };
    let wanted = given::<SendMail>(&[]).when(of_wallet(reached));
    let about = wanted.iter().find_map(|intent| match &intent.action {
        Action::Effect(Effect::SendMail { letter: Letter::Spending { reached, .. }, .. }) => {
            Some((reached.project_id, reached.limit, reached.limit_nanos))
        }
        _ => None,
    });
    assert_eq!(about, Some((Some(SEARCH), SpendingLimit::Stop, 5 * UNIT)));
}

#[test]
fn an_alert_of_a_project_is_written_of_as_its_own() {
    let alert = Alert { on: AlertOn::Spent, amount_nanos: 3 * UNIT };
    let month = Month::of(NOW).unwrap();
    let (project_id, spent_nanos) = (SEARCH, 4 * UNIT);
    let reached =
        WalletEvent::ProjectAlertReached { project_id, alert, month, spent_nanos, at: NOW };
    let whole = WalletEvent::AlertReached { alert, month, seen_nanos: 5 * UNIT, at: NOW };
    for (event, expected) in
        [(reached, (Some(SEARCH), alert, 4 * UNIT)), (whole, (None, alert, 5 * UNIT))]
    {
        let wanted = given::<SendMail>(&[]).when(of_wallet(event));
        let about = wanted.iter().find_map(|intent| match &intent.action {
            Action::Effect(Effect::SendMail {
                letter: Letter::Alert { project_id, alert, seen_nanos, .. },
                ..
            }) => Some((*project_id, *alert, *seen_nanos)),
            _ => None,
        });
        assert_eq!(about, Some(expected));
    }
}

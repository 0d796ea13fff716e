//! Whoever reconciles and settles what was found: both books, people, and a clock that moves by hand.
use std::sync::Arc;

use cairn_commands::finance::breaks::{self, Resolve};
use cairn_commands::finance::{Period, ReconciliationReport, Recorded, reconcile, record};
use cairn_commands::ports::{Clock as _, PaymentPort};
use cairn_commands::{CommandContext, Commands, ExecuteError};
use cairn_core::{BreakId, Timestamp};
use cairn_finance::break_case::Means;
use cairn_finance::{Account, BreakCase, Transfer};

use crate::clock::{CountingIds, ManualClock};
use crate::world::{DAY, HOUR, World};

pub struct Desk {
    pub world: World,
    pub commands: Commands,
    pub clock: Arc<ManualClock>,
}

impl Desk {
    /// Two hours later: what was booked or not until now is young no more.
    pub fn of(world: World) -> Self {
        let clock = Arc::new(ManualClock::at(world.now));
        clock.advance_to(world.now.plus_secs(2 * HOUR));
        let (executor, ids) = (world.executor.clone(), Arc::new(CountingIds::default()));
        let home_jurisdiction = None;
        let clock_of = Arc::<ManualClock>::clone(&clock);
        let commands = Commands { executor, clock: clock_of, ids, home_jurisdiction };
        Self { world, commands, clock }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The last day of the calendar and this one, as they look now; what happens afterwards is a second later.
    pub fn period(&self) -> Period {
        let now = self.now();
        self.clock.advance_secs(1);
        Period::range(now.plus_secs(-DAY), now.plus_secs(1), now).unwrap()
    }

    pub async fn run_with(
        &self,
        port: &dyn PaymentPort,
        period: Period,
    ) -> (ReconciliationReport, Recorded) {
        let report = reconcile(port, &self.world.executor, period).await.unwrap();
        let context = self.context("reconciler");
        let recorded = record(&self.world.executor, &context, (&period, &report)).await.unwrap();
        (report, recorded)
    }

    /// Reconciles the last day with the scripted provider.
    pub async fn run(&self) -> (ReconciliationReport, Recorded) {
        self.run_with(&self.world.provider, self.period()).await
    }

    pub fn context(&self, actor: &str) -> CommandContext {
        CommandContext::by_itself(actor, format!("{:032x}", self.commands.ids.next()))
    }

    pub async fn resolve(
        &self,
        actor: &str,
        (break_id, by): (BreakId, Means),
        limit_nanos: i64,
    ) -> Result<(), ExecuteError> {
        let cause = "looked into".to_owned();
        let input = Resolve { break_id, by, cause, limit_nanos };
        let done = breaks::resolve(&self.commands, &self.context(actor), input).await.map(drop);
        self.clock.advance_secs(1);
        done
    }

    pub async fn approve(&self, actor: &str, break_id: BreakId) -> Result<(), ExecuteError> {
        let input = (break_id, "seen".to_owned());
        let done = breaks::approve(&self.commands, &self.context(actor), input).await.map(drop);
        self.clock.advance_secs(1);
        done
    }

    pub async fn case(&self, break_id: BreakId) -> BreakCase {
        self.world.executor.load::<BreakCase>(&break_id.to_string()).await.unwrap().0
    }

    /// Events of all cases.
    pub async fn events(&self) -> i64 {
        let count = "SELECT count(*) FROM events WHERE aggregate_type = 'break'";
        sqlx::query_scalar(count).fetch_one(&self.world.pool).await.unwrap()
    }

    /// The balance of an account, debit above zero.
    pub async fn balance(&self, account: &str) -> i64 {
        let sum =
            "SELECT coalesce(sum(amount_nanos), 0)::bigint FROM ledger_postings WHERE account = $1";
        sqlx::query_scalar(sum).bind(account).fetch_one(&self.world.pool).await.unwrap()
    }
}

pub fn post(debit: &str, credit: &str, amount_nanos: i64) -> Means {
    let account = |code: &str| Account::try_new(code).unwrap();
    Means::Post(Transfer { debit: account(debit), credit: account(credit), amount_nanos })
}

pub fn refused(answer: Result<(), ExecuteError>) -> String {
    match answer {
        Err(ExecuteError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

//! The provider's book is held against ours for as long as a server runs; what was found is a case, is shown, and is paged for.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_commands::finance::{self, FinanceError, Period, Run};
use cairn_commands::ports::PaymentPort;
use cairn_commands::{CommandContext, Commands};
use cairn_core::Timestamp;
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;

use crate::upkeep::Upkeep;

/// What the audit trail calls whoever does it.
const ACTOR: &str = "reconciliation";
/// How far back a run looks; what is open from before that it carries.
const DAYS: i64 = 3;

/// What the last run of this server found.
#[derive(Debug, Default)]
pub struct Reconciliation(Mutex<Option<Reconciled>>);

/// A run that came to its end.
#[derive(Debug, Clone, Default)]
pub struct Reconciled {
    /// When.
    pub at: Timestamp,
    /// Lines of the provider's book that were looked at.
    pub lines: usize,
    /// Those that have their posting.
    pub matched: usize,
    /// Disagreements that nobody has explained, those from before among them.
    pub breaks_open: usize,
    /// Currencies of which opening + movements = closing could not be shown.
    pub unproven: Vec<String>,
}

impl Reconciliation {
    /// The last run; none before the first.
    pub fn last(&self) -> Option<Reconciled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs for as long as a server does.
    pub fn keep(
        self: &Arc<Self>,
        upkeep: &mut Upkeep,
        (commands, port): (&Commands, &Arc<dyn PaymentPort>),
        every: Duration,
    ) {
        let (found, stop) = (Arc::clone(self), upkeep.stop());
        let (commands, port) = (commands.clone(), Arc::clone(port));
        upkeep.keep("reconciliation", move || {
            let (found, stop) = (Arc::clone(&found), stop.clone());
            let parts = (commands.clone(), Arc::clone(&port));
            async move { found.run(parts, every, stop).await }
        });
    }

    /// Runs again and again until the token is cancelled. What fails is said, counted, and tried again.
    async fn run(
        &self,
        (commands, port): (Commands, Arc<dyn PaymentPort>),
        every: Duration,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match turn(&commands, port.as_ref()).await {
                Ok(found) => self.tell(found),
                Err(error) => {
                    counter!("cairn_reconciliation_failures_total").increment(1);
                    tracing::warn!(%error, "the provider's book was not held against ours");
                }
            }
        }
    }

    fn tell(&self, found: Reconciled) {
        let seconds = u32::try_from(found.at.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        gauge!("cairn_reconciled_timestamp_seconds").set(seconds);
        let unproven = u32::try_from(found.unproven.len()).unwrap_or(u32::MAX);
        gauge!("cairn_reconciliation_unproven_currencies").set(unproven);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }
}

async fn turn(commands: &Commands, port: &dyn PaymentPort) -> Result<Reconciled, FinanceError> {
    let now = commands.clock.now();
    let period = Period::range(now.plus_secs(-DAYS * 86_400), now, now)?;
    let id = format!("{ACTOR}:{:032x}", commands.ids.next());
    let context = CommandContext::by_itself(ACTOR, id);
    let Run { report, recorded, .. } =
        finance::run(port, &commands.executor, &context, period).await?;
    for break_id in recorded.found.iter().chain(&recorded.reopened) {
        tracing::error!(%break_id, "our books and those of the provider or the bank disagree");
    }
    let unproven = report.proofs.iter().filter(|proof| !proof.proven);
    Ok(Reconciled {
        at: now,
        lines: report.lines,
        matched: report.matched,
        breaks_open: report.open().count(),
        unproven: unproven.map(|proof| proof.currency.clone()).collect(),
    })
}

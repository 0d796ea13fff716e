//! What a reconciliation found becomes cases, and cases that it does not find any more are cleared.
use std::collections::BTreeSet;

use cairn_core::{BreakId, Decider as _, Timestamp};
use cairn_finance::{BreakCase, BreakCommand, BreakEvent};
use serde::Serialize;

use super::{FinanceError, Period, ReconciliationReport};
use crate::answers::derived;
use crate::{CommandContext, Executor};

/// What a run changed about the cases. A repeat of it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Recorded {
    /// New cases.
    pub found: Vec<BreakId>,
    /// Cases that were settled or gone, and are there again.
    pub reopened: Vec<BreakId>,
    /// Open cases with other amounts than before.
    pub restated: Vec<BreakId>,
    /// Open cases that are not found any more.
    pub cleared: Vec<BreakId>,
}

/// Records a report of this period as cases. Only those are cleared that a run can find, and whose time it has looked at; what happened to a
/// case since the run began is left alone.
///
/// # Errors
/// [`FinanceError::Case`] or [`FinanceError::Database`]; what was recorded until then stays, and a repeat goes on from there.
pub async fn record(
    executor: &Executor,
    context: &CommandContext,
    (period, report): (&Period, &ReconciliationReport),
) -> Result<Recorded, FinanceError> {
    let mut recorded = Recorded::default();
    let mut seen = BTreeSet::new();
    for found in report.disagreements() {
        seen.insert(found.break_id);
        let find = BreakCommand::Find { item: found.disagreement(), at: period.now };
        send(executor, context, (found.break_id, find), &mut recorded).await?;
    }
    for break_id in open(executor).await? {
        if seen.contains(&break_id) {
            continue;
        }
        let (case, _) = executor.load::<BreakCase>(&break_id.to_string()).await?;
        let looked_at = case.item.is_some_and(|item| {
            !item.break_type.is_of_usage() && was_looked_at(period, item.occurred_at)
        });
        if looked_at && case.status.is_open() {
            let clear = BreakCommand::Clear { at: period.now };
            send(executor, context, (break_id, clear), &mut recorded).await?;
        }
    }
    Ok(recorded)
}

fn was_looked_at(period: &Period, at: Timestamp) -> bool {
    period.contains(at) || period.look_back().contains(at)
}

/// Asks a case, if that changes anything: a run that finds what is known leaves no trace.
async fn send(
    executor: &Executor,
    context: &CommandContext,
    (break_id, command): (BreakId, BreakCommand),
    recorded: &mut Recorded,
) -> Result<(), FinanceError> {
    let stream = break_id.to_string();
    let (case, sequence) = executor.load::<BreakCase>(&stream).await?;
    let Ok(events) = case.decide(command.clone()) else { return Ok(()) };
    let changed = match events.first() {
        None => return Ok(()),
        Some(BreakEvent::Found { .. }) => &mut recorded.found,
        Some(BreakEvent::Reopened { .. }) => &mut recorded.reopened,
        Some(BreakEvent::Restated { .. }) => &mut recorded.restated,
        Some(BreakEvent::Cleared { .. }) => &mut recorded.cleared,
        Some(
            BreakEvent::Assigned { .. }
            | BreakEvent::ResolutionProposed { .. }
            | BreakEvent::Resolved { .. },
        ) => return Ok(()),
    };
    changed.push(break_id);
    let context = derived(context, &format!("{stream}:{sequence}"));
    executor.execute::<BreakCase>(&stream, command, &context, serde_json::Value::Null).await?;
    Ok(())
}

/// Cases that may be open, by the type of their last event: that stays in the table when its bulk has moved to an archive.
pub(super) async fn open(executor: &Executor) -> Result<Vec<BreakId>, FinanceError> {
    let rows = sqlx::query_scalar!(
        "SELECT aggregate_id FROM (
             SELECT DISTINCT ON (aggregate_id) aggregate_id, event_type FROM events
             WHERE aggregate_type = 'break' ORDER BY aggregate_id, sequence DESC) AS last
         WHERE event_type NOT IN ('break.cleared', 'break.resolved') ORDER BY aggregate_id"
    );
    let rows = rows.fetch_all(executor.log().pool()).await?;
    let id = |id: String| id.parse().map_err(|_| FinanceError::Corrupt(format!("no case: {id}")));
    rows.into_iter().map(id).collect()
}

//! The parts of what was charged for one rental: each was sold as one SKU, at one price and tax. A charge never spans two of them.
use cairn_compute::AllocationEvent;
use cairn_core::{AllocationId, Nanos, Timestamp};
use cairn_event_log::Recorded;

use super::Counting;
use super::charged::{Credited, OfHold, corrupt, of_hold};
use crate::Executor;
use crate::finance::FinanceError;

/// That a rental was moved to another SKU or price: what it had used and cost until then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    position: i64,
    pub at: Timestamp,
    pub seconds: i64,
    total_nanos: Nanos,
}

/// What was charged between two moves, and those.
#[derive(Debug)]
pub(super) struct Part {
    pub charged: OfHold,
    pub since: Option<Moved>,
    pub until: Option<Moved>,
}

/// What was charged out of a hold, part by part. What comes to nothing is left out where something is left.
pub(super) async fn parts(
    executor: &Executor,
    hold: OfHold,
    counting: &Counting,
) -> Result<Vec<Part>, FinanceError> {
    let moves = moves(executor, AllocationId::from_bits(hold.hold_id.bits())).await?;
    if moves.is_empty() {
        return Ok(vec![Part { charged: hold, since: None, until: None }]);
    }
    let mut parts = vec![];
    for (moved, credited) in by_moves(executor, (&hold, &moves), counting).await? {
        let charged = of_hold((hold.hold_id, hold.debited.clone()), credited)?;
        let moved = usize::try_from(moved).unwrap_or_default();
        let since = moved.checked_sub(1).and_then(|last| moves.get(last)).copied();
        parts.push(Part { charged, since, until: moves.get(moved).copied() });
    }
    let says = |part: &Part| part.charged.net_nanos != 0 || !part.charged.taxes.is_empty();
    if parts.iter().any(says) {
        parts.retain(says);
    }
    Ok(parts)
}

/// Every move of a rental, in order.
async fn moves(executor: &Executor, rental: AllocationId) -> Result<Vec<Moved>, FinanceError> {
    let positions = sqlx::query_scalar!(
        "SELECT position FROM events WHERE aggregate_type = 'allocation' AND aggregate_id = $1
           AND event_type IN ('allocation.repriced', 'allocation.resized')
         ORDER BY position",
        rental.to_string()
    );
    let mut moves = vec![];
    for position in positions.fetch_all(executor.log().pool()).await? {
        let found: Option<Recorded> = executor.log().read(position - 1, 1).await?.pop();
        let event = found.map(|found| found.decode()).transpose()?;
        let Some(
            AllocationEvent::Repriced { seconds, total_nanos, at, .. }
            | AllocationEvent::Resized { seconds, total_nanos, at, .. },
        ) = event
        else {
            return Err(corrupt(format!("no move of {rental} at position {position}")));
        };
        moves.push(Moved { position, at, seconds, total_nanos });
    }
    Ok(moves)
}

/// What was credited, by how many moves came before it. A charge beyond the total of a move that was recorded before comes after it; a correction
/// takes back of the charge before it.
async fn by_moves(
    executor: &Executor,
    (hold, moves): (&OfHold, &[Moved]),
    counting: &Counting,
) -> Result<Vec<(i64, Vec<Credited>)>, FinanceError> {
    let positions: Vec<_> = moves.iter().map(|moved| moved.position).collect();
    let totals: Vec<_> = moves.iter().map(|moved| moved.total_nanos).collect();
    let rows = sqlx::query!(
        r#"WITH charges AS (
             SELECT t.position, t.effective_on, max((
               SELECT count(*) FROM unnest($2::bigint[], $3::bigint[]) AS moved (position, total)
               WHERE t.kind <> 'usage_corrected' AND moved.position < t.position
                 AND moved.total < split_part(t.source_id, ':', 2)::bigint)) OVER (ORDER BY t.position) AS moves
             FROM ledger_journal_transactions t
             WHERE t.position IN (SELECT position FROM ledger_postings WHERE account = ANY ($1) AND position <= $5)
               AND t.kind IN ('usage', 'overrun', 'usage_corrected') AND split_part(t.source_id, ':', 1) = $4
           )
           SELECT c.moves AS "moves!", p.account, sum(p.amount_nanos)::bigint AS "amount!",
                  min(c.position) AS "first!", max(c.position) AS "last!"
           FROM charges c JOIN ledger_postings p USING (position)
           WHERE c.position > $6 AND c.effective_on >= $7::text::date AND c.effective_on < $8::text::date
             AND p.account <> ALL ($1)
           GROUP BY 1, 2 ORDER BY 1, 2"#,
        &hold.debited[..],
        &positions,
        &totals,
        hold.hold_id.to_string(),
        counting.counted.position,
        counting.counted.after_position,
        counting.month.first_day(),
        counting.month.next().first_day()
    );
    let mut parts = Vec::<(i64, Vec<Credited>)>::new();
    for row in rows.fetch_all(executor.log().pool()).await? {
        let credited = (row.account, -row.amount, row.first, row.last);
        match parts.last_mut().filter(|(moves, _)| *moves == row.moves) {
            Some((_, all)) => all.push(credited),
            None => parts.push((row.moves, vec![credited])),
        }
    }
    Ok(parts)
}

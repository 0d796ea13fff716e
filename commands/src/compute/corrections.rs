//! Correcting what was metered: an operator takes seconds back, and `meter_usage` gives back what they cost.
//!
//! A correction reaches back to the beginning of the month in which the rental was charged last, while that is open. What was charged before
//! stands on an invoice, or will, and is given back by a credit note.
use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::money::format_nanos;
use cairn_core::{AllocationId, Decider as _, HoldId, Nanos, chart};
use cairn_finance::Period;
use cairn_ledger::{Hold, Wallet, wallet_id};
use serde_json::json;

use crate::answers::first_answer;
use crate::{CommandContext, Commands, ExecuteError, Executed, Executor, Expected};

/// A wish to take metered seconds back.
#[derive(Debug, Clone)]
pub struct CorrectUsage {
    /// Of which rental.
    pub allocation_id: AllocationId,
    /// How many.
    pub seconds: i64,
    /// Why, in the operator's words.
    pub reason: String,
    /// What was seen of the rental.
    pub expected: Expected,
}

/// Takes metered seconds back. Answers `{"seconds"}`: how many are metered then.
///
/// # Errors
/// `unknown_allocation`, `correction_not_positive`, `correction_exceeds_usage`, `reason_needed`, `usage_invoiced`, `precondition_failed`.
pub async fn correct_usage(
    commands: &Commands,
    context: &CommandContext,
    input: CorrectUsage,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let CorrectUsage { allocation_id, seconds, reason, expected } = input;
    let executor = &commands.executor;
    let stream = allocation_id.to_string();
    let (rental, _) = executor.load::<Allocation>(&stream).await?;
    let correct = AllocationCommand::CorrectUsage { seconds, reason, at: commands.clock.now() };
    let corrected = rental.decide(correct.clone()).map(|facts| rental.evolve_all(facts));
    let result = match &corrected {
        Ok(rental) => json!({ "seconds": rental.metered_seconds() }),
        Err(_) => json!(null),
    };
    if let Ok(rental) = corrected
        && let Some(why) = beyond(executor, &rental).await?
    {
        return executor.refuse::<Allocation>(&stream, ("usage_invoiced", why), context).await;
    }
    let stream = (stream.as_str(), expected);
    executor.execute_upon::<Allocation>(stream, correct, context, result).await
}

/// Why a rental that is corrected cannot be charged so, if it cannot.
async fn beyond(executor: &Executor, rental: &Allocation) -> Result<Option<String>, ExecuteError> {
    let known = rental.organisation_id.zip(rental.price).zip(rental.placement);
    let Some(((owner, price), placement)) = known else { return Ok(None) };
    let total_nanos = rental.total_nanos().unwrap_or(Nanos::MAX);
    let wallet = wallet_id(owner, price.currency);
    let (wallet, _) = executor.load::<Wallet>(&wallet).await?;
    let hold = wallet.holds.get(&placement.hold_id.to_string());
    let back_nanos = hold.map_or(0, Hold::charged_nanos).saturating_sub(total_nanos);
    if back_nanos <= 0 {
        return Ok(None);
    }
    let accounts = [
        chart::wallet_paid(owner, price.currency),
        chart::wallet_promo(owner, price.currency),
        chart::receivable_overrun(owner, price.currency),
    ];
    let (month, open_nanos) = charged_last(executor, &accounts, placement.hold_id).await?;
    Ok((back_nanos > open_nanos).then(|| {
        let (back, open) = (format_nanos(back_nanos), format_nanos(open_nanos));
        format!(
            "{back} {} would be given back, and {open} of it was charged in {month} while that is open: credit the invoice for the rest",
            price.currency
        )
    }))
}

/// The month in which a hold was charged last, and what was charged to it in that month, if it is open.
async fn charged_last(
    executor: &Executor,
    accounts: &[String],
    hold_id: HoldId,
) -> Result<(String, Nanos), ExecuteError> {
    let row = sqlx::query!(
        r#"SELECT to_char(t.effective_on, 'YYYY-MM') AS "month!", sum(p.amount_nanos)::bigint AS "nanos!"
           FROM ledger_postings p JOIN ledger_journal_transactions t USING (position)
           WHERE p.account = ANY ($1) AND t.kind IN ('usage', 'overrun', 'usage_corrected')
             AND split_part(t.source_id, ':', 1) = $2
           GROUP BY 1 ORDER BY 1 DESC LIMIT 1"#,
        accounts,
        hold_id.to_string()
    );
    let row = row.fetch_optional(executor.log().pool()).await;
    let row = row.map_err(|error| ExecuteError::Unavailable(error.to_string()))?;
    let Some(row) = row else { return Ok(("no month".to_owned(), 0)) };
    let (period, _) = executor.load::<Period>(&row.month).await?;
    Ok((row.month, if period.closed { 0 } else { row.nanos.max(0) }))
}

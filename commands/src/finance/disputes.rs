//! Disputes that the provider's book has and ours have not are asked about: a webhook that never comes costs nothing but time.
use cairn_core::Timestamp;
use sqlx::PgPool;

use super::{FinanceError, Period};
use crate::answers::derived;
use crate::effects::follow_dispute::record_found;
use crate::ports::{FailureKind, PaymentPort};
use crate::replay::instant;
use crate::{CommandContext, ExecuteError, Executor};

/// Records what the provider says of every dispute whose money has moved in the copy of its book and not in ours, as far back as the period
/// looks. Answers how many there were. What is no dispute of ours, or does not fit, is left to the reconciliation, which names it.
pub(super) async fn record_unheard(
    port: &dyn PaymentPort,
    executor: &Executor,
    context: &CommandContext,
    period: &Period,
) -> Result<u64, FinanceError> {
    let mut recorded = 0;
    for provider_id in unheard(executor.log().pool(), period.look_back().from).await? {
        let reported = match port.dispute(&provider_id).await {
            Ok(reported) => reported,
            Err(error) if error.kind == FailureKind::Transient => return Err(error.into()),
            Err(error) => {
                tracing::warn!(provider_id, %error, "a dispute cannot be looked up");
                continue;
            }
        };
        let context = derived(context, &provider_id);
        match record_found(executor, &context, &reported, period.now).await {
            Ok(_) => recorded += 1,
            Err(ExecuteError::Refused { code, .. }) => {
                tracing::warn!(
                    provider_id,
                    code,
                    "a dispute of the provider's book is not recorded"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(recorded)
}

/// Disputes with a movement that is not in the journal, oldest first.
async fn unheard(pool: &PgPool, since: Timestamp) -> Result<Vec<String>, FinanceError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT x.source_id AS "source_id!" FROM finance_external_transactions x
           WHERE x.category IN ('dispute', 'dispute_reversal') AND x.source_id IS NOT NULL AND x.created_at >= $1
             AND NOT EXISTS (SELECT FROM ledger_journal_transactions t WHERE t.reference =
                 CASE x.category WHEN 'dispute' THEN 'stripe/' ELSE 'stripe_dispute_reversal/' END || x.source_id)
           GROUP BY x.source_id ORDER BY min(x.created_at), x.source_id"#,
        instant(since)
    );
    Ok(rows.fetch_all(pool).await?)
}

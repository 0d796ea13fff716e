//! Payouts that the provider's book has are booked: nobody else says that one was made. Where they have arrived, the bank says.
use std::collections::BTreeSet;

use cairn_core::{Currency, Decider as _, Nanos, PayoutId, Timestamp};
use cairn_finance::{BreakCase, BreakType, Status, break_id};
use cairn_payments::{PayOut, Payout, PayoutCommand, PayoutEvent};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use super::{FinanceError, bank, mirror};
use crate::answers::derived;
use crate::ports::{FailureKind, PaymentPort, ProviderItems, ProviderPayout, ProviderTransaction};
use crate::replay::{instant, timestamp};
use crate::{CommandContext, Executor};

/// Our id of a payout: the same whenever it is heard of.
#[must_use]
pub fn payout_id(provider_id: &str) -> PayoutId {
    let hash = Sha256::digest(format!("payout {provider_id}"));
    let bits = hash.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    PayoutId::from_bits(bits)
}

/// What was booked. A repeat books nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Booked {
    /// Payouts that left the provider.
    pub paid_out: u64,
    /// Payouts that came back to it.
    pub returned: u64,
    /// Payouts that are at the bank.
    pub arrived: u64,
    /// Payouts that the bank has sent back.
    pub taken_back: u64,
}

/// Copies the provider's book, books every payout in it that our books do not have, and asks what those are made of that are new or
/// on their way; then books what the bank's lines say of them. What does not fit (another amount, a second line of one payout, money taken from the bank) is left to the
/// reconciliation, which names it.
///
/// # Errors
/// [`FinanceError`]; what was booked until then stays, and a repeat goes on from there.
pub async fn book_payouts(
    port: &dyn PaymentPort,
    executor: &Executor,
    context: &CommandContext,
    now: Timestamp,
) -> Result<Booked, FinanceError> {
    let pool = executor.log().pool();
    mirror(port, pool, now).await?;
    let mut booked = Booked::default();
    for line in unbooked(pool).await? {
        book(executor, context, line, &mut booked).await?;
    }
    let on_their_way = in_transit(executor).await?;
    let on_their_way = on_their_way.into_iter().filter_map(|payout| payout.provider_id);
    let mut asked: BTreeSet<String> = on_their_way.collect();
    asked.extend(not_itemised(pool).await?);
    for provider_id in asked {
        copy(port, pool, &provider_id, now).await?;
    }
    bank::arrivals::book(executor, context, &mut booked).await?;
    tracing::info!(?booked, "booked payouts of the provider's book and of the bank's statements");
    Ok(booked)
}

/// A line of a payout, as it was copied first.
struct Line {
    id: String,
    provider_id: String,
    leaves: bool,
    currency: String,
    amount_nanos: Nanos,
    fee_nanos: Nanos,
    at: Timestamp,
}

/// Lines of payouts whose movement or fee is not in the books, oldest first.
async fn unbooked(pool: &PgPool) -> Result<Vec<Line>, FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT x.id, x.source_id AS "source_id!", x.category = 'payout' AS "leaves!", x.currency, x.amount_nanos,
                  x.fee_nanos, x.created_at
           FROM finance_external_transactions x
           WHERE x.category IN ('payout', 'payout_failure', 'payout_cancel', 'payout_reversal') AND x.source_id IS NOT NULL
             AND NOT EXISTS (SELECT FROM finance_external_transactions f WHERE f.id = x.id
                             AND (f.mirrored_at, f.content) < (x.mirrored_at, x.content))
             AND (NOT EXISTS (SELECT FROM ledger_journal_transactions t WHERE t.reference =
                      CASE x.category WHEN 'payout' THEN 'stripe/' ELSE 'stripe_payout_return/' END || x.source_id)
                  OR x.fee_nanos <> 0
                     AND NOT EXISTS (SELECT FROM ledger_journal_transactions t WHERE t.reference = 'stripe_fee/' || x.id))
           ORDER BY x.created_at, x.category <> 'payout', x.id"#
    )
    .fetch_all(pool)
    .await?;
    let lines = rows.into_iter().map(|row| Line {
        id: row.id,
        provider_id: row.source_id,
        leaves: row.leaves,
        currency: row.currency,
        amount_nanos: row.amount_nanos,
        fee_nanos: row.fee_nanos,
        at: timestamp(row.created_at),
    });
    Ok(lines.collect())
}

async fn book(
    executor: &Executor,
    context: &CommandContext,
    line: Line,
    booked: &mut Booked,
) -> Result<(), FinanceError> {
    let Ok(currency) = line.currency.parse::<Currency>() else {
        // The reconciliation says that no books are kept in it.
        return Ok(());
    };
    if is_settled(executor, &line.id).await? {
        return Ok(());
    }
    let Line { id: transaction_id, provider_id, leaves, amount_nanos, fee_nanos, at, .. } = line;
    let payout_id = payout_id(&provider_id);
    let movement = if leaves {
        let (transaction_id, amount_nanos) = (transaction_id.clone(), -amount_nanos);
        let paid = PayOut { payout_id, provider_id, transaction_id, currency, amount_nanos, at };
        PayoutCommand::PayOut(paid)
    } else {
        PayoutCommand::Return { transaction_id: transaction_id.clone(), amount_nanos, at }
    };
    for event in send(executor, context, (payout_id, &transaction_id), movement).await? {
        match event {
            PayoutEvent::PaidOut { .. } => booked.paid_out += 1,
            PayoutEvent::Returned { .. } => booked.returned += 1,
            PayoutEvent::FeeRecorded { .. }
            | PayoutEvent::Arrived { .. }
            | PayoutEvent::TakenBack { .. } => {}
        }
    }
    if fee_nanos != 0 {
        let of = (payout_id, format!("fee:{transaction_id}"));
        let fee = PayoutCommand::RecordFee { transaction_id, fee_nanos, at };
        send(executor, context, (of.0, &of.1), fee).await?;
    }
    Ok(())
}

/// Whether somebody has posted for a line already what nothing else was there to book.
async fn is_settled(executor: &Executor, transaction_id: &str) -> Result<bool, FinanceError> {
    let id = break_id(BreakType::MissingInternal, Some(transaction_id), None).to_string();
    let (case, _) = executor.load::<BreakCase>(&id).await?;
    Ok(matches!(case.status, Status::Posted | Status::WrittenOff))
}

/// Asks a payout, if that changes anything: what it refuses would be refused each time, and a break says what is wrong.
pub(super) async fn send(
    executor: &Executor,
    context: &CommandContext,
    (payout_id, name): (PayoutId, &str),
    command: PayoutCommand,
) -> Result<Vec<PayoutEvent>, FinanceError> {
    let stream = payout_id.to_string();
    let (payout, _) = executor.load::<Payout>(&stream).await?;
    let events = match payout.decide(command.clone()) {
        Ok(events) => events,
        Err(error) => {
            tracing::warn!(%payout_id, name, %error, "a line does not fit its payout");
            return Ok(vec![]);
        }
    };
    if !events.is_empty() {
        let context = derived(context, &format!("{stream}:{name}"));
        let result = json!({ "payout_id": payout_id });
        executor.execute::<Payout>(&stream, command, &context, result).await?;
    }
    Ok(events)
}

/// Payouts that have left the provider and are nowhere, by the type of their last event: that stays in the table when its bulk has moved
/// to an archive.
pub(super) async fn in_transit(executor: &Executor) -> Result<Vec<Payout>, FinanceError> {
    let rows = sqlx::query_scalar!(
        "SELECT aggregate_id FROM (
             SELECT DISTINCT ON (aggregate_id) aggregate_id, event_type FROM events
             WHERE aggregate_type = 'payout' ORDER BY aggregate_id, sequence DESC) AS last
         WHERE event_type IN ('payout.paid_out', 'payout.fee_recorded') ORDER BY aggregate_id"
    );
    let mut payouts = Vec::new();
    for id in rows.fetch_all(executor.log().pool()).await? {
        let (payout, _) = executor.load::<Payout>(&id).await?;
        payouts.extend(payout.is_in_transit().then_some(payout));
    }
    Ok(payouts)
}

/// Payouts of which it is not known yet what they are made of.
async fn not_itemised(pool: &PgPool) -> Result<Vec<String>, FinanceError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT DISTINCT x.source_id AS "source_id!" FROM finance_external_transactions x
           WHERE x.category = 'payout' AND x.source_id IS NOT NULL
             AND NOT EXISTS (SELECT FROM finance_external_payouts p
                             WHERE p.payout_id = x.source_id AND p.items <> 'not_yet')"#
    );
    Ok(rows.fetch_all(pool).await?)
}

/// Copies what the provider says of a payout beside its lines. One that it does not know any more stays as it was.
async fn copy(
    port: &dyn PaymentPort,
    pool: &PgPool,
    provider_id: &str,
    now: Timestamp,
) -> Result<(), FinanceError> {
    let payout = match port.payout(provider_id).await {
        Ok(payout) => payout,
        Err(error) if error.kind == FailureKind::Transient => return Err(error.into()),
        Err(error) => {
            tracing::warn!(provider_id, %error, "a payout cannot be looked up");
            return Ok(());
        }
    };
    let items = match payout.items {
        ProviderItems::Complete => port.payout_items(provider_id).await?,
        ProviderItems::NotYet | ProviderItems::Never => vec![],
    };
    keep(pool, &payout, &items, now).await
}

async fn keep(
    pool: &PgPool,
    payout: &ProviderPayout,
    items: &[ProviderTransaction],
    now: Timestamp,
) -> Result<(), FinanceError> {
    let ProviderPayout { provider_id, items: state, descriptor, trace, arrives_at } = payout;
    let says = json!([provider_id, state, descriptor, trace, arrives_at]);
    let state = match state {
        ProviderItems::Complete => "complete",
        ProviderItems::NotYet => "not_yet",
        ProviderItems::Never => "never",
    };
    let mut transaction = pool.begin().await?;
    sqlx::query!(
        "INSERT INTO finance_external_payouts (payout_id, content, items, descriptor, trace, arrives_at, mirrored_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (payout_id, content) DO NOTHING",
        provider_id,
        hex::encode(Sha256::digest(says.to_string())),
        state,
        descriptor.as_deref(),
        trace.as_deref(),
        instant(*arrives_at),
        instant(now)
    )
    .execute(&mut *transaction)
    .await?;
    for item in items {
        sqlx::query!(
            "INSERT INTO finance_payout_items (payout_id, transaction_id, currency, net_nanos)
             VALUES ($1, $2, $3, $4) ON CONFLICT (payout_id, transaction_id) DO NOTHING",
            provider_id,
            item.id,
            item.currency,
            item.net_nanos
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

//! What a reconciliation looks at: the period's lines and postings, and their counterparts at any time.
use std::collections::BTreeMap;

use cairn_core::{BreakId, Nanos, RefundId, Timestamp};
use cairn_finance::{BreakCase, Disagreement};
use sqlx::{Executor as _, PgConnection, PgPool};
use time::OffsetDateTime;

use super::{FinanceError, Period};
use crate::Executor;
use crate::replay::{instant, timestamp};

/// A line of the provider's book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub id: String,
    pub content: String,
    pub source_id: Option<String>,
    pub category: String,
    pub currency: String,
    pub amount_nanos: Nanos,
    pub fee_nanos: Nanos,
    pub net_nanos: Nanos,
    pub created_at: Timestamp,
    pub mirrored_at: Timestamp,
}

/// A posting on a `stripe:*` account with its journal transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leg {
    pub position: i64,
    pub kind: String,
    pub source: String,
    pub source_id: String,
    pub reverses: Option<String>,
    pub currency: String,
    pub amount_nanos: Nanos,
    pub occurred_at: Timestamp,
    pub posted_at: Timestamp,
}

impl Leg {
    pub fn reference(&self) -> String {
        format!("{}/{}", self.source, self.source_id)
    }
}

/// What the cases are about that something was posted for.
pub(super) type Subjects = BTreeMap<BreakId, Disagreement>;

/// One of the lines that a payout is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub currency: String,
    pub net_nanos: Nanos,
}

/// What payouts are made of, by the provider's id of each.
pub(super) type Items = BTreeMap<String, Vec<Item>>;

/// Lines and legs, each oldest first.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub lines: Vec<Line>,
    pub legs: Vec<Leg>,
    pub subjects: Subjects,
    /// Of payouts among the lines, where the provider has said it completely.
    pub items: Items,
}

/// All that a reconciliation looks at.
pub(super) struct Books {
    pub period: Facts,
    /// Of the look back.
    pub before: Facts,
    pub sums: Sums,
}

/// Loads the period, what comes before it, and the sums, all from one moment of the database.
pub(super) async fn load(
    executor: &Executor,
    period: &Period,
    before: &Period,
) -> Result<Books, FinanceError> {
    let mut transaction = executor.log().pool().begin().await?;
    transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let corrections = corrections(&mut transaction).await?;
    let subjects = subjects(executor, &corrections).await?;
    let books = Books {
        before: facts(&mut transaction, before, (&corrections, &subjects)).await?,
        period: facts(&mut transaction, period, (&corrections, &subjects)).await?,
        sums: sums(&mut transaction, period).await?,
    };
    transaction.rollback().await?;
    Ok(books)
}

/// The `source_id` of everything that was posted to settle a break: few, as each is somebody's doing.
async fn corrections(connection: &mut PgConnection) -> Result<Vec<String>, FinanceError> {
    let posted = sqlx::query_scalar!(
        "SELECT source_id FROM ledger_journal_transactions WHERE source = 'break' ORDER BY position"
    );
    Ok(posted.fetch_all(connection).await?)
}

/// What those breaks are about, as their cases remember it.
async fn subjects(executor: &Executor, corrections: &[String]) -> Result<Subjects, FinanceError> {
    let mut subjects = Subjects::new();
    for source_id in corrections {
        let id = source_id.split(':').next().unwrap_or_default();
        let Ok(break_id) = id.parse() else {
            return Err(FinanceError::Corrupt(format!("break/{source_id} names no break")));
        };
        let (case, _) = executor.load::<BreakCase>(id).await?;
        let Some(item) = case.item else {
            return Err(FinanceError::Corrupt(format!("break/{source_id} has no case")));
        };
        subjects.insert(break_id, item);
    }
    Ok(subjects)
}

/// A period and every counterpart.
async fn facts(
    connection: &mut PgConnection,
    period: &Period,
    (corrections, subjects): (&[String], &Subjects),
) -> Result<Facts, FinanceError> {
    let corrected =
        subjects.values().filter_map(|item| item.transaction_id.clone()).collect::<Vec<_>>();
    let posted = corrections.iter().map(|source_id| format!("break/{source_id}"));
    let posted = posted.chain(subjects.values().filter_map(|item| item.reference.clone()));
    let posted: Vec<String> = posted.collect();
    let mut facts = Facts {
        lines: lines(connection, Some(period), &[], &corrected).await?,
        legs: legs(connection, Some(period), &posted).await?,
        subjects: subjects.clone(),
        items: Items::new(),
    };
    // A counterpart may bring in others: the failure of a refund, a second line of the same charge.
    for _ in 0..2 {
        let mut sources: Vec<String> =
            facts.lines.iter().filter_map(|line| line.source_id.clone()).collect();
        let mut fees: Vec<String> = facts.lines.iter().map(|line| line.id.clone()).collect();
        for leg in &facts.legs {
            let reversed = leg.reverses.as_deref().and_then(|name| name.strip_prefix("stripe/"));
            sources.push(reversed.unwrap_or(&leg.source_id).to_owned());
            fees.push(leg.source_id.clone());
        }
        let references: Vec<String> = sources
            .iter()
            .flat_map(|id| {
                ["stripe", "stripe_dispute_reversal", "stripe_payout_return"]
                    .map(|source| format!("{source}/{id}"))
            })
            .chain(fees.iter().map(|id| format!("stripe_fee/{id}")))
            .collect();
        facts.lines.extend(lines(connection, None, &sources, &fees).await?);
        facts.legs.extend(legs(connection, None, &references).await?);
        facts.lines.sort_by(|a, b| line_order(a).cmp(&line_order(b)));
        facts.lines.dedup();
        facts.legs.sort_by_key(leg_order);
        facts.legs.dedup();
    }
    let payouts = facts.lines.iter().filter(|line| line.category == "payout");
    let payouts: Vec<String> = payouts.filter_map(|line| line.source_id.clone()).collect();
    facts.items = items(connection, &payouts).await?;
    Ok(facts)
}

fn line_order(line: &Line) -> (Timestamp, &str, Timestamp, &str) {
    (line.created_at, &line.id, line.mirrored_at, &line.content)
}

fn leg_order(leg: &Leg) -> (Timestamp, i64, Nanos) {
    (leg.occurred_at, leg.position, leg.amount_nanos)
}

/// Bounds of a period for a query; without one, nothing is between them.
fn bounds(period: Option<&Period>) -> (OffsetDateTime, OffsetDateTime) {
    let nothing = instant(Timestamp::from_secs(0));
    period.map_or((nothing, nothing), |period| (instant(period.from), instant(period.until)))
}

async fn lines(
    connection: &mut PgConnection,
    period: Option<&Period>,
    sources: &[String],
    ids: &[String],
) -> Result<Vec<Line>, FinanceError> {
    let (from, until) = bounds(period);
    let rows = sqlx::query!(
        "SELECT * FROM finance_external_transactions
         WHERE (created_at >= $1 AND created_at < $2) OR source_id = ANY($3) OR id = ANY($4)
         ORDER BY created_at, id, mirrored_at, content",
        from,
        until,
        sources,
        ids
    )
    .fetch_all(connection)
    .await?;
    let line = |row| {
        let Row { id, content, source_id, category, currency, amounts, created_at, mirrored_at } =
            row;
        let [amount_nanos, fee_nanos, net_nanos] = amounts;
        let (created_at, mirrored_at) = (timestamp(created_at), timestamp(mirrored_at));
        Line {
            id,
            content,
            source_id,
            category,
            currency,
            amount_nanos,
            fee_nanos,
            net_nanos,
            created_at,
            mirrored_at,
        }
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            line(Row {
                id: row.id,
                content: row.content,
                source_id: row.source_id,
                category: row.category,
                currency: row.currency,
                amounts: [row.amount_nanos, row.fee_nanos, row.net_nanos],
                created_at: row.created_at,
                mirrored_at: row.mirrored_at,
            })
        })
        .collect())
}

struct Row {
    id: String,
    content: String,
    source_id: Option<String>,
    category: String,
    currency: String,
    amounts: [Nanos; 3],
    created_at: OffsetDateTime,
    mirrored_at: OffsetDateTime,
}

async fn legs(
    connection: &mut PgConnection,
    period: Option<&Period>,
    references: &[String],
) -> Result<Vec<Leg>, FinanceError> {
    let (from, until) = bounds(period);
    let rows = sqlx::query!(
        "SELECT t.position, t.kind, t.source, t.source_id, t.reverses, p.currency, p.amount_nanos,
                t.occurred_at, t.posted_at
         FROM ledger_accounts a
         JOIN ledger_postings p ON p.account = a.code AND NOT starts_with(p.account, 'wallet:')
         JOIN ledger_journal_transactions t ON t.position = p.position
         WHERE starts_with(a.code, 'stripe:')
           AND ((t.occurred_at >= $1 AND t.occurred_at < $2) OR t.reference = ANY($3) OR t.reverses = ANY($3))
         ORDER BY t.occurred_at, t.position, p.leg",
        from,
        until,
        references
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Leg {
            position: row.position,
            kind: row.kind,
            source: row.source,
            source_id: row.source_id,
            reverses: row.reverses,
            currency: row.currency,
            amount_nanos: row.amount_nanos,
            occurred_at: timestamp(row.occurred_at),
            posted_at: timestamp(row.posted_at),
        })
        .collect())
}

/// What these payouts are made of. One of nothing is there as well.
async fn items(connection: &mut PgConnection, payouts: &[String]) -> Result<Items, FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT p.payout_id, i.currency AS "currency?", i.net_nanos AS "net_nanos?"
           FROM (SELECT DISTINCT payout_id FROM finance_external_payouts
                 WHERE payout_id = ANY($1) AND items = 'complete') AS p
           LEFT JOIN finance_payout_items i ON i.payout_id = p.payout_id
           ORDER BY p.payout_id, i.transaction_id"#,
        payouts
    )
    .fetch_all(connection)
    .await?;
    let mut items = Items::new();
    for row in rows {
        let of = items.entry(row.payout_id).or_default();
        let item = row.currency.zip(row.net_nanos);
        of.extend(item.map(|(currency, net_nanos)| Item { currency, net_nanos }));
    }
    Ok(items)
}

/// Sums before, in and after the period.
pub(super) type Sums = BTreeMap<String, Sum>;

/// Nanos by currency.
pub(super) type Totals = BTreeMap<String, Nanos>;

/// One currency's sums: the provider's lines net, and our `stripe:*` accounts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub lines: [i64; 3],
    pub legs: [i64; 2],
}

async fn sums(connection: &mut PgConnection, period: &Period) -> Result<Sums, FinanceError> {
    let (from, until) = bounds(Some(period));
    let mut sums = Sums::new();
    let lines = sqlx::query!(
        r#"SELECT currency,
                  coalesce(sum(net_nanos) FILTER (WHERE created_at < $1), 0)::bigint AS "before!",
                  coalesce(sum(net_nanos) FILTER (WHERE created_at < $2), 0)::bigint AS "until!",
                  coalesce(sum(net_nanos) FILTER (WHERE created_at >= $2), 0)::bigint AS "later!"
           FROM (SELECT DISTINCT ON (id) currency, net_nanos, created_at
                 FROM finance_external_transactions ORDER BY id, mirrored_at DESC, content DESC) AS latest
           GROUP BY currency"#,
        from,
        until
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in lines {
        sums.entry(row.currency).or_default().lines = [row.before, row.until, row.later];
    }
    let legs = sqlx::query!(
        r#"SELECT p.currency,
                  coalesce(sum(p.amount_nanos) FILTER (WHERE t.occurred_at < $1), 0)::bigint AS "before!",
                  coalesce(sum(p.amount_nanos) FILTER (WHERE t.occurred_at < $2), 0)::bigint AS "until!"
           FROM ledger_accounts a
           JOIN ledger_postings p ON p.account = a.code AND NOT starts_with(p.account, 'wallet:')
           JOIN ledger_journal_transactions t ON t.position = p.position
           WHERE starts_with(a.code, 'stripe:') GROUP BY p.currency"#,
        from,
        until
    )
    .fetch_all(connection)
    .await?;
    for row in legs {
        sums.entry(row.currency).or_default().legs = [row.before, row.until];
    }
    Ok(sums)
}

/// What the mirrored lines add up to, by currency, without those that come to nothing. Of a line that was changed, the latest counts.
pub(super) async fn mirrored_totals(pool: &PgPool) -> Result<Totals, FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT currency, sum(net_nanos)::bigint AS "total!"
           FROM (SELECT DISTINCT ON (id) currency, net_nanos
                 FROM finance_external_transactions ORDER BY id, mirrored_at DESC, content DESC) AS latest
           GROUP BY currency"#
    )
    .fetch_all(pool)
    .await?;
    let totals = rows.into_iter().map(|row| (row.currency, row.total));
    Ok(totals.filter(|(_, total)| *total != 0).collect())
}

/// Whether the process of a refund still asks the provider by itself.
pub(super) async fn is_asked_about(
    pool: &PgPool,
    refund_id: RefundId,
) -> Result<bool, FinanceError> {
    let asked = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM process_states
                          WHERE process = 'refund_payment' AND key = $1 AND status = 'running')
              AND NOT EXISTS (SELECT FROM process_intents
                              WHERE process = 'refund_payment' AND key = $1 AND status = 'needs_operator')
              AS "asked!""#,
        refund_id.to_string()
    );
    Ok(asked.fetch_one(pool).await?)
}

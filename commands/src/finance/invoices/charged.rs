//! What was charged in a month, out of the journal and the events that wrote it.
use std::collections::BTreeMap;

use cairn_compute::{Allocation, PinnedPrice};
use cairn_core::{AllocationId, HoldId, Month, Nanos, Tax, chart};
use cairn_event_log::Recorded;
use cairn_finance::invoice::{Balance, Counted, PaidFrom};
use cairn_finance::paper::Charged;
use cairn_ledger::WalletEvent;
use sqlx::PgConnection;

use super::parts::{Moved, Part, parts};
use super::{Counting, Wallet};
use crate::Executor;
use crate::finance::FinanceError;

/// What was charged to one wallet.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub holds: Vec<OfHold>,
    pub paid_from: PaidFrom,
}

/// What was charged out of one hold to one income account.
#[derive(Debug)]
pub(super) struct OfHold {
    pub hold_id: HoldId,
    product: String,
    pub net_nanos: Nanos,
    pub taxes: BTreeMap<String, Nanos>,
    /// Positions of the first charge and of the last.
    first: i64,
    last: i64,
    /// Accounts that charges of this wallet are taken from.
    pub debited: [String; 3],
}

/// An account, what it was credited, and the positions of the first charge and of the last.
pub(super) type Credited = (String, Nanos, i64, i64);

pub(super) fn corrupt(what: impl Into<String>) -> FinanceError {
    FinanceError::Corrupt(what.into())
}

/// The last position of the log, as a transaction sees it.
pub(super) async fn head(connection: &mut PgConnection) -> Result<i64, FinanceError> {
    let head = sqlx::query_scalar!("SELECT position FROM log_head").fetch_one(connection);
    Ok(head.await?)
}

/// Accounts that charges of a wallet are taken from.
fn debited((organisation_id, currency): Wallet) -> [String; 3] {
    [
        chart::wallet_paid(organisation_id, currency),
        chart::wallet_promo(organisation_id, currency),
        chart::receivable_overrun(organisation_id, currency),
    ]
}

/// The wallets that anything was charged to in a month, in the order of their organisations.
pub(super) async fn wallets(
    executor: &Executor,
    month: Month,
) -> Result<Vec<Wallet>, FinanceError> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT split_part(p.account, ':', 3) COLLATE "C" AS "organisation!", p.currency
           FROM ledger_journal_transactions t JOIN ledger_postings p USING (position)
           WHERE t.kind IN ('usage', 'overrun') AND p.amount_nanos > 0
             AND t.effective_on >= $1::text::date AND t.effective_on < $2::text::date
           ORDER BY 1, 2"#,
        month.first_day(),
        month.next().first_day()
    );
    let rows = rows.fetch_all(executor.log().pool()).await?;
    let wallet = |organisation: &str, currency: &str| {
        Some((organisation.parse().ok()?, currency.parse().ok()?))
    };
    let read = rows.into_iter().map(|row| {
        let no_wallet =
            || corrupt(format!("no wallet of {} in {}", row.organisation, row.currency));
        wallet(&row.organisation, &row.currency).ok_or_else(no_wallet)
    });
    read.collect()
}

/// What was charged to a wallet in a month, after one position and up to another.
pub(super) async fn found(
    connection: &mut PgConnection,
    (wallet, month): (Wallet, Month),
    counted: Counted,
) -> Result<Found, FinanceError> {
    let debited = debited(wallet);
    let rows = sqlx::query!(
        r#"SELECT split_part(t.source_id, ':', 1) AS "hold!", p.account, sum(p.amount_nanos)::bigint AS "amount!",
                  min(t.position) AS "first!", max(t.position) AS "last!"
           FROM ledger_journal_transactions t JOIN ledger_postings p USING (position)
           WHERE t.position IN (SELECT position FROM ledger_postings WHERE account = ANY ($1) AND position > $2 AND position <= $3)
             AND t.kind IN ('usage', 'overrun', 'usage_corrected')
             AND t.effective_on >= $4::text::date AND t.effective_on < $5::text::date
           GROUP BY 1, p.account ORDER BY min(t.position), p.account"#,
        &debited[..],
        counted.after_position,
        counted.position,
        month.first_day(),
        month.next().first_day()
    );
    let mut holds = BTreeMap::<String, Vec<Credited>>::new();
    let mut found = Found::default();
    for row in rows.fetch_all(connection).await? {
        match debited.iter().position(|account| *account == row.account) {
            Some(0) => found.paid_from.prepaid_nanos += row.amount,
            Some(1) => found.paid_from.promotional_nanos += row.amount,
            Some(_) => found.paid_from.owed_nanos += row.amount,
            None => {
                holds.entry(row.hold).or_default().push((
                    row.account,
                    -row.amount,
                    row.first,
                    row.last,
                ));
            }
        }
    }
    for (hold, credited) in holds {
        let hold_id = hold.parse().map_err(|_| corrupt(format!("'{hold}' is no hold")))?;
        found.holds.push(of_hold((hold_id, debited.clone()), credited)?);
    }
    Ok(found)
}

/// Income and taxes of one hold. A hold pays for one product.
pub(super) fn of_hold(
    (hold_id, debited): (HoldId, [String; 3]),
    credited: Vec<Credited>,
) -> Result<OfHold, FinanceError> {
    let mut taxes = BTreeMap::new();
    let mut income = None;
    for (account, nanos, first, last) in credited {
        let inner = |kind: &str| {
            let rest = account.strip_prefix(kind)?;
            rest.rsplit_once(':').map(|(inner, _)| inner.to_owned())
        };
        if let Some(jurisdiction) = inner("tax:") {
            *taxes.entry(jurisdiction).or_default() += nanos;
        } else if let (Some(product), None) = (inner("usage:"), &income) {
            income = Some((product, nanos, first, last));
        } else {
            return Err(corrupt(format!("a charge of {hold_id} credits {account}")));
        }
    }
    taxes.retain(|_, nanos| *nanos != 0);
    let none = || corrupt(format!("charges of {hold_id} without income"));
    let (product, net_nanos, first, last) = income.ok_or_else(none)?;
    Ok(OfHold { hold_id, product, net_nanos, taxes, first, last, debited })
}

/// What was in the wallet when a month began and ended, as it was posted up to a position.
pub(super) async fn balance(
    connection: &mut PgConnection,
    (wallet, month): (Wallet, Month),
    position: i64,
) -> Result<Balance, FinanceError> {
    let debited = debited(wallet);
    let row = sqlx::query!(
        r#"SELECT coalesce(-sum(p.amount_nanos) FILTER (WHERE t.effective_on < $3::text::date), 0)::bigint AS "opening!",
                  coalesce(-sum(p.amount_nanos), 0)::bigint AS "closing!"
           FROM ledger_postings p JOIN ledger_journal_transactions t USING (position)
           WHERE p.account = ANY ($1) AND p.position <= $2 AND t.effective_on < $4::text::date"#,
        &debited[..2],
        position,
        month.first_day(),
        month.next().first_day()
    );
    let row = row.fetch_one(connection).await?;
    Ok(Balance { opening_nanos: row.opening, closing_nanos: row.closing })
}

/// The lines of a hold: what its charges were for, by the events that made them.
pub(super) async fn lines(
    executor: &Executor,
    hold: OfHold,
    counting: &Counting,
) -> Result<Vec<Charged>, FinanceError> {
    let resource = AllocationId::from_bits(hold.hold_id.bits()).to_string();
    let (rental, _) = executor.load::<Allocation>(&resource).await?;
    let mut lines = vec![];
    for part in parts(executor, hold, counting).await? {
        lines.push(line(executor, (&resource, &rental), part).await?);
    }
    Ok(lines)
}

async fn line(
    executor: &Executor,
    (resource, rental): (&str, &Allocation),
    Part { charged: hold, since: moved, until }: Part,
) -> Result<Charged, FinanceError> {
    let (first, last) = (charge(executor, hold.first).await?, charge(executor, hold.last).await?);
    let (mut from, mut since) = ((rental.activated_at.unwrap_or(first.at), 0), hold.first);
    if first.total_nanos > first.amount_nanos {
        let position = charge_before(executor, &hold).await?;
        let before = charge(executor, position).await?;
        (from, since) = ((before.at, before.seconds), position);
    }
    if let Some(Moved { at, seconds, .. }) = moved {
        from = if from.1 <= seconds { (at, seconds) } else { (from.0.max(at), from.1) };
    }
    let seconds = last.seconds - from.1 + off_invoices(executor, &hold, since).await?;
    let used = (last.seconds - seconds, last.seconds);
    let sold = sold(rental, used);
    let (nanos_per_hour, discount_bps) = sold.as_ref().map_or((None, None), |it| it.price(used));
    Ok(Charged {
        product: hold.product,
        resource: resource.to_owned(),
        sku_id: one_sku(rental, (from.1, last.seconds)).filter(|sku_id| !sku_id.is_empty()),
        from: from.0,
        to: until.map_or(last.at, |moved| last.at.min(moved.at)),
        seconds,
        nanos_per_hour,
        discount_bps,
        tax: sold.and_then(|it| it.tax.cloned()),
        net_nanos: hold.net_nanos,
        taxes: hold.taxes,
    })
}

/// Seconds that corrections took off invoices before between a charge and the last one: what was charged again is of this invoice.
async fn off_invoices(executor: &Executor, hold: &OfHold, since: i64) -> Result<i64, FinanceError> {
    let positions = sqlx::query_scalar!(
        "SELECT DISTINCT p.position FROM ledger_postings p JOIN ledger_journal_transactions t USING (position)
         WHERE p.account = ANY ($1) AND p.position > $2 AND p.position < $3 AND t.kind = 'invoice_corrected'
           AND split_part(t.source_id, ':', 1) = $4",
        &hold.debited[..],
        since,
        hold.last,
        hold.hold_id.to_string()
    );
    let mut seconds = 0;
    for position in positions.fetch_all(executor.log().pool()).await? {
        let found: Option<Recorded> = executor.log().read(position - 1, 1).await?.pop();
        let event = found.map(|found| found.decode()).transpose()?;
        let Some(WalletEvent::UsageCorrected { invoiced: Some(invoiced), .. }) = event else {
            return Err(corrupt(format!("no correction at position {position}")));
        };
        seconds += invoiced.seconds;
    }
    Ok(seconds)
}

/// What it was sold as from one metered second up to another; none when it was resized in between.
fn one_sku(rental: &Allocation, (from, until): (i64, i64)) -> Option<String> {
    let resized = rental.segments.iter().filter_map(|it| it.sku_id.as_ref().zip(Some(it.seconds)));
    match resized.into_iter().find(|(_, ends)| from < *ends) {
        Some((sku_id, ends)) => (until <= ends).then(|| sku_id.clone()),
        None => Some(rental.sku_id.clone()),
    }
}

/// What a rental was sold at, and from which metered second on.
struct Sold<'a> {
    price: PinnedPrice,
    tax: Option<&'a Tax>,
    begins: i64,
}

/// That from one metered second up to another; none when it was moved to another price in between.
fn sold(rental: &Allocation, (from, until): (i64, i64)) -> Option<Sold<'_>> {
    let before = rental.segments.iter().map(|it| (it.price, it.tax.as_ref(), it.seconds));
    let now = rental.price.map(|price| (price, rental.tax.as_ref(), i64::MAX));
    let mut begins = 0;
    for (price, tax, ends) in before.chain(now) {
        if from < ends {
            return (until <= ends).then_some(Sold { price, tax, begins });
        }
        begins = ends;
    }
    None
}

impl Sold<'_> {
    /// What an hour cost before the discount, and the discount; no price when it came to another tier in between.
    fn price(&self, (from, until): (i64, i64)) -> (Option<Nanos>, Option<u32>) {
        let tariff = self.price.tariff();
        let [first, last] =
            [from, (until - 1).max(from)].map(|second| tariff.tier_at(second - self.begins));
        // A discount is not off additional disk: where there is both, the price is what is left of it.
        let alone = self.price.disk.is_none();
        let hour =
            if alone { first.nanos_per_hour } else { tariff.per_hour_at(from - self.begins) };
        let discount = Some(tariff.discount_bps).filter(|bps| alone && *bps > 0);
        ((first == last).then_some(hour), discount)
    }
}

/// A charge as its event says it, or less than nothing where one was corrected. The totals are cumulative.
struct Charge {
    amount_nanos: Nanos,
    total_nanos: Nanos,
    seconds: i64,
    at: cairn_core::Timestamp,
}

async fn charge(executor: &Executor, position: i64) -> Result<Charge, FinanceError> {
    let found: Option<Recorded> = executor.log().read(position - 1, 1).await?.pop();
    let none = || corrupt(format!("no charge at position {position}"));
    match found.ok_or_else(none)?.decode()? {
        WalletEvent::UsageCaptured { amount_nanos, total_nanos, seconds, journal, .. }
        | WalletEvent::OverrunRecorded { amount_nanos, total_nanos, seconds, journal, .. } => {
            Ok(Charge { amount_nanos, total_nanos, seconds, at: journal.occurred_at })
        }
        WalletEvent::UsageCorrected { amount_nanos, total_nanos, seconds, journal, .. } => {
            let (amount_nanos, at) = (-amount_nanos, journal.occurred_at);
            Ok(Charge { amount_nanos, total_nanos, seconds, at })
        }
        _ => Err(none()),
    }
}

/// Where the last charge out of a hold before its first of the month is.
async fn charge_before(executor: &Executor, hold: &OfHold) -> Result<i64, FinanceError> {
    let found = sqlx::query_scalar!(
        "SELECT p.position FROM ledger_postings p JOIN ledger_journal_transactions t USING (position)
         WHERE p.account = ANY ($1) AND p.position < $2 AND t.kind IN ('usage', 'overrun', 'usage_corrected')
           AND split_part(t.source_id, ':', 1) = $3
         ORDER BY p.position DESC LIMIT 1",
        &hold.debited[..],
        hold.first,
        hold.hold_id.to_string()
    );
    let found = found.fetch_optional(executor.log().pool()).await?;
    found.ok_or_else(|| corrupt(format!("the charge of {} before {}", hold.hold_id, hold.first)))
}

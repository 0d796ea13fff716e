//! The ledger: what an organisation has, and how it came to that.
use axum::extract::State;
use cairn_core::{Burn, Currency, OrganisationId, Timestamp};
use cairn_projections::compute::allocations;
use cairn_projections::ledger::{balances, statement};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::money;
use super::page::Page;
use super::reader::{BooksQuery, Reader, Seen};
use super::state::Api;
use crate::auth::Caller;
use crate::charges::ChargeId;
use crate::problem::{Missing, Problem};

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get_balance)).routes(routes!(get_statement))
}

/// What an organisation has, per currency.
#[utoipa::path(get, path = "/v1/balance", operation_id = "get_balance", tag = "ledger",
    params(BooksQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One wallet per currency", body = Page<Wallet>)))]
async fn get_balance(
    State(api): State<Api>,
    reader: Reader<BooksQuery>,
) -> Result<Seen<Page<Wallet>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, balances::NAME).await?;
    let (whose, currency) = (whose(&reader)?, currency(&reader)?);
    let mut db = api.read_for(&reader.caller).await?;
    let rows = balances::list(&mut *db, Some(whose), currency, page.after, page.limit).await?;
    let burn = allocations::burn(&mut *db, whose).await?;
    let now = api.commands.clock.now();
    let shown = |row: balances::Balance| {
        let burn = burn.get(&row.currency).cloned().unwrap_or_default();
        Wallet::of(row, &burn, now)
    };
    Ok(at.saw(reader.shown(rows, shown)?))
}

/// Every movement of the wallets, newest first.
#[utoipa::path(get, path = "/v1/statement", operation_id = "get_statement", tag = "ledger",
    params(BooksQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<StatementLine>)))]
async fn get_statement(
    State(api): State<Api>,
    reader: Reader<BooksQuery>,
) -> Result<Seen<Page<StatementLine>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, statement::NAME).await?;
    let (whose, currency) = (whose(&reader)?, currency(&reader)?);
    let rows = statement::list(
        &mut *api.read_for(&reader.caller).await?,
        whose,
        currency,
        page.after,
        page.limit,
    )
    .await?;
    Ok(at.saw(reader.shown(rows, StatementLine::from)?))
}

/// Whose books: the caller's, or those of the organisation asked for. A foreign one looks like one without books.
fn whose(reader: &Reader<BooksQuery>) -> Result<OrganisationId, Problem> {
    whose_of(&reader.caller, reader.query.organisation_id.as_deref())
}

/// The same of whoever asks.
pub(super) fn whose_of(caller: &Caller, asked: Option<&str>) -> Result<OrganisationId, Problem> {
    let Some(asked) = asked else { return Ok(caller.organisation_id) };
    let asked = asked.parse::<OrganisationId>();
    let asked = asked.map_err(|error| Problem::new("query_invalid", error.to_string()))?;
    if caller.sees(asked) { Ok(asked) } else { Err(Problem::missing(Missing::Organisation)) }
}

fn currency(reader: &Reader<BooksQuery>) -> Result<Option<Currency>, Problem> {
    let parsed = reader.query.currency.as_deref().map(str::parse).transpose();
    parsed.map_err(|error: cairn_core::MoneyError| Problem::new("query_invalid", error.to_string()))
}

/// One wallet. Posted is what is there, paid money and promotional credit; held of it is set aside, available is the rest. Credit whose time is
/// over is not there any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct Wallet {
    /// `org_…`
    pub organisation_id: String,
    /// ISO 4217.
    pub currency: String,
    /// Decimal.
    pub posted: String,
    /// Decimal: of what is posted, what was paid in.
    pub paid: String,
    /// Decimal: of what is posted, promotional credit. It is spent first and never refunded.
    pub promotional: String,
    /// Decimal.
    pub held: String,
    /// Decimal: of what is held, what somebody disputes with their bank. It pays for nothing.
    pub disputed: String,
    /// Decimal: what may be held. Of it, what was paid in may be refunded.
    pub available: String,
    /// Decimal: use that neither hold nor wallet covered.
    pub owed: String,
    /// Decimal: what everything that runs costs in an hour, in the tiers that it is in. What is suspended costs nothing.
    pub per_hour: String,
    /// For how long the posted money pays for that, by the tiers ahead; absent when nothing runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runway_seconds: Option<i64>,
    /// RFC 3339: when it is used up, if nothing changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_out_at: Option<String>,
    /// What follows when it is: `ok`, `low` (less than 72 hours left), `grace` (what runs, runs on what was set aside), `suspended`
    /// (stopped, the data is kept), `retention` (the same, and the day for deleting it is set) or `released` (deleted).
    pub dunning_stage: String,
    /// RFC 3339: when the stage moves on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dunning_until: Option<String>,
}

impl Wallet {
    /// A wallet, with everything that runs.
    pub fn of(row: balances::Balance, burn: &Burn, now: Timestamp) -> Self {
        let runway_seconds = row.runway_seconds(burn);
        Self {
            per_hour: money::decimal(burn.nanos_per_hour()),
            runway_seconds,
            runs_out_at: runway_seconds.map(|seconds| now.plus_secs(seconds).to_string()),
            dunning_stage: row.dunning_stage,
            dunning_until: row.dunning_until.map(|until| until.to_string()),
            organisation_id: row.organisation_id,
            currency: row.currency,
            posted: money::decimal(row.posted_nanos),
            paid: money::decimal(row.paid_nanos),
            promotional: money::decimal(row.promotional_nanos),
            held: money::decimal(row.held_nanos),
            disputed: money::decimal(row.disputed_nanos),
            available: money::decimal(row.available_nanos),
            owed: money::decimal(row.owed_nanos),
        }
    }
}

/// One movement.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementLine {
    /// Where in the log it is.
    pub position: i64,
    /// Of usage and its corrections: `charge_…`, for `GET /v1/charges/{charge_id}/proof`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge_id: Option<String>,
    /// `top_up`, `usage`, `overrun`, `refund_reserved`, `refund_returned`, `credit_granted`,
    /// `credit_expired`, `dispute_lost`, `usage_credited`, `usage_corrected` or `invoice_corrected`.
    pub kind: String,
    /// Decimal; positive is into the wallet.
    pub amount: String,
    /// Decimal: of the amount, promotional credit, with the same sign.
    pub promotional: String,
    /// Decimal: use that no money was left for, and that is owed; less than nothing when it no longer is.
    pub owed: String,
    /// Decimal: of use that is paid or owed, tax.
    pub tax: String,
    /// Decimal: what is in the wallet after it.
    pub balance: String,
    /// ISO 4217.
    pub currency: String,
    /// What it was for: `pay_…`, `alloc_…`, `refund_…`, `credit_…` or `dispute_…`.
    pub reference: String,
    /// Seconds of use charged so far on the same reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// RFC 3339.
    pub occurred_at: String,
}

impl From<statement::Line> for StatementLine {
    fn from(row: statement::Line) -> Self {
        let kind = row.kind.as_str();
        let is_charge =
            matches!(kind, "usage" | "overrun" | "usage_corrected" | "invoice_corrected");
        Self {
            position: row.position,
            charge_id: is_charge.then(|| ChargeId(row.position).to_string()),
            kind: row.kind,
            amount: money::decimal(row.amount_nanos),
            promotional: money::decimal(row.promotional_nanos),
            owed: money::decimal(row.owed_nanos),
            tax: money::decimal(row.tax_nanos),
            balance: money::decimal(row.balance_nanos),
            currency: row.currency,
            reference: row.reference,
            seconds: row.seconds,
            occurred_at: row.occurred_at.to_string(),
        }
    }
}

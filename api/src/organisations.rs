//! Whether there is an organisation. One that people founded has a stream; one whose keys an operator made has none, and is only seen in what it has.
use cairn_core::OrganisationId;
use cairn_projections::QueryError;
use cairn_projections::identity::{api_keys, organisations, organisations_query};
use cairn_projections::ledger::balances;
use sqlx::PgPool;

/// The views that [`is_known`] asks.
pub const ASKED: [&str; 3] = [organisations::NAME, api_keys::NAME, balances::NAME];

/// Whether the views know of it: it was founded, or it has a key or a wallet.
///
/// # Errors
/// The database.
pub async fn is_known(pool: &PgPool, id: OrganisationId) -> Result<bool, QueryError> {
    if organisations_query::get(pool, id).await?.is_some() {
        return Ok(true);
    }
    if !api_keys::list(pool, (Some(id), None), None, 1).await?.items.is_empty() {
        return Ok(true);
    }
    Ok(!balances::list(pool, Some(id), None, None, 1).await?.items.is_empty())
}

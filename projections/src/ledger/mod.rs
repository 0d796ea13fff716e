//! Views of money.
pub mod balances;
mod balances_query;
pub mod changes;
pub mod export;
pub mod statement;
pub mod trial_balance;
pub mod usage;

use cairn_event_log::Recorded;

use crate::ProjectError;

/// Organisation and currency of a wallet's event: the stream's id says both.
pub(crate) fn wallet_of(event: &Recorded) -> Result<(&str, &str), ProjectError> {
    let parts = event.aggregate_id.rsplit_once(':');
    parts.ok_or_else(|| ProjectError::Inconsistent(format!("no wallet: {}", event.aggregate_id)))
}

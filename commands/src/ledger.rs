//! Commands of the ledger context that people send. Most money moves by `payments`, `compute` and the process managers.
use cairn_core::{Currency, OrganisationId};
use cairn_ledger::{Wallet, WalletCommand, wallet_id};
use serde_json::Value;

use crate::{CommandContext, Commands, ExecuteError, Executed};

/// A wallet to look after.
#[derive(Debug, Clone, Copy)]
pub struct SweepHolds {
    /// Whose.
    pub organisation_id: OrganisationId,
    /// In which currency.
    pub currency: Currency,
}

/// Gives back every hold of a wallet whose time is over. Every other command on a wallet does so on its way.
///
/// # Errors
/// Only those of the executor.
pub async fn sweep_holds(
    commands: &Commands,
    context: &CommandContext,
    input: SweepHolds,
) -> Result<Executed, ExecuteError> {
    let sweep = WalletCommand::SweepExpired { at: commands.clock.now() };
    let stream = wallet_id(input.organisation_id, input.currency);
    commands.executor.execute::<Wallet>(&stream, sweep, context, Value::Null).await
}

//! Whether a wallet is filled again by itself: what people say of it.
use cairn_core::{Currency, OrganisationId};
use cairn_ledger::wallet_id;
use cairn_payments::{AutoTopUp, AutoTopUpCommand, Terms};
use serde_json::json;

use crate::{CommandContext, Commands, ExecuteError, Executed};

/// A wish that a wallet be filled again by itself, or not any more. What is absent stays as it was set last.
#[derive(Debug, Clone)]
pub struct SetAutoTopUp {
    /// By whom.
    pub organisation_id: OrganisationId,
    /// Which wallet.
    pub currency: Currency,
    /// Whether.
    pub enabled: bool,
    /// When, and how much.
    pub terms: Option<Terms>,
    /// What is charged, as the provider names it.
    pub payment_method: Option<String>,
}

/// Says whether and how a wallet is filled again by itself; the wallet need not exist. Switches on again what was suspended or stopped. Answers
/// `{"wallet_id"}`; `fill_wallet` goes on.
///
/// # Errors
/// `auto_top_up_invalid`, `amount_out_of_range`, `not_whole_minor_units`.
pub async fn set_auto_top_up(
    commands: &Commands,
    context: &CommandContext,
    input: SetAutoTopUp,
) -> Result<Executed, ExecuteError> {
    let SetAutoTopUp { organisation_id, currency, enabled, terms, payment_method } = input;
    let wallet_id = wallet_id(organisation_id, currency);
    let set = AutoTopUpCommand::Set(cairn_payments::SetAutoTopUp {
        organisation_id,
        currency,
        enabled,
        terms,
        payment_method,
        at: commands.clock.now(),
    });
    let result = json!({ "wallet_id": wallet_id });
    commands.executor.execute::<AutoTopUp>(&wallet_id, set, context, result).await
}

//! Whether a wallet is filled again by itself: what people say of it.
use cairn_core::{Currency, OrganisationId, Refusal as _};
use cairn_ledger::wallet_id;
use cairn_payments::{AutoTopUp, AutoTopUpCommand, Terms};
use serde_json::json;

use super::methods::{kept, methods};
use crate::answers::first_answer;
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
    /// What is charged: the id of what is kept, or the provider's own name of a payment method.
    pub payment_method: Option<String>,
}

/// Says whether and how a wallet is filled again by itself; the wallet need not exist. Switches on again what was suspended or stopped. Where
/// nothing that is charged was ever named, the default of what is kept is. Answers `{"wallet_id"}`; `fill_wallet` goes on.
///
/// # Errors
/// `auto_top_up_invalid`, `amount_out_of_range`, `not_whole_minor_units`; of a method that is kept `unknown_payment_method` and
/// `payment_method_in_wrong_state`.
pub async fn set_auto_top_up(
    commands: &Commands,
    context: &CommandContext,
    input: SetAutoTopUp,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let SetAutoTopUp { organisation_id, currency, enabled, terms, mut payment_method } = input;
    let wallet_id = wallet_id(organisation_id, currency);
    let methods = methods(&commands.executor, organisation_id).await?;
    if let Some(Ok(method_id)) = payment_method.as_deref().map(str::parse)
        && let Err(no) = kept(&methods, Some(method_id))
    {
        let why = (no.code(), no.to_string());
        return commands.executor.refuse::<AutoTopUp>(&wallet_id, why, context).await;
    }
    let (known, _) = commands.executor.load::<AutoTopUp>(&wallet_id).await?;
    if enabled && known.payment_method.is_none() {
        payment_method = payment_method.or_else(|| Some(methods.default_id?.to_string()));
    }
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

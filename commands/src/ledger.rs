//! Commands of the ledger context that people give: promotional credit, spending limits and alerts. All others are wishes of payments and processes.
use cairn_core::{CreditId, Currency, Money, OrganisationId, ProjectId, Refusal as _, Timestamp};
use cairn_identity::Organisation;
use cairn_ledger::{Alert, SpendingLimits, Wallet, WalletCommand, wallet_id};
use serde_json::json;

use crate::answers::first_answer;
use crate::{CommandContext, Commands, ExecuteError, Executed};

/// A wish to give an organisation credit that it does not pay for.
#[derive(Debug, Clone)]
pub struct GrantCredit {
    /// Whom.
    pub organisation_id: OrganisationId,
    /// How much.
    pub amount: Money,
    /// From then on what is left of it is gone; what a hold has set aside, when the hold gives it back.
    pub expires_at: Timestamp,
    /// Why, for the audit trail.
    pub reason: String,
}

/// Grants promotional credit; the wallet need not exist. Answers `{"credit_id", "wallet_id", "expires_at"}`.
///
/// # Errors
/// `amount_not_positive`, `credit_expiry_invalid`, `amount_too_large`.
pub async fn grant_credit(
    commands: &Commands,
    context: &CommandContext,
    input: GrantCredit,
) -> Result<Executed, ExecuteError> {
    let credit_id = CreditId::from_bits(commands.ids.next());
    let wallet_id = wallet_id(input.organisation_id, input.amount.currency);
    let grant = WalletCommand::GrantCredit(cairn_ledger::GrantCredit {
        organisation_id: input.organisation_id,
        currency: input.amount.currency,
        credit_id,
        amount_nanos: input.amount.nanos,
        expires_at: input.expires_at,
        reason: input.reason,
        at: commands.clock.now(),
    });
    let result = json!({
        "credit_id": credit_id,
        "wallet_id": wallet_id,
        "expires_at": input.expires_at,
    });
    commands.executor.execute::<Wallet>(&wallet_id, grant, context, result).await
}

/// A wish that no more than so much be used in a month.
#[derive(Debug, Clone, Copy)]
pub struct SetSpendingLimits {
    /// By whom.
    pub organisation_id: OrganisationId,
    /// Of which money.
    pub currency: Currency,
    /// How much.
    pub limits: SpendingLimits,
}

/// Says how much may be used in a month; the wallet need not exist. Answers `{"wallet_id"}`.
///
/// # Errors
/// `amount_not_positive`, `spending_limits_invalid`.
pub async fn set_spending_limits(
    commands: &Commands,
    context: &CommandContext,
    input: SetSpendingLimits,
) -> Result<Executed, ExecuteError> {
    let SetSpendingLimits { organisation_id, currency, limits } = input;
    let wallet_id = wallet_id(organisation_id, currency);
    let at = commands.clock.now();
    let set = WalletCommand::SetSpendingLimits { organisation_id, currency, limits, at };
    let result = json!({ "wallet_id": wallet_id });
    commands.executor.execute::<Wallet>(&wallet_id, set, context, result).await
}

/// Says how much the rentals of a project may use in a month; the wallet need not exist, and the project may be archived. Answers
/// `{"wallet_id", "project_id"}`.
///
/// # Errors
/// `unknown_project`, `amount_not_positive`, `spending_limits_invalid`.
pub async fn set_project_limits(
    commands: &Commands,
    context: &CommandContext,
    project_id: ProjectId,
    input: SetSpendingLimits,
) -> Result<Executed, ExecuteError> {
    let SetSpendingLimits { organisation_id, currency, limits } = input;
    let at = commands.clock.now();
    let set = WalletCommand::SetProjectLimits { organisation_id, currency, project_id, limits, at };
    say_of_project(commands, context, (organisation_id, currency, project_id), set).await
}

/// Says it of a project that there is.
async fn say_of_project(
    commands: &Commands,
    context: &CommandContext,
    (organisation_id, currency, project_id): (OrganisationId, Currency, ProjectId),
    said: WalletCommand,
) -> Result<Executed, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return answer;
    }
    let wallet_id = wallet_id(organisation_id, currency);
    let (owner, _) = commands.executor.load::<Organisation>(&organisation_id.to_string()).await?;
    if let Err(error) = owner.has_project(project_id) {
        let refusal = (error.code(), error.to_string());
        return commands.executor.refuse::<Wallet>(&wallet_id, refusal, context).await;
    }
    let result = json!({ "wallet_id": wallet_id, "project_id": project_id });
    commands.executor.execute::<Wallet>(&wallet_id, said, context, result).await
}

/// A wish to be told.
#[derive(Debug, Clone)]
pub struct SetAlerts {
    /// By whom.
    pub organisation_id: OrganisationId,
    /// Of which money.
    pub currency: Currency,
    /// Of what, in place of what was said before.
    pub alerts: Vec<Alert>,
}

/// Says of what to be told; the wallet need not exist. Answers `{"wallet_id"}`.
///
/// # Errors
/// `amount_not_positive`, `alerts_invalid`.
pub async fn set_alerts(
    commands: &Commands,
    context: &CommandContext,
    input: SetAlerts,
) -> Result<Executed, ExecuteError> {
    let SetAlerts { organisation_id, currency, alerts } = input;
    let wallet_id = wallet_id(organisation_id, currency);
    let at = commands.clock.now();
    let set = WalletCommand::SetAlerts { organisation_id, currency, alerts, at };
    let result = json!({ "wallet_id": wallet_id });
    commands.executor.execute::<Wallet>(&wallet_id, set, context, result).await
}

/// Says of what in a project to be told; the wallet need not exist, and the project may be archived. Answers `{"wallet_id", "project_id"}`.
///
/// # Errors
/// `unknown_project`, `amount_not_positive`, `alerts_invalid`.
pub async fn set_project_alerts(
    commands: &Commands,
    context: &CommandContext,
    project_id: ProjectId,
    input: SetAlerts,
) -> Result<Executed, ExecuteError> {
    let SetAlerts { organisation_id, currency, alerts } = input;
    let at = commands.clock.now();
    let set = WalletCommand::SetProjectAlerts { organisation_id, currency, project_id, alerts, at };
    say_of_project(commands, context, (organisation_id, currency, project_id), set).await
}

//! Sends the commands of process managers. A refusal that only says that the world has moved on is no failure.
use cairn_compute::AllocationCommand;
use cairn_core::Timestamp;
use cairn_fleet::NodeCommand;
use cairn_ledger::{DisputeLoss, Wallet, WalletCommand};
use cairn_payments::{AutoTopUp, AutoTopUpCommand};

use crate::effects::Act;
use crate::ports::{FailureKind, PortError};

use super::intent::{Command, Credit};

/// Sends one command. What must be done in the end is decided anew by each attempt that follows a refusal: the first one stands for ever
/// under its id.
pub(crate) async fn send(act: &Act<'_>, command: &Command) -> Result<(), PortError> {
    match dispatch(act, command.clone()).await {
        Err(refused) if is_tolerated(&refused, command) => {
            tracing::debug!(command = command.name(), code = refused.code, "settled meanwhile");
            Ok(())
        }
        Err(refused)
            if refused.kind == FailureKind::Refused && act.attempt > 1 && command.persists() =>
        {
            dispatch(&act.anew(), command.clone()).await
        }
        other => other,
    }
}

fn is_tolerated(refused: &PortError, command: &Command) -> bool {
    refused.kind == FailureKind::Refused && command.tolerates().contains(&refused.code.as_str())
}

async fn dispatch(act: &Act<'_>, command: Command) -> Result<(), PortError> {
    let (name, at) = (command.name(), act.now());
    match command {
        Command::ReleaseCapacity { node_id, allocation_id } => {
            act.node(name, node_id, NodeCommand::Release { allocation_id, at }).await
        }
        Command::QuarantineCapacity { node_id, allocation_id, reason } => {
            let quarantine = NodeCommand::QuarantineCapacity { allocation_id, reason, at };
            act.node(name, node_id, quarantine).await
        }
        Command::ExpireInvitation { node_id, expires_at } => {
            let expire = NodeCommand::ExpireInvitation { at: at.max(expires_at) };
            act.node(name, node_id, expire).await
        }
        Command::ReleaseHold { .. }
        | Command::SweepHolds { .. }
        | Command::TopUpWallet(_)
        | Command::ReturnRefund { .. }
        | Command::CreditUsage { .. }
        | Command::HoldDisputed { .. }
        | Command::ReleaseDisputed { .. }
        | Command::LoseDisputed { .. } => {
            let none = || PortError::permanent("internal", format!("{name} asks no wallet"));
            let (wallet_id, wish) = command.of_wallet(at).ok_or_else(none)?;
            act.execute::<Wallet>(name, &wallet_id, wish).await.map(drop)
        }
        Command::SucceedTopUp { .. } | Command::DeclineTopUp { .. } => {
            end_top_up(act, command).await
        }
        Command::ReadEvent { .. } => {
            Err(PortError::permanent("internal", "no aggregate is asked to read an event"))
        }
        Command::RejectAllocation { allocation_id, code, message } => {
            let reject = AllocationCommand::Reject { code, message, at };
            act.allocation(name, allocation_id, reject).await
        }
        Command::ConfirmReserved { allocation_id, placement } => {
            let confirm = AllocationCommand::ConfirmReserved { placement, at };
            act.allocation(name, allocation_id, confirm).await
        }
        Command::StartProvisioning { allocation_id, login } => {
            let start = AllocationCommand::StartProvisioning { login, at };
            act.allocation(name, allocation_id, start).await
        }
        Command::Activate { allocation_id, proof } => {
            act.allocation(name, allocation_id, AllocationCommand::Activate { proof, at }).await
        }
        Command::FailProvisioning { allocation_id, step, code, message } => {
            let fail = AllocationCommand::FailProvisioning { step, code, message, at };
            act.allocation(name, allocation_id, fail).await
        }
        Command::ConfirmFailed { allocation_id } => {
            act.allocation(name, allocation_id, AllocationCommand::ConfirmFailed { at }).await
        }
        Command::RequestRelease { allocation_id, reason } => {
            let release = AllocationCommand::RequestRelease { reason, at };
            act.allocation(name, allocation_id, release).await
        }
        Command::RequestSuspension { allocation_id, reason } => {
            let suspend = AllocationCommand::RequestSuspension { reason, at };
            act.allocation(name, allocation_id, suspend).await
        }
        Command::CallOperator { allocation_id, doing, message } => {
            let call = AllocationCommand::CallOperator { doing, message, at };
            act.allocation(name, allocation_id, call).await
        }
    }
}

/// Says how an automatic top-up has ended.
async fn end_top_up(act: &Act<'_>, command: Command) -> Result<(), PortError> {
    let (name, at) = (command.name(), act.now());
    match command {
        Command::SucceedTopUp { wallet_id, payment_id } => {
            let pace = act.settings.top_up_pace();
            let succeed = AutoTopUpCommand::Succeed { payment_id, pace, at };
            act.execute::<AutoTopUp>(name, &wallet_id, succeed).await.map(drop)
        }
        Command::DeclineTopUp { wallet_id, payment_id, code } => {
            let decline = AutoTopUpCommand::Decline { payment_id, code, at };
            act.execute::<AutoTopUp>(name, &wallet_id, decline).await.map(drop)
        }
        _ => Err(PortError::permanent("internal", format!("{name} ends no top-up"))),
    }
}

impl Command {
    /// Which wallet it asks, and what; none when it asks something else.
    #[must_use]
    pub fn of_wallet(self, at: Timestamp) -> Option<(String, WalletCommand)> {
        Some(match self {
            Self::TopUpWallet(credit) => top_up(credit, at),
            Self::ReleaseHold { wallet_id, hold_id } => {
                (wallet_id, WalletCommand::ReleaseHold { hold_id, at })
            }
            Self::SweepHolds { wallet_id } => (wallet_id, WalletCommand::SweepExpired { at }),
            Self::ReturnRefund { wallet_id, refund_id } => {
                (wallet_id, WalletCommand::ReturnRefund { refund_id, at })
            }
            Self::CreditUsage { wallet_id, note, debits } => {
                (wallet_id, WalletCommand::CreditUsage { note, debits, at })
            }
            Self::HoldDisputed { wallet_id, dispute_id, payment_id, amount_nanos } => {
                let hold = WalletCommand::HoldDisputed { dispute_id, payment_id, amount_nanos, at };
                (wallet_id, hold)
            }
            Self::ReleaseDisputed { wallet_id, dispute_id } => {
                (wallet_id, WalletCommand::ReleaseDisputed { dispute_id })
            }
            Self::LoseDisputed { wallet_id, dispute_id, payment_id, amount_nanos } => {
                let loss = DisputeLoss { dispute_id, payment_id, amount_nanos, at };
                (wallet_id, WalletCommand::LoseDisputed(loss))
            }
            Self::RejectAllocation { .. }
            | Self::ConfirmReserved { .. }
            | Self::StartProvisioning { .. }
            | Self::Activate { .. }
            | Self::FailProvisioning { .. }
            | Self::ConfirmFailed { .. }
            | Self::RequestRelease { .. }
            | Self::RequestSuspension { .. }
            | Self::CallOperator { .. }
            | Self::ReleaseCapacity { .. }
            | Self::QuarantineCapacity { .. }
            | Self::ExpireInvitation { .. }
            | Self::SucceedTopUp { .. }
            | Self::DeclineTopUp { .. }
            | Self::ReadEvent { .. } => return None,
        })
    }
}

fn top_up(credit: Credit, at: Timestamp) -> (String, WalletCommand) {
    let at = credit.at.unwrap_or(at);
    let Credit { organisation_id, currency, payment_id, amount_nanos, charge_id, .. } = credit;
    let wallet_id = cairn_ledger::wallet_id(organisation_id, currency);
    let top_up =
        cairn_ledger::TopUp { organisation_id, currency, payment_id, amount_nanos, charge_id, at };
    (wallet_id, WalletCommand::TopUp(top_up))
}

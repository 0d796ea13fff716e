//! Sends the commands of process managers. A refusal that only says that the world has moved on is no failure.
use cairn_compute::AllocationCommand;
use cairn_core::Timestamp;
use cairn_fleet::NodeCommand;
use cairn_ledger::{DisputeLoss, Wallet, WalletCommand};

use crate::effects::Act;
use crate::ports::{FailureKind, PortError};

use super::intent::{Command, Credit};

/// Sends one command.
pub(super) async fn send(act: &Act<'_>, command: &Command) -> Result<(), PortError> {
    match dispatch(act, command.clone()).await {
        Err(refused)
            if refused.kind == FailureKind::Refused
                && command.tolerates().contains(&refused.code.as_str()) =>
        {
            tracing::debug!(command = command.name(), code = refused.code, "settled meanwhile");
            Ok(())
        }
        other => other,
    }
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
        Command::ReleaseHold { wallet_id, hold_id } => {
            of_wallet(act, name, &wallet_id, WalletCommand::ReleaseHold { hold_id, at }).await
        }
        Command::SweepHolds { wallet_id } => {
            of_wallet(act, name, &wallet_id, WalletCommand::SweepExpired { at }).await
        }
        Command::ReturnRefund { wallet_id, refund_id } => {
            of_wallet(act, name, &wallet_id, WalletCommand::ReturnRefund { refund_id, at }).await
        }
        Command::CreditUsage { .. }
        | Command::HoldDisputed { .. }
        | Command::ReleaseDisputed { .. }
        | Command::LoseDisputed { .. } => of_money(act, command).await,
        Command::ReadEvent { .. } => {
            Err(PortError::permanent("internal", "no aggregate is asked to read an event"))
        }
        Command::TopUpWallet(credit) => {
            let wallet_id = cairn_ledger::wallet_id(credit.organisation_id, credit.currency);
            of_wallet(act, name, &wallet_id, top_up(credit, at)).await
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

async fn of_wallet(
    act: &Act<'_>,
    name: &str,
    wallet_id: &str,
    command: WalletCommand,
) -> Result<(), PortError> {
    act.execute::<Wallet>(name, wallet_id, command).await.map(drop)
}

fn top_up(credit: Credit, at: Timestamp) -> WalletCommand {
    let at = credit.at.unwrap_or(at);
    let Credit { organisation_id, currency, payment_id, amount_nanos, charge_id, .. } = credit;
    WalletCommand::TopUp(cairn_ledger::TopUp {
        organisation_id,
        currency,
        payment_id,
        amount_nanos,
        charge_id,
        at,
    })
}

/// What a dispute or a credit note wants of a wallet.
async fn of_money(act: &Act<'_>, command: Command) -> Result<(), PortError> {
    let (name, at) = (command.name(), act.now());
    let (wallet_id, wish) = match command {
        Command::CreditUsage { wallet_id, note, debits } => {
            (wallet_id, WalletCommand::CreditUsage { note, debits, at })
        }
        Command::HoldDisputed { wallet_id, dispute_id, payment_id, amount_nanos } => {
            (wallet_id, WalletCommand::HoldDisputed { dispute_id, payment_id, amount_nanos, at })
        }
        Command::ReleaseDisputed { wallet_id, dispute_id } => {
            (wallet_id, WalletCommand::ReleaseDisputed { dispute_id })
        }
        Command::LoseDisputed { wallet_id, dispute_id, payment_id, amount_nanos } => {
            let loss = DisputeLoss { dispute_id, payment_id, amount_nanos, at };
            (wallet_id, WalletCommand::LoseDisputed(loss))
        }
        other => {
            let why = format!("{} is no wish of a dispute or a credit note", other.name());
            return Err(PortError::permanent("internal", why));
        }
    };
    act.execute::<Wallet>(name, &wallet_id, wish).await.map(drop)
}

//! Disputes in the story: one is won, one is lost and costs more than the wallet has.
use cairn_core::{Currency, DisputeId, PaymentId};
use cairn_ledger::{DisputeLoss, TopUp, WalletCommand};
use cairn_payments::{DisputeCommand, DisputeOutcome, OpenDispute};

use super::story::{at, text};
use super::story_credit::WELCOMED;

const UNIT: i64 = 1_000_000_000;

fn opened(number: u128) -> DisputeCommand {
    DisputeCommand::Open(OpenDispute {
        dispute_id: DisputeId::from_bits(number),
        provider_id: format!("du_{number}"),
        payment_id: PaymentId::from_bits(number),
        organisation_id: WELCOMED,
        currency: Currency::USD,
        amount_nanos: 10 * UNIT,
        charge_id: format!("ch_{number}"),
        reason: text("fraudulent"),
        at: at(3_000),
    })
}

fn fee(line: &str, units: i64) -> DisputeCommand {
    let (balance_transaction_id, fee_nanos) = (text(line), units * UNIT);
    DisputeCommand::RecordFee { balance_transaction_id, fee_nanos, at: at(3_001) }
}

fn withdrawn() -> DisputeCommand {
    DisputeCommand::Withdraw { amount_nanos: 10 * UNIT, at: at(3_001) }
}

pub fn won() -> Vec<DisputeCommand> {
    vec![
        opened(16),
        withdrawn(),
        fee("txn_d1", 15),
        DisputeCommand::Close { outcome: DisputeOutcome::Won, at: at(3_100) },
        DisputeCommand::Reinstate { amount_nanos: 10 * UNIT, at: at(3_101) },
        fee("txn_d2", -15),
    ]
}

pub fn lost() -> Vec<DisputeCommand> {
    let close = DisputeCommand::Close { outcome: DisputeOutcome::Lost, at: at(3_200) };
    vec![opened(17), withdrawn(), fee("txn_d3", 15), close]
}

pub fn in_the_wallet() -> Vec<WalletCommand> {
    let top_up = |number: u128| {
        WalletCommand::TopUp(TopUp {
            organisation_id: WELCOMED,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(number),
            amount_nanos: 10 * UNIT,
            charge_id: format!("ch_{number}"),
            at: at(2_900),
        })
    };
    let hold = |number: u128| WalletCommand::HoldDisputed {
        dispute_id: DisputeId::from_bits(number),
        payment_id: PaymentId::from_bits(number),
        amount_nanos: 10 * UNIT,
        at: at(3_002),
    };
    let loss = DisputeLoss {
        dispute_id: DisputeId::from_bits(17),
        payment_id: PaymentId::from_bits(17),
        amount_nanos: 40 * UNIT,
        at: at(3_201),
    };
    vec![
        top_up(16),
        top_up(17),
        hold(16),
        hold(17),
        WalletCommand::ReleaseDisputed { dispute_id: DisputeId::from_bits(16) },
        WalletCommand::LoseDisputed(loss),
    ]
}

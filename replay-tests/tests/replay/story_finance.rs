//! The story of how the books are checked.
use cairn_core::{Currency, PayoutId};
use cairn_finance::break_case::Means;
use cairn_finance::period::{Block, Books, Check, Item};
use cairn_finance::{Account, BreakCommand, BreakType, Disagreement, PeriodCommand, Transfer};

use cairn_payments::{BankLine, PayOut, Payout, PayoutCommand};

use super::story::{Teller, at, text};

const UNIT: i64 = 1_000_000_000;

/// A payout that our books do not know, and that a fee is taken from later.
pub fn found(fee_nanos: i64) -> Disagreement {
    Disagreement {
        break_type: BreakType::MissingInternal,
        transaction_id: Some("txn_9".to_owned()),
        source_id: Some("po_9".to_owned()),
        reference: Some("stripe/ch_9".to_owned()),
        currency: "USD".to_owned(),
        provider_nanos: Some(-UNIT),
        books_nanos: Some(0),
        difference_nanos: -UNIT - fee_nanos,
        occurred_at: at(1_300),
        message: "our books have no place for 'payout'".to_owned(),
    }
}

/// Found, and found with another amount; assigned, gone, back, settled, back again, and written off by two.
pub fn break_case() -> Vec<BreakCommand> {
    let find = |fee, secs| BreakCommand::Find { item: found(fee), at: at(secs) };
    let assign = BreakCommand::Assign {
        owner: "treasury".to_owned(),
        due_at: at(9_000),
        reason: "payouts are theirs".to_owned(),
        at: at(1_310),
    };
    let account = |code: &str| Account::try_new(code).unwrap();
    let transfer = Transfer {
        debit: account("bank:main:USD"),
        credit: account("stripe:pending:USD"),
        amount_nanos: UNIT,
    };
    let resolve = |by, limit_nanos, secs| BreakCommand::Resolve {
        by,
        cause: "a payout".to_owned(),
        actor: "operator:ada".to_owned(),
        limit_nanos,
        at: at(secs),
    };
    let approve = BreakCommand::Approve {
        actor: "operator:grace".to_owned(),
        reason: "the bank has it".to_owned(),
        at: at(1_402),
    };
    vec![
        find(0, 1_301),
        find(10, 1_302),
        assign,
        BreakCommand::Clear { at: at(1_320) },
        find(10, 1_330),
        resolve(Means::Explain, 10 * UNIT, 1_340),
        find(0, 1_350),
        resolve(Means::Post(transfer), 10 * UNIT, 1_360),
        find(-UNIT + 10, 1_400),
        resolve(Means::WriteOff, 0, 1_401),
        approve,
    ]
}

/// Closed, opened again because of something that was forgotten, and closed for good.
pub fn period() -> [PeriodCommand; 3] {
    let month = "2023-11".parse().unwrap();
    let says = || "looked at".to_owned();
    let checks = || Item::ALL.map(|item| Check { item, says: says(), against: vec![] }).to_vec();
    let block = Some(Block { number: 3, root: "ab".repeat(32) });
    let close = |block, secs| PeriodCommand::Close {
        month,
        checks: checks(),
        books: Books { position: 1_000_000, block, accounts: 9, balances_sha256: "cd".repeat(32) },
        actor: "operator:ada".to_owned(),
        at: at(secs),
    };
    let reopen = PeriodCommand::Reopen {
        month,
        later: vec![],
        reason: "a bank line was forgotten".to_owned(),
        actor: "operator:grace".to_owned(),
        at: at(2_000_100),
    };
    [close(None, 2_000_000), reopen, close(block, 2_000_200)]
}

/// One arrives at the bank, for a fee; one fails on its way; one arrives and is sent back.
pub fn payouts(teller: &mut Teller) {
    for (number, told) in (1..).zip(three_payouts()) {
        teller.tell::<Payout>(&PayoutId::from_bits(number).to_string(), told);
    }
}

fn three_payouts() -> [Vec<PayoutCommand>; 3] {
    let pay_out = |number: u128| {
        PayoutCommand::PayOut(PayOut {
            payout_id: PayoutId::from_bits(number),
            provider_id: format!("po_{number}"),
            transaction_id: format!("txn_po{number}"),
            currency: Currency::EUR,
            amount_nanos: 10 * UNIT,
            at: at(4_000),
        })
    };
    let line = |name: &str, secs| BankLine {
        bank_line_id: text(name),
        account: text("main"),
        amount_nanos: 10 * UNIT,
        at: at(secs),
    };
    let back = |name: &str, secs| PayoutCommand::Return {
        transaction_id: text(name),
        amount_nanos: 10 * UNIT,
        at: at(secs),
    };
    let fee = PayoutCommand::RecordFee {
        transaction_id: text("txn_po1"),
        fee_nanos: UNIT / 10,
        at: at(4_000),
    };
    [
        vec![pay_out(1), fee, PayoutCommand::Arrive(line("main:EUR:1", 90_000))],
        vec![pay_out(2), back("txn_pf2", 5_000)],
        vec![
            pay_out(3),
            PayoutCommand::Arrive(line("main:EUR:2", 90_000)),
            back("txn_pf3", 95_000),
            PayoutCommand::TakeBack(line("main:EUR:3", 99_000)),
        ],
    ]
}

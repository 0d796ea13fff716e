//! The kinds of movement that the domain makes and those that the database allows are the same.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::collections::BTreeSet;

use cairn_core::{
    CreditId, Currency, Decider, DisputeId, HoldId, OrganisationId, PaymentId, PayoutId, RefundId,
    TaxRate, Timestamp,
};
use cairn_event_log::{EventLog, NewEvent};
use cairn_ledger::{
    CaptureHold, CorrectCharge, DisputeLoss, GrantCredit, Invoiced, PlaceHold, ReserveRefund,
    TopUp, Wallet, WalletCommand,
};
use cairn_payments::{
    BankLine, Dispute, DisputeCommand, DisputeOutcome, OpenDispute, PayOut, Payment,
    PaymentCommand, Payout, PayoutCommand, Refund, RefundCommand,
};
use common::{done, open, request};
use sqlx::PgPool;

const UNIT: i64 = 1_000_000_000;
const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const PAYMENT: PaymentId = PaymentId::from_bits(2);
const AT: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Decides command after command and appends what it decides.
async fn tell<A: Decider>(log: &EventLog, id: &str, commands: Vec<A::Command>) {
    let (mut state, mut sequence) = (A::default(), 0);
    for command in commands {
        let mut events = vec![];
        for event in state.decide(command).unwrap() {
            state = state.evolve(event.clone());
            let book = state.book_entry(&event);
            events.push(NewEvent::try_new(&event, book).unwrap());
        }
        let mut request = request(id, sequence, events);
        request.aggregate_type = A::TYPE;
        (_, sequence) = done(&log.append(request).await.unwrap());
    }
}

/// What is set aside, used, found to be too much, and used again; and again, when it is invoiced.
fn charges(expires_at: Timestamp) -> [WalletCommand; 6] {
    let hold_id = HoldId::from_bits(3);
    [
        WalletCommand::PlaceHold(PlaceHold {
            hold_id,
            purpose: "allocation".to_owned(),
            project_id: None,
            amount_nanos: UNIT,
            expires_at,
            at: AT,
        }),
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: 9 * UNIT,
            seconds: 60,
            product: "compute".to_owned(),
            tax: Some(TaxRate { jurisdiction: "DE".to_owned(), ppm: 190_000 }),
            keep_nanos: 0,
            expires_at,
            at: AT,
        }),
        // Of the debt, then of money and of credit: the other way round, all that a charge is made of.
        WalletCommand::CorrectCharge(CorrectCharge {
            hold_id,
            total_nanos: UNIT / 4,
            seconds: 2,
            product: "compute".to_owned(),
            charged_at: None,
            invoiced: None,
            at: AT,
        }),
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: 9 * UNIT,
            seconds: 30,
            product: "compute".to_owned(),
            tax: Some(TaxRate { jurisdiction: "DE".to_owned(), ppm: 190_000 }),
            keep_nanos: 0,
            expires_at,
            at: AT,
        }),
        WalletCommand::CorrectCharge(CorrectCharge {
            hold_id,
            total_nanos: UNIT / 5,
            seconds: 2,
            product: "compute".to_owned(),
            charged_at: None,
            invoiced: Some(Invoiced {
                invoice: "CN-2027-000001".to_owned(),
                seconds: 28,
                line: None,
            }),
            at: AT,
        }),
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: 4 * UNIT,
            seconds: 30,
            product: "compute".to_owned(),
            tax: Some(TaxRate { jurisdiction: "DE".to_owned(), ppm: 190_000 }),
            keep_nanos: 0,
            expires_at,
            at: AT,
        }),
    ]
}

fn wallet_commands() -> Vec<WalletCommand> {
    let reserve = |refund: u128, units: i64| {
        WalletCommand::ReserveRefund(ReserveRefund {
            refund_id: RefundId::from_bits(refund),
            payment_id: PAYMENT,
            amount_nanos: units * UNIT,
            reason: "asked".to_owned(),
            at: AT,
        })
    };
    let expires_at = AT.plus_secs(3_600);
    let grant = |credit: u128, amount_nanos| {
        WalletCommand::GrantCredit(GrantCredit {
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            credit_id: CreditId::from_bits(credit),
            amount_nanos,
            expires_at,
            reason: "welcome".to_owned(),
            at: AT,
        })
    };
    let mut commands = vec![
        // Less than the charge: paid money pays the rest of it.
        grant(9, UNIT / 2),
        WalletCommand::TopUp(TopUp {
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            payment_id: PAYMENT,
            amount_nanos: 10 * UNIT,
            charge_id: "ch_1".to_owned(),
            at: AT,
        }),
        reserve(4, 1),
        WalletCommand::ReturnRefund { refund_id: RefundId::from_bits(4), at: AT },
        reserve(5, 2),
    ];
    commands.extend(charges(expires_at));
    commands.extend([
        WalletCommand::CreditUsage {
            note: "CN-C-2027-000001".to_owned(),
            debits: vec![("usage:compute:USD".to_owned(), UNIT)],
            at: AT,
        },
        grant(6, UNIT),
        WalletCommand::SweepExpired { at: expires_at.plus_secs(1) },
        WalletCommand::LoseDisputed(DisputeLoss {
            dispute_id: DisputeId::from_bits(7),
            payment_id: PAYMENT,
            amount_nanos: UNIT,
            at: AT,
        }),
    ]);
    commands
}

fn dispute_commands() -> Vec<DisputeCommand> {
    let fee = |line: &str, units: i64| DisputeCommand::RecordFee {
        balance_transaction_id: line.to_owned(),
        fee_nanos: units * UNIT,
        at: AT,
    };
    vec![
        DisputeCommand::Open(OpenDispute {
            dispute_id: DisputeId::from_bits(8),
            provider_id: "du_1".to_owned(),
            payment_id: PAYMENT,
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos: UNIT,
            charge_id: "ch_1".to_owned(),
            reason: "fraudulent".to_owned(),
            at: AT,
        }),
        DisputeCommand::Withdraw { amount_nanos: UNIT, at: AT },
        fee("txn_d1", 15),
        DisputeCommand::Close { outcome: DisputeOutcome::Won, at: AT },
        DisputeCommand::Reinstate { amount_nanos: UNIT, at: AT },
        fee("txn_d2", -15),
    ]
}

fn payout_commands() -> Vec<PayoutCommand> {
    let line = |id: &str| BankLine {
        bank_line_id: id.to_owned(),
        account: "main".to_owned(),
        amount_nanos: UNIT,
        at: AT,
    };
    vec![
        PayoutCommand::PayOut(PayOut {
            payout_id: PayoutId::from_bits(9),
            provider_id: "po_1".to_owned(),
            transaction_id: "txn_po".to_owned(),
            currency: Currency::USD,
            amount_nanos: UNIT,
            at: AT,
        }),
        PayoutCommand::RecordFee {
            transaction_id: "txn_po".to_owned(),
            fee_nanos: UNIT / 100,
            at: AT,
        },
        PayoutCommand::Arrive(line("main:USD:1")),
        PayoutCommand::Return { transaction_id: "txn_pf".to_owned(), amount_nanos: UNIT, at: AT },
        PayoutCommand::TakeBack(line("main:USD:2")),
    ]
}

/// What people post to settle a break; tried where breaks are, on the same tables.
const OF_BREAKS: [&str; 2] = ["break_correction", "break_write_off"];

fn payment_commands() -> Vec<PaymentCommand> {
    vec![
        PaymentCommand::Request {
            payment_id: PAYMENT,
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos: 10 * UNIT,
            payment_method: None,
            at: AT,
        },
        PaymentCommand::Submit { provider_id: "pi_1".to_owned(), at: AT },
        PaymentCommand::Succeed {
            provider_id: "pi_1".to_owned(),
            charge_id: "ch_1".to_owned(),
            amount_nanos: 10 * UNIT,
            at: AT,
        },
        PaymentCommand::RecordFee {
            balance_transaction_id: "txn_1".to_owned(),
            fee_nanos: UNIT / 2,
            at: AT,
        },
    ]
}

fn refund_commands() -> Vec<RefundCommand> {
    vec![
        RefundCommand::Request {
            refund_id: RefundId::from_bits(5),
            payment_id: PAYMENT,
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            amount_nanos: 2 * UNIT,
            charge_id: "ch_1".to_owned(),
            at: AT,
        },
        RefundCommand::Submit { provider_id: "re_1".to_owned(), at: AT },
        RefundCommand::Succeed { provider_id: "re_1".to_owned(), amount_nanos: 2 * UNIT, at: AT },
        RefundCommand::Fail { code: "expired_card".to_owned(), at: AT },
    ]
}

#[sqlx::test(migrator = "cairn_event_log::MIGRATOR")]
async fn every_movement_of_the_domain_is_allowed_and_no_other(pool: PgPool) {
    let log = open(&pool).await;
    tell::<Wallet>(&log, "wallet", wallet_commands()).await;
    tell::<Payment>(&log, "payment", payment_commands()).await;
    tell::<Refund>(&log, "refund", refund_commands()).await;
    tell::<Dispute>(&log, "dispute", dispute_commands()).await;
    tell::<Payout>(&log, "payout", payout_commands()).await;
    let kinds = |from: &'static str| {
        let pool = pool.clone();
        async move {
            let sql = format!("SELECT DISTINCT kind FROM {from}");
            let kinds: Vec<String> = sqlx::query_scalar(&sql).fetch_all(&pool).await.unwrap();
            kinds.into_iter().collect::<BTreeSet<_>>()
        }
    };
    let mut made = kinds("ledger_journal_transactions").await;
    made.extend(OF_BREAKS.map(str::to_owned));
    assert_eq!(made, kinds("ledger_kinds").await);
    let sum: i64 = sqlx::query_scalar("SELECT sum(amount_nanos)::bigint FROM ledger_postings")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(sum, 0);
    log.close().await;
}

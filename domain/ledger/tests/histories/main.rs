//! Random histories of a wallet against a simple model, its books and its own invariants.
//!
//! 20,000 histories; `PROPTEST_CASES` raises the number of each test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
mod books;
mod model;
mod projects;

use cairn_core::testing::Stock;
use cairn_core::{
    CreditId, Currency, Decider, DisputeId, HoldId, OrganisationId, PaymentId, ProjectId, RefundId,
    Tariff, TaxRate, Timestamp,
};
use cairn_ledger::{
    Alert, AlertOn, CaptureHold, CorrectCharge, DisputeLoss, GrantCredit, Invoiced, PlaceHold,
    ReserveRefund, SpendingLimits, TopUp, Wallet, WalletCommand,
};
use proptest::prelude::*;

use books::Books;
use model::Model;

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const CENT: i64 = 10_000_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn histories(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(cases), ..config }
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![4 => (0..40_i64).prop_map(|n| n * CENT), 1 => -2..3_i64]
}

fn hold() -> impl Strategy<Value = HoldId> {
    (0..3_u128).prop_map(HoldId::from_bits)
}

fn project() -> impl Strategy<Value = Option<ProjectId>> {
    prop::option::of((0..2_u128).prop_map(ProjectId::from_bits))
}

fn tax() -> impl Strategy<Value = Option<TaxRate>> {
    let rate = |jurisdiction: &str, ppm| Some(TaxRate { jurisdiction: jurisdiction.into(), ppm });
    prop_oneof![
        1 => Just(None),
        2 => Just(rate("DE", 190_000)),
        1 => Just(rate("US-NY", 88_750)),
    ]
}

fn payment() -> impl Strategy<Value = PaymentId> {
    (0..4_u128).prop_map(PaymentId::from_bits)
}

fn command() -> impl Strategy<Value = WalletCommand> {
    prop_oneof![9 => money(), 9 => holds(), 3 => said(), 3 => disputes()]
}

/// What comes in and goes out.
fn money() -> impl Strategy<Value = WalletCommand> {
    let refund = || (0..3_u128).prop_map(RefundId::from_bits);
    let credit = (0..4_u128).prop_map(CreditId::from_bits);
    let now = || 0..200_i64;
    prop_oneof![
        3 => (payment(), amount()).prop_map(|(payment_id, amount_nanos)| {
            WalletCommand::TopUp(TopUp {
                organisation_id: ORGANISATION,
                currency: Currency::USD,
                payment_id,
                amount_nanos,
                charge_id: payment_id.to_string(),
                at: at(0),
            })
        }),
        3 => (credit, amount(), now(), now()).prop_map(
            |(credit_id, amount_nanos, expires, now)| {
                WalletCommand::GrantCredit(GrantCredit {
                    organisation_id: ORGANISATION,
                    currency: Currency::USD,
                    credit_id,
                    amount_nanos,
                    expires_at: at(expires),
                    reason: "welcome".to_owned(),
                    at: at(now / 2),
                })
            }
        ),
        2 => (refund(), payment(), amount(), now()).prop_map(
            |(refund_id, payment_id, amount_nanos, now)| {
                WalletCommand::ReserveRefund(ReserveRefund {
                    refund_id,
                    payment_id,
                    amount_nanos,
                    reason: "asked".to_owned(),
                    at: at(now),
                })
            }
        ),
        1 => refund().prop_map(|refund_id| {
            WalletCommand::ReturnRefund { refund_id, at: at(0) }
        }),
        2 => (0..4_u8, amount()).prop_map(|(note, amount_nanos)| WalletCommand::CreditUsage {
            note: note.to_string(),
            debits: vec![("usage:compute:USD".to_owned(), amount_nanos)],
            at: at(0),
        }),
    ]
}

/// What banks take back.
fn disputes() -> impl Strategy<Value = WalletCommand> {
    // None has the bits of another hold.
    let dispute = || (10..12_u128).prop_map(DisputeId::from_bits);
    prop_oneof![
        2 => (dispute(), payment(), amount(), 0..200_i64).prop_map(
            |(dispute_id, payment_id, amount_nanos, now)| {
                WalletCommand::HoldDisputed { dispute_id, payment_id, amount_nanos, at: at(now) }
            }
        ),
        1 => dispute().prop_map(|dispute_id| WalletCommand::ReleaseDisputed { dispute_id }),
        1 => (dispute(), payment(), amount(), 0..200_i64).prop_map(
            |(dispute_id, payment_id, amount_nanos, now)| {
                let at = at(now);
                WalletCommand::LoseDisputed(DisputeLoss { dispute_id, payment_id, amount_nanos, at })
            }
        ),
    ]
}

/// A warning at half of it, or so.
fn limits(stop_nanos: Option<i64>) -> SpendingLimits {
    let warn_nanos = stop_nanos.filter(|stop| *stop > 0).map(|stop| stop / 2 + 1);
    SpendingLimits { warn_nanos, stop_nanos }
}

/// What is set aside, and used.
fn holds() -> impl Strategy<Value = WalletCommand> {
    let now = || 0..200_i64;
    prop_oneof![
        3 => (hold(), project(), amount(), now(), now()).prop_map(|(hold_id, project_id, amount_nanos, expires, now)| {
            WalletCommand::PlaceHold(PlaceHold {
                hold_id,
                purpose: hold_id.to_string(),
                project_id,
                amount_nanos,
                expires_at: at(expires),
                at: at(now),
            })
        }),
        6 => (hold(), amount(), amount(), now(), now(), tax()).prop_map(
            |(hold_id, total_nanos, keep_nanos, expires, now, tax)| {
                WalletCommand::CaptureHold(CaptureHold {
                    hold_id,
                    total_nanos,
                    seconds: now,
                    product: "compute".to_owned(),
                    tax,
                    keep_nanos,
                    expires_at: at(expires),
                    at: at(now),
                })
            }
        ),
        1 => (hold(), amount(), now(), now(), tax()).prop_map(|(hold_id, total_nanos, used, now, tax)| {
            let capture = CaptureHold {
                hold_id,
                total_nanos,
                seconds: now,
                product: "compute".to_owned(),
                tax,
                keep_nanos: 0,
                expires_at: at(now),
                at: at(now),
            };
            WalletCommand::CaptureLate { capture, used_at: at(used) }
        }),
        2 => (hold(), amount(), now(), any::<bool>()).prop_map(|(hold_id, total_nanos, now, paper)| {
            let invoiced = Invoiced { invoice: "CN-2027-000001".to_owned(), seconds: 1, line: None };
            WalletCommand::CorrectCharge(CorrectCharge {
                hold_id,
                total_nanos,
                seconds: now,
                product: "compute".to_owned(),
                charged_at: None,
                invoiced: paper.then_some(invoiced),
                at: at(now),
            })
        }),
        1 => (hold(), now()).prop_map(|(hold_id, now)| {
            WalletCommand::ReleaseHold { hold_id, at: at(now) }
        }),
        1 => now().prop_map(|now| WalletCommand::SweepExpired { at: at(now) }),
    ]
}

/// Of what to be told, and how much may be used.
fn said() -> impl Strategy<Value = WalletCommand> {
    prop_oneof![
        1 => (prop::collection::btree_set(1..40_i64, 0..3), any::<bool>()).prop_map(|(cents, spent)| {
            let on = if spent { AlertOn::Spent } else { AlertOn::BalanceBelow };
            let alerts = cents.into_iter().map(|cents| Alert { on, amount_nanos: cents * CENT });
            WalletCommand::SetAlerts {
                organisation_id: ORGANISATION,
                currency: Currency::USD,
                alerts: alerts.collect(),
                at: at(0),
            }
        }),
        1 => (0..2_u128, prop::collection::btree_set(1..40_i64, 0..3)).prop_map(|(project, cents)| {
            let alert = |cents| Alert { on: AlertOn::Spent, amount_nanos: cents * CENT };
            WalletCommand::SetProjectAlerts {
                organisation_id: ORGANISATION,
                currency: Currency::USD,
                project_id: ProjectId::from_bits(project),
                alerts: cents.into_iter().map(alert).collect(),
                at: at(0),
            }
        }),
        1 => prop::option::of(0..40 * CENT).prop_map(|stop_nanos| WalletCommand::SetSpendingLimits {
            organisation_id: ORGANISATION,
            currency: Currency::USD,
            limits: limits(stop_nanos),
            at: at(0),
        }),
        1 => (0..2_u128, prop::option::of(0..40 * CENT)).prop_map(|(project, stop_nanos)| {
            WalletCommand::SetProjectLimits {
                organisation_id: ORGANISATION,
                currency: Currency::USD,
                project_id: ProjectId::from_bits(project),
                limits: limits(stop_nanos),
                at: at(0),
            }
        }),
    ]
}

fn check(wallet: &Wallet, model: &Model, books: &Books) {
    let lots: i64 = wallet.lots.iter().map(|lot| lot.remaining_nanos).sum();
    let credits: i64 = wallet.promotional.credits.iter().map(|one| one.remaining_nanos).sum();
    let open: i64 = wallet.holds.values().map(cairn_ledger::Hold::remaining_nanos).sum();
    let kept: i64 = wallet.holds.values().map(|hold| hold.promotional.remaining_nanos()).sum();
    assert_eq!(lots, wallet.posted_nanos, "lots sum to posted");
    assert_eq!(open, wallet.held_nanos + wallet.promotional.held_nanos, "holds sum to held");
    assert_eq!(kept, wallet.promotional.held_nanos, "and their credit to what is held of it");
    assert!(wallet.paid_available_nanos() >= 0, "available is never negative");
    assert!(wallet.promotional.available_nanos() >= 0, "nor is it of credit");
    assert!(wallet.lots.iter().all(|lot| (0..=lot.amount_nanos).contains(&lot.remaining_nanos)));
    for credit in &wallet.promotional.credits {
        assert!((0..=credit.amount_nanos - credit.expired_nanos).contains(&credit.remaining_nanos));
        assert_eq!(model.credit_left(credit.credit_id), credit.remaining_nanos, "{credit:?}");
    }
    let ends: Vec<_> = wallet.promotional.credits.iter().map(|one| one.expires_at).collect();
    assert!(ends.is_sorted(), "what expires first is first");

    assert_eq!(wallet.paid_available_nanos(), model.free);
    assert_eq!(wallet.promotional.available_nanos(), model.free_credit());
    for lot in &wallet.lots {
        assert_eq!(model.lots[&lot.payment_id.to_string()].1, lot.remaining_nanos);
        assert!(model.refunded(lot.payment_id) <= lot.amount_nanos, "no lot pays back more");
    }
    for (id, hold) in &wallet.holds {
        let expected = &model.holds[id];
        assert_eq!(hold.remaining_nanos(), expected.paid + expected.credit);
        assert_eq!(hold.promotional.remaining_nanos(), expected.credit);
        assert_eq!(hold.charged_nanos(), expected.charged);
        assert_eq!(hold.expires_at, expected.expires);
    }

    let spent = &model.projects.spent;
    assert_eq!(wallet.spending.spent_nanos, spent.values().sum::<i64>(), "projects and none");
    for (project, spent) in spent.iter().filter_map(|(id, spent)| Some((id.as_ref()?, spent))) {
        assert_eq!(wallet.spent_in(*project, at(0)), *spent, "{project}");
    }

    assert_eq!(-books.of("wallet:paid:"), wallet.posted_nanos);
    assert_eq!(-books.of("wallet:promo:"), credits);
    assert_eq!(-books.of("usage:"), model.used - model.tax);
    assert_eq!(-books.of("tax:"), model.tax);
    assert_eq!(books.of("receivable:overrun:"), model.owed);
    assert_eq!(books.of("receivable:customer:"), model.lost.1);
    assert_eq!(-books.of("receivable:dispute:"), model.lost.0 + model.lost.1);
    assert_eq!(-books.of("refund_payable"), model.paid_out);
    assert_eq!(books.of("promo:"), model.granted - model.lapsed);
    assert_eq!(books.accounts.values().sum::<i128>(), 0, "debits equal credits");
    assert_eq!(books.held("wallet:paid:"), wallet.held_nanos);
    assert_eq!(books.held("wallet:promo:"), wallet.promotional.held_nanos);
}

fn keeps_the_books(commands: Vec<WalletCommand>) -> Result<(), TestCaseError> {
    let (mut wallet, mut model, mut books) =
        (Wallet::default(), Model::default(), Books::default());
    for command in commands {
        let accepted = model.apply(&command);
        let decided = wallet.decide(command.clone());
        prop_assert_eq!(decided.is_ok(), accepted, "{:?} gives {:?}", command, decided);
        for event in decided.into_iter().flatten() {
            wallet = wallet.evolve(event.clone());
            books.write(&wallet, &event);
        }
        check(&wallet, &model, &books);
        if accepted {
            prop_assert_eq!(wallet.decide(command.clone()).unwrap(), vec![], "{:?}", command);
        }
    }
    let state = serde_json::to_string(&wallet).unwrap();
    prop_assert_eq!(serde_json::from_str::<Wallet>(&state).unwrap(), wallet);
    Ok(())
}

// Two tests, so that two cores share them.
proptest! {
    #![proptest_config(histories(14_000))]

    #[test]
    fn every_short_history_keeps_the_books(commands in prop::collection::vec(command(), 1..12)) {
        keeps_the_books(commands)?;
    }
}

proptest! {
    #![proptest_config(histories(6_000))]

    #[test]
    fn every_long_history_keeps_the_books(commands in prop::collection::vec(command(), 12..30)) {
        keeps_the_books(commands)?;
    }
}

fn rental(nanos_per_hour: i64, ticks: &[i64]) -> Wallet {
    let hold_id = HoldId::from_bits(1);
    let rate = Tariff::flat(nanos_per_hour);
    let top_up = WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(1),
        amount_nanos: 1_000_000 * 1_000_000_000,
        charge_id: "ch".to_owned(),
        at: at(0),
    });
    let hold = WalletCommand::PlaceHold(PlaceHold {
        hold_id,
        purpose: "alloc".to_owned(),
        project_id: None,
        amount_nanos: rate.total(600).unwrap().max(1),
        expires_at: at(600),
        at: at(0),
    });
    let tick = |seconds: &i64| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: rate.total(*seconds).unwrap(),
            seconds: *seconds,
            product: "compute".to_owned(),
            tax: None,
            keep_nanos: rate.total(600).unwrap(),
            expires_at: at(seconds + 600),
            at: at(*seconds),
        })
    };
    let commands = [top_up, hold].into_iter().chain(ticks.iter().map(tick));
    commands.fold(Wallet::default(), |wallet, command| {
        wallet.handle_at_once(command).map(|(after, _)| after).unwrap()
    })
}

proptest! {
    #[test]
    fn any_ticks_in_any_order_charge_the_same_total(
        nanos_per_hour in 1..10_000_000_000_i64,
        seconds in 1..100_000_i64,
        mut ticks in prop::collection::vec(1..100_000_i64, 0..20),
        order in any::<prop::sample::Index>(),
    ) {
        let once = rental(nanos_per_hour, &[seconds]);
        ticks.retain(|tick| *tick <= seconds);
        ticks.insert(order.index(ticks.len() + 1), seconds);
        ticks.extend(ticks.clone());
        let often = rental(nanos_per_hour, &ticks);
        let charged = |wallet: &Wallet| {
            wallet.holds.values().map(|hold| hold.captured_nanos + hold.overrun_nanos).sum::<i64>()
        };
        prop_assert_eq!(charged(&once), charged(&often));
        prop_assert_eq!(once.posted_nanos, often.posted_nanos);
        prop_assert_eq!(once.available_nanos(), often.available_nanos());
        let exact = Tariff::flat(nanos_per_hour).total(seconds).unwrap();
        prop_assert_eq!(charged(&often), exact);
    }
}

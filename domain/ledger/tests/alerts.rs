//! Alerts: told as often as what they look at comes about, and not more often.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::decide_both_ways;
use cairn_core::{
    CreditId, Currency, Decider, HoldId, Nanos, OrganisationId, PaymentId, RefundId, Timestamp,
};
use cairn_ledger::{
    Alert, AlertOn, CaptureHold, GrantCredit, PlaceHold, ReserveRefund, TopUp, Wallet,
    WalletCommand, WalletEvent,
};
use proptest::prelude::*;

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
/// The last hour of October 2026, and the first of November.
const OCTOBER: i64 = 1_793_487_600;
const NOVEMBER: i64 = 1_793_491_200;
/// A cent.
const CENT: Nanos = 10_000_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn spent(cents: Nanos) -> Alert {
    Alert { on: AlertOn::Spent, amount_nanos: cents * CENT }
}

fn below(cents: Nanos) -> Alert {
    Alert { on: AlertOn::BalanceBelow, amount_nanos: cents * CENT }
}

fn set(alerts: &[Alert], secs: i64) -> WalletCommand {
    WalletCommand::SetAlerts {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        alerts: alerts.to_vec(),
        at: at(secs),
    }
}

fn top_up(number: u128, cents: Nanos, secs: i64) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        payment_id: PaymentId::from_bits(number),
        amount_nanos: cents * CENT,
        charge_id: format!("ch_{number}"),
        at: at(secs),
    })
}

fn place(cents: Nanos, secs: i64) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: HoldId::from_bits(1),
        purpose: "alloc_1".to_owned(),
        project_id: None,
        amount_nanos: cents * CENT,
        expires_at: at(secs + 10_000_000),
        at: at(secs),
    })
}

fn capture(total_cents: Nanos, secs: i64) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: HoldId::from_bits(1),
        total_nanos: total_cents * CENT,
        seconds: total_cents,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at: at(secs + 10_000_000),
        at: at(secs),
    })
}

/// What was told, and by how much.
fn told(events: &[WalletEvent]) -> Vec<(Alert, Nanos)> {
    let reached = events.iter().filter_map(|event| match event {
        WalletEvent::AlertReached { alert, seen_nanos, .. } => Some((*alert, seen_nanos / CENT)),
        _ => None,
    });
    reached.collect()
}

/// Does all of it, and says what each told.
fn after(
    wallet: &mut Wallet,
    commands: impl IntoIterator<Item = WalletCommand>,
) -> Vec<Vec<(Alert, Nanos)>> {
    let each = |command| {
        let events = wallet.decide(command).unwrap();
        *wallet = std::mem::take(wallet).evolve_all(events.clone());
        told(&events)
    };
    commands.into_iter().map(each).collect()
}

#[test]
fn a_sum_is_told_once_in_a_month_and_the_next_one_again() {
    let mut wallet = Wallet::default();
    let heard = after(
        &mut wallet,
        [
            set(&[spent(10), spent(20)], OCTOBER),
            top_up(1, 100, OCTOBER),
            place(60, OCTOBER),
            capture(9, OCTOBER + 1),
            capture(12, OCTOBER + 2),
            capture(25, OCTOBER + 3),
            capture(33, NOVEMBER),
            capture(35, NOVEMBER + 1),
        ],
    );
    let none = Vec::new;
    let first = vec![(spent(10), 12)];
    let expected = [
        none(),
        none(),
        none(),
        none(),
        first,
        vec![(spent(20), 25)],
        none(),
        vec![(spent(10), 10)],
    ];
    assert_eq!(heard, expected);
}

#[test]
fn a_balance_is_told_each_time_that_it_falls_below_and_not_while_it_is() {
    let mut wallet = Wallet::default();
    let refund = WalletCommand::ReserveRefund(ReserveRefund {
        refund_id: RefundId::from_bits(1),
        payment_id: PaymentId::from_bits(2),
        amount_nanos: 15 * CENT,
        reason: "asked for".to_owned(),
        at: at(OCTOBER + 5),
    });
    let heard = after(
        &mut wallet,
        [
            // There is nothing yet, so nothing has fallen.
            set(&[below(50)], OCTOBER),
            top_up(1, 60, OCTOBER),
            // What is only set aside is left.
            place(40, OCTOBER),
            capture(10, OCTOBER + 1),
            capture(11, OCTOBER + 2),
            capture(12, OCTOBER + 3),
            top_up(2, 15, OCTOBER + 4),
            refund,
        ],
    );
    let none = Vec::new;
    let low = vec![(below(50), 49)];
    let again = vec![(below(50), 48)];
    assert_eq!(heard, [none(), none(), none(), none(), low, none(), none(), again]);
}

#[test]
fn credit_that_ends_makes_a_balance_fall() {
    let mut wallet = Wallet::default();
    let grant = WalletCommand::GrantCredit(GrantCredit {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        credit_id: CreditId::from_bits(1),
        amount_nanos: 30 * CENT,
        expires_at: at(OCTOBER + 10),
        reason: "welcome".to_owned(),
        at: at(OCTOBER),
    });
    let ends = WalletCommand::SweepExpired { at: at(OCTOBER + 11) };
    let heard = after(&mut wallet, [grant, set(&[below(20)], OCTOBER + 1), ends]);
    assert_eq!(heard, [vec![], vec![], vec![(below(20), 0)]]);
}

#[test]
fn what_stays_the_same_stays_told_and_what_is_new_and_reached_is_told_at_once() {
    let mut wallet = Wallet::default();
    let heard = after(
        &mut wallet,
        [
            set(&[spent(10)], OCTOBER),
            top_up(1, 100, OCTOBER),
            place(60, OCTOBER),
            capture(30, OCTOBER + 1),
            set(&[spent(20), spent(10)], OCTOBER + 2),
            set(&[spent(20), spent(10)], OCTOBER + 3),
            set(&[], OCTOBER + 4),
            set(&[spent(10)], OCTOBER + 5),
        ],
    );
    assert_eq!(heard[3..5], [vec![(spent(10), 30)], vec![(spent(20), 30)]]);
    assert_eq!(heard[5..], [vec![], vec![], vec![(spent(10), 30)]], "it was forgotten");
}

#[test]
fn alerts_that_cannot_be_meant_are_refused() {
    let ask = |alerts: &[Alert]| decide_both_ways(Wallet::default(), set(alerts, OCTOBER));
    ask(&[spent(0)]).then_refused("amount_not_positive");
    ask(&[spent(5), below(5), spent(5)]).then_refused("alerts_invalid");
    let many: Vec<_> = (1..=11).map(spent).collect();
    ask(&many).then_refused("alerts_invalid");
    assert_eq!(ask(&many[1..]).events().len(), 1);
}

proptest! {
    /// Whatever happens: a sum at most once a month, a balance only when it was there since it was told last, and nothing of either changes what
    /// is charged.
    #[test]
    fn nothing_is_told_twice_for_one_reason(
        moves in proptest::collection::vec((0..3_u8, 1..40_i64, 0..2_000_000_i64), 1..40),
        alerts in proptest::collection::btree_set(1..200_i64, 0..4),
    ) {
        let mut wanted: Vec<Alert> = alerts.iter().map(|cents| spent(*cents)).collect();
        wanted.extend(alerts.iter().map(|cents| below(*cents)));
        let (mut wallet, mut plain) = (Wallet::default(), Wallet::default());
        after(&mut wallet, [set(&wanted, OCTOBER)]);
        let begin = [top_up(0, 100, OCTOBER), place(50, OCTOBER)];
        after(&mut plain, begin.clone());
        after(&mut wallet, begin);
        let (mut now, mut total, mut number) = (OCTOBER, 0, 1);
        let mut last_told = std::collections::BTreeMap::new();
        for (kind, cents, wait) in moves {
            now += wait;
            let command = match kind {
                0 => top_up({ number += 1; number }, cents, now),
                _ => capture({ total += cents; total }, now),
            };
            let left_before = wallet.left_nanos();
            let heard = after(&mut wallet, [command.clone()]).remove(0);
            after(&mut plain, [command]);
            let month = wallet.spending.month;
            for (alert, _) in heard {
                match alert.on {
                    AlertOn::Spent => {
                        prop_assert!(wallet.spending.spent_nanos >= alert.amount_nanos);
                        prop_assert_ne!(last_told.insert(alert, month), Some(month));
                    }
                    AlertOn::BalanceBelow => {
                        prop_assert!(left_before >= alert.amount_nanos);
                        prop_assert!(wallet.left_nanos() < alert.amount_nanos);
                    }
                }
            }
            for alert in &wanted {
                let is_due = match alert.on {
                    AlertOn::Spent => wallet.spending.spent_nanos >= alert.amount_nanos,
                    AlertOn::BalanceBelow => wallet.left_nanos() < alert.amount_nanos,
                };
                let told = wallet.alerts.told.iter().any(|(known, _)| known == alert);
                prop_assert!(told || !is_due, "{alert:?} was not told");
            }
        }
        plain.alerts = wallet.alerts.clone();
        prop_assert_eq!(plain, wallet);
    }
}

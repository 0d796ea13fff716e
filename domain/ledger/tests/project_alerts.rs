//! Alerts of projects: each of what is its own, and as often as one of the whole.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::testing::decide_both_ways;
use cairn_core::{
    Currency, Decider, HoldId, Nanos, OrganisationId, PaymentId, ProjectId, Timestamp,
};
use cairn_ledger::{
    Alert, AlertOn, CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, WalletEvent,
};
use proptest::prelude::*;

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const SEARCH: ProjectId = ProjectId::from_bits(1);
const RANKING: ProjectId = ProjectId::from_bits(2);
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

fn set(project_id: ProjectId, alerts: &[Alert], secs: i64) -> WalletCommand {
    WalletCommand::SetProjectAlerts {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        project_id,
        alerts: alerts.to_vec(),
        at: at(secs),
    }
}

/// A wallet with a hold in each of the projects, and one in none.
fn wallet() -> Wallet {
    let top_up = WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        payment_id: PaymentId::from_bits(1),
        amount_nanos: 1_000 * CENT,
        charge_id: "ch_1".to_owned(),
        at: at(OCTOBER),
    });
    let place = |(hold, project_id): (u128, Option<ProjectId>)| {
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HoldId::from_bits(hold),
            purpose: format!("alloc_{hold}"),
            project_id,
            amount_nanos: 100 * CENT,
            expires_at: at(OCTOBER + 10_000_000),
            at: at(OCTOBER),
        })
    };
    let mut wallet = Wallet::default();
    let holds = [(1, Some(SEARCH)), (2, Some(RANKING)), (3, None)].map(place);
    after(&mut wallet, [top_up].into_iter().chain(holds));
    wallet
}

fn capture(hold: u128, total_cents: Nanos, secs: i64) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: HoldId::from_bits(hold),
        total_nanos: total_cents * CENT,
        seconds: total_cents,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos: 0,
        expires_at: at(secs + 10_000_000),
        at: at(secs),
    })
}

/// Of which project what was told, and how much was used then, in cents.
type Told = (ProjectId, Alert, Nanos);

fn told(events: &[WalletEvent]) -> Vec<Told> {
    let reached = events.iter().filter_map(|event| match event {
        WalletEvent::ProjectAlertReached { project_id, alert, spent_nanos, .. } => {
            Some((*project_id, *alert, spent_nanos / CENT))
        }
        _ => None,
    });
    reached.collect()
}

/// Does all of it, and says what each told.
fn after(wallet: &mut Wallet, commands: impl IntoIterator<Item = WalletCommand>) -> Vec<Vec<Told>> {
    let each = |command| {
        let events = wallet.decide(command).unwrap();
        *wallet = std::mem::take(wallet).evolve_all(events.clone());
        told(&events)
    };
    commands.into_iter().map(each).collect()
}

#[test]
fn a_project_is_told_of_its_own_sum_once_in_a_month_and_the_next_one_again() {
    let mut wallet = wallet();
    let heard = after(
        &mut wallet,
        [
            set(SEARCH, &[spent(10), spent(20)], OCTOBER),
            set(RANKING, &[spent(10)], OCTOBER),
            // What is used elsewhere, or in none, is nothing to it.
            capture(2, 15, OCTOBER + 1),
            capture(3, 90, OCTOBER + 2),
            capture(1, 9, OCTOBER + 3),
            capture(1, 12, OCTOBER + 4),
            capture(1, 25, OCTOBER + 5),
            capture(1, 33, NOVEMBER),
            capture(1, 35, NOVEMBER + 1),
        ],
    );
    let none = Vec::new;
    let expected = [
        none(),
        none(),
        vec![(RANKING, spent(10), 15)],
        none(),
        none(),
        vec![(SEARCH, spent(10), 12)],
        vec![(SEARCH, spent(20), 25)],
        none(),
        vec![(SEARCH, spent(10), 10)],
    ];
    assert_eq!(heard, expected);
}

#[test]
fn what_stays_the_same_stays_told_and_what_is_new_and_reached_is_told_at_once() {
    let mut wallet = wallet();
    let heard = after(
        &mut wallet,
        [
            set(SEARCH, &[spent(10)], OCTOBER),
            capture(1, 30, OCTOBER + 1),
            set(SEARCH, &[spent(20), spent(10)], OCTOBER + 2),
            set(SEARCH, &[spent(20), spent(10)], OCTOBER + 3),
            set(SEARCH, &[], OCTOBER + 4),
        ],
    );
    let (ten, twenty) = ((SEARCH, spent(10), 30), (SEARCH, spent(20), 30));
    assert_eq!(heard, [vec![], vec![ten], vec![twenty], vec![], vec![]]);
    assert!(wallet.project_alerts.is_empty(), "one without alerts is not remembered");
    let heard = after(&mut wallet, [set(SEARCH, &[spent(10)], OCTOBER + 5)]);
    assert_eq!(heard, [vec![ten]], "it was forgotten");
}

#[test]
fn alerts_that_cannot_be_meant_are_refused() {
    let ask = |alerts: &[Alert]| decide_both_ways(Wallet::default(), set(SEARCH, alerts, OCTOBER));
    let below = Alert { on: AlertOn::BalanceBelow, amount_nanos: 5 * CENT };
    ask(&[spent(0)]).then_refused("amount_not_positive");
    ask(&[spent(5), spent(5)]).then_refused("alerts_invalid");
    ask(&[spent(5), below]).then_refused("alerts_invalid");
    let many: Vec<_> = (1..=11).map(spent).collect();
    ask(&many).then_refused("alerts_invalid");
    assert_eq!(ask(&many[1..]).events().len(), 1);
}

proptest! {
    /// Whatever happens: each sum of each project at most once a month, all that is due, and nothing of it changes what is charged.
    #[test]
    fn nothing_is_told_twice_and_nothing_is_missed(
        moves in prop::collection::vec((1..4_u128, 1..40_i64, 0..2_000_000_i64), 1..30),
        sums in prop::collection::btree_set(1..200_i64, 0..4),
    ) {
        let wanted: Vec<Alert> = sums.iter().map(|cents| spent(*cents)).collect();
        let (mut heard_of, mut plain) = (wallet(), wallet());
        after(&mut heard_of, [SEARCH, RANKING].map(|project| set(project, &wanted, OCTOBER)));
        let (mut now, mut totals) = (OCTOBER, [0; 4]);
        let mut last_told = std::collections::BTreeMap::new();
        for (hold, cents, wait) in moves {
            now += wait;
            let total = &mut totals[usize::try_from(hold).unwrap()];
            *total += cents;
            let command = capture(hold, *total, now);
            let heard = after(&mut heard_of, [command.clone()]).remove(0);
            after(&mut plain, [command]);
            for (project, alert, seen) in heard {
                prop_assert!(seen * CENT >= alert.amount_nanos);
                let month = heard_of.spending.month;
                prop_assert_ne!(last_told.insert((project, alert), month), Some(month));
            }
            for project in [SEARCH, RANKING] {
                let alerts = heard_of.alerts_of(project);
                for alert in &wanted {
                    let is_due = heard_of.spent_in(project, at(now)) >= alert.amount_nanos;
                    let told = alerts.told.iter().any(|(known, _)| known == alert);
                    prop_assert!(told || !is_due, "{alert:?} of {project} was not told");
                }
            }
        }
        plain.project_alerts = heard_of.project_alerts.clone();
        prop_assert_eq!(plain, heard_of);
    }
}

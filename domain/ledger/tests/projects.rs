//! Spending limits of projects: each stops what is its own, whatever the others use, and all of them together are the whole.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_core::{
    Currency, Decider, HoldId, Nanos, OrganisationId, PaymentId, ProjectId, Refusal as _, Timestamp,
};
use cairn_ledger::{
    CaptureHold, PlaceHold, SpendingLimit, SpendingLimits, TopUp, Wallet, WalletCommand,
    WalletError, WalletEvent,
};
use proptest::prelude::*;

const ORGANISATION: OrganisationId = OrganisationId::from_bits(1);
const SEARCH: ProjectId = ProjectId::from_bits(1);
const RANKING: ProjectId = ProjectId::from_bits(2);

/// The last hour of October 2026, and the first of November.
const OCTOBER: i64 = 1_793_487_600;
const NOVEMBER: i64 = 1_793_491_200;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn limits(
    project_id: ProjectId,
    warn_nanos: Option<Nanos>,
    stop_nanos: Option<Nanos>,
    secs: i64,
) -> WalletCommand {
    WalletCommand::SetProjectLimits {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        project_id,
        limits: SpendingLimits { warn_nanos, stop_nanos },
        at: at(secs),
    }
}

fn whole(stop_nanos: Nanos) -> WalletCommand {
    WalletCommand::SetSpendingLimits {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        limits: SpendingLimits { warn_nanos: None, stop_nanos: Some(stop_nanos) },
        at: at(OCTOBER),
    }
}

fn top_up(amount_nanos: Nanos) -> WalletCommand {
    WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::EUR,
        payment_id: PaymentId::from_bits(4),
        amount_nanos,
        charge_id: "ch_1".to_owned(),
        at: at(OCTOBER),
    })
}

fn place(
    number: u128,
    project_id: impl Into<Option<ProjectId>>,
    amount_nanos: Nanos,
    secs: i64,
) -> WalletCommand {
    WalletCommand::PlaceHold(PlaceHold {
        hold_id: HoldId::from_bits(number),
        purpose: format!("alloc_{number}"),
        project_id: project_id.into(),
        amount_nanos,
        expires_at: at(secs + 10_000_000),
        at: at(secs),
    })
}

fn capture(number: u128, total_nanos: Nanos, keep_nanos: Nanos, secs: i64) -> WalletCommand {
    WalletCommand::CaptureHold(CaptureHold {
        hold_id: HoldId::from_bits(number),
        total_nanos,
        seconds: total_nanos,
        product: "compute".to_owned(),
        tax: None,
        keep_nanos,
        expires_at: at(secs + 10_000_000),
        at: at(secs),
    })
}

fn after(commands: impl IntoIterator<Item = WalletCommand>) -> Wallet {
    commands.into_iter().fold(Wallet::default(), |wallet, command| {
        let events = wallet.decide(command).unwrap();
        wallet.evolve_all(events)
    })
}

/// Of which project, or of the whole, what was told, and what was used then.
fn told(events: &[WalletEvent]) -> Vec<(Option<ProjectId>, SpendingLimit, Nanos)> {
    let told = |event: &WalletEvent| match event {
        WalletEvent::SpendingReached { limit, spent_nanos, .. } => {
            Some((None, *limit, *spent_nanos))
        }
        WalletEvent::ProjectLimitReached { project_id, limit, spent_nanos, .. } => {
            Some((Some(*project_id), *limit, *spent_nanos))
        }
        _ => None,
    };
    events.iter().filter_map(told).collect()
}

fn refused(events: &[WalletEvent]) -> Option<(Nanos, Nanos)> {
    events.iter().find_map(|event| match event {
        WalletEvent::HoldExtensionRefused { wanted_nanos, available_nanos, .. } => {
            Some((*wanted_nanos, *available_nanos))
        }
        _ => None,
    })
}

#[test]
fn a_project_without_room_is_named_and_the_others_go_on() {
    let wallet = after([
        top_up(1_000),
        limits(SEARCH, None, Some(100), OCTOBER),
        place(1, SEARCH, 60, OCTOBER),
    ]);
    let refused = wallet.decide(place(2, SEARCH, 41, OCTOBER)).unwrap_err();
    let (room, wanted) = ("0.00000004".to_owned(), "0.000000041".to_owned());
    assert_eq!(refused, WalletError::ProjectLimitReached { project_id: SEARCH, room, wanted });
    assert_eq!(refused.code(), "spending_limit_reached");
    assert!(refused.to_string().contains(&SEARCH.to_string()), "{refused}");
    for fits in [
        place(2, SEARCH, 40, OCTOBER),
        place(2, RANKING, 900, OCTOBER),
        place(2, None, 900, OCTOBER),
    ] {
        assert!(wallet.decide(fits).is_ok());
    }
    // It was decided when it began.
    assert_eq!(wallet.decide(place(1, RANKING, 60, OCTOBER)), Ok(vec![]));
}

#[test]
fn the_smaller_room_holds_and_each_that_is_short_is_told_once() {
    let wallet = after([
        top_up(1_000),
        whole(180),
        limits(SEARCH, None, Some(100), OCTOBER),
        place(1, SEARCH, 60, OCTOBER),
        place(2, RANKING, 40, OCTOBER),
    ]);
    let events = wallet.decide(capture(1, 50, 60, OCTOBER + 1)).unwrap();
    // 50 used, 10 left and 40 more allowed in the project; the whole would have given all 50.
    assert_eq!(refused(&events), Some((10, 860)));
    assert_eq!(told(&events), [(Some(SEARCH), SpendingLimit::Stop, 50)]);
    let wallet = wallet.evolve_all(events);
    let events = wallet.decide(capture(1, 60, 60, OCTOBER + 2)).unwrap();
    assert_eq!((refused(&events), told(&events)), (Some((20, 860)), vec![]), "told once");
    let wallet = wallet.evolve_all(events);
    // The other project has no limit of its own: the whole stops it.
    let events = wallet.decide(capture(2, 30, 60, OCTOBER + 3)).unwrap();
    assert_eq!(
        (refused(&events), told(&events)),
        (Some((10, 820)), vec![(None, SpendingLimit::Stop, 90)])
    );
}

#[test]
fn a_project_has_room_again_with_the_next_month_or_a_higher_limit() {
    let wallet = after([
        top_up(1_000),
        limits(SEARCH, None, Some(100), OCTOBER),
        place(1, SEARCH, 60, OCTOBER),
        capture(1, 70, 30, OCTOBER + 1),
    ]);
    let room = |secs| wallet.room_in(SEARCH, at(secs));
    assert_eq!((room(OCTOBER + 1), room(NOVEMBER)), (Some(0), Some(70)));
    assert_eq!(
        (wallet.spent_in(SEARCH, at(OCTOBER)), wallet.spent_in(RANKING, at(OCTOBER))),
        (70, 0)
    );
    assert!(wallet.decide(place(2, SEARCH, 1, OCTOBER + 1)).is_err());
    assert!(wallet.decide(place(2, SEARCH, 70, NOVEMBER)).is_ok());
    let raised = wallet.decide(limits(SEARCH, None, Some(130), OCTOBER + 2)).unwrap();
    assert!(wallet.clone().evolve_all(raised).decide(place(2, SEARCH, 30, OCTOBER + 2)).is_ok());
    let lifted = wallet.decide(limits(SEARCH, None, None, OCTOBER + 2)).unwrap();
    assert!(wallet.clone().evolve_all(lifted).room_in(SEARCH, at(OCTOBER)).is_none());
    // Another project makes it November for all: what comes late counts nowhere.
    let place = wallet.decide(place(3, RANKING, 50, NOVEMBER)).unwrap();
    let wallet = wallet.evolve_all(place);
    let used = wallet.decide(capture(3, 20, 0, NOVEMBER + 1)).unwrap();
    let wallet = wallet.evolve_all(used);
    assert_eq!(wallet.spent_in(SEARCH, at(OCTOBER)), 0, "the month is the wallet's");
    let late = wallet.decide(capture(1, 75, 0, OCTOBER + 3)).unwrap();
    let wallet = wallet.evolve_all(late);
    let spent = [SEARCH, RANKING].map(|id| wallet.spent_in(id, at(NOVEMBER)));
    assert_eq!((spent, wallet.spending.spent_nanos), ([0, 20], 20));
}

#[test]
fn a_warning_of_a_project_comes_once_a_month_and_at_once_when_it_is_late() {
    let wallet = after([
        top_up(1_000),
        limits(SEARCH, Some(50), None, OCTOBER),
        place(1, SEARCH, 200, OCTOBER),
        place(2, RANKING, 200, OCTOBER),
        capture(2, 100, 0, OCTOBER),
    ]);
    let events = wallet.decide(capture(1, 50, 0, OCTOBER)).unwrap();
    assert_eq!(told(&events), [(Some(SEARCH), SpendingLimit::Warn, 50)]);
    let wallet = wallet.evolve_all(events);
    assert_eq!(told(&wallet.decide(capture(1, 60, 0, OCTOBER)).unwrap()), []);
    let next = wallet.decide(capture(1, 110, 0, NOVEMBER)).unwrap();
    assert_eq!(told(&next), [(Some(SEARCH), SpendingLimit::Warn, 60)]);
    let other = wallet.decide(limits(RANKING, Some(20), None, OCTOBER)).unwrap();
    assert_eq!(told(&other), [(Some(RANKING), SpendingLimit::Warn, 100)]);
}

#[test]
fn limits_of_a_project_that_make_no_sense_are_refused_and_a_wallet_may_begin_with_them() {
    let empty = Wallet::default();
    let (warn, stop) = ("0.000000009".to_owned(), "0.000000008".to_owned());
    for (wrong, error) in [
        (limits(SEARCH, Some(0), None, OCTOBER), WalletError::AmountNotPositive),
        (limits(SEARCH, None, Some(-1), OCTOBER), WalletError::AmountNotPositive),
        (limits(SEARCH, Some(9), Some(8), OCTOBER), WalletError::WarnAboveStop { warn, stop }),
    ] {
        assert_eq!(empty.decide(wrong), Err(error));
    }
    let wallet = after([limits(SEARCH, None, Some(0), OCTOBER), top_up(10)]);
    assert!(wallet.decide(place(1, SEARCH, 1, OCTOBER)).is_err());
    assert!(wallet.decide(place(1, None, 1, OCTOBER)).is_ok());
    assert_eq!(wallet.decide(limits(SEARCH, None, Some(0), OCTOBER)), Ok(vec![]));
}

proptest! {
    #[test]
    fn projects_stay_within_their_stops_and_together_they_are_the_whole(
        stops in prop::array::uniform2(prop::option::of(0_i64..200)),
        all in 0_i64..400,
        steps in prop::collection::vec((0_u128..6, 0_i64..40, 0_i64..60, 0_i64..90_000), 1..40),
    ) {
        let ids = [SEARCH, RANKING];
        let mut wallet = after([top_up(100_000), whole(all)]);
        for (id, stop) in ids.into_iter().zip(stops) {
            let events = wallet.decide(limits(id, None, stop, OCTOBER)).unwrap();
            wallet = wallet.evolve_all(events);
        }
        let (mut now, mut totals, mut used) = (OCTOBER, [0; 6], std::collections::BTreeMap::new());
        for (number, amount, keep, later) in steps {
            now += later;
            let index = usize::try_from(number).unwrap();
            let project = ids.get(index % 3).copied();
            let hold = wallet.holds.get(&HoldId::from_bits(number).to_string());
            let command = match hold {
                None => place(number, project, amount + 1, now),
                // Never more than is set aside.
                Some(it) => {
                    let due = amount.min(it.remaining_nanos());
                    totals[index] += due;
                    let month = cairn_core::Month::of(at(now)).unwrap();
                    *used.entry((month, project)).or_insert(0) += due;
                    capture(number, totals[index], keep, now)
                }
            };
            let Ok(events) = wallet.decide(command) else { continue };
            wallet = wallet.evolve_all(events);
            let month = cairn_core::Month::of(at(now)).unwrap();
            let spent = |project| used.get(&(month, project)).copied().unwrap_or(0);
            for (id, stop) in ids.into_iter().zip(stops) {
                prop_assert_eq!(wallet.spent_in(id, at(now)), spent(Some(id)));
                let of_it = wallet.holds.values().filter(|hold| hold.project_id == Some(id));
                let held: Nanos = of_it.map(cairn_ledger::Hold::remaining_nanos).sum();
                let most = stop.unwrap_or(Nanos::MAX);
                prop_assert!(spent(Some(id)) + held <= most, "{held} set aside, {most} allowed");
            }
            let together = spent(None) + spent(Some(SEARCH)) + spent(Some(RANKING));
            prop_assert_eq!(wallet.spending.spent_at(at(now)), together);
        }
    }
}

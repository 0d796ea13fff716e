//! Suspending and resuming: what is billed, what is refused, and which wish is the newest.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_compute::{
    Allocation, AllocationCommand as Command, AllocationEvent as Event, AllocationStatus as Status,
    PinnedPrice, Placement, ReleaseReason, Size, Step, SuspensionReason,
};
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    AllocationId, Currency, Decider, HoldId, NodeId, OrganisationId, Resources, Timestamp,
};

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000 + secs)
}

/// Active since `at(0)`.
fn active() -> Vec<Command> {
    let (node_id, hold_id) = (NodeId::from_bits(3), HoldId::from_bits(1));
    let steps =
        Step::ALL.map(|step| Command::CompleteStep { step, observed: "ok".to_owned(), at: at(-1) });
    let begin = [
        Command::Request {
            allocation_id: AllocationId::from_bits(1),
            organisation_id: OrganisationId::from_bits(2),
            sku_id: "small".to_owned(),
            resources: Resources::default(),
            price: PinnedPrice::flat(1, Currency::EUR, 3_600),
            tax: None,
            project_id: None,
            ssh_public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==".to_owned(),
            node_id: None,
            at: at(-9),
        },
        Command::ConfirmReserved {
            placement: Placement { node_id, uid: 20_000, hold_id },
            at: at(-8),
        },
        Command::StartProvisioning { login: "t20000".to_owned(), at: at(-7) },
    ];
    let activate = Command::Activate { proof: "uid=20000".to_owned(), at: at(0) };
    begin.into_iter().chain(steps).chain([activate]).collect()
}

const fn meter(through: i64) -> Command {
    Command::Meter { through: at(through), unproven_seconds: 0, late_seconds: 0, at: at(through) }
}

const fn suspend(when: i64) -> Command {
    Command::RequestSuspension { reason: SuspensionReason::FundsExhausted, at: at(when) }
}

fn suspended(when: i64) -> Command {
    Command::ConfirmSuspended { evidence: "0 processes".to_owned(), at: at(when) }
}

const fn resume(when: i64) -> Command {
    Command::RequestResume { at: at(when) }
}

fn resumed(when: i64) -> Command {
    Command::ConfirmResumed { proof: "uid=20000".to_owned(), at: at(when) }
}

const fn release(when: i64) -> Command {
    Command::RequestRelease { reason: ReleaseReason::Customer, at: at(when) }
}

fn after(commands: &[Command]) -> Allocation {
    active().iter().chain(commands).cloned().fold(Allocation::default(), |allocation, command| {
        let events = allocation.decide(command).unwrap();
        events.into_iter().fold(allocation, Allocation::evolve)
    })
}

fn check(history: &[Command], command: Command) -> When<Allocation> {
    decide_both_ways(after(history), command)
}

#[test]
fn each_turn_is_taken_once_and_repeats_change_nothing() {
    let turns = [suspend(60), suspended(70), resume(100), resumed(110)];
    let states = [Status::Suspending, Status::Suspended, Status::Resuming, Status::Active];
    for (n, state) in states.into_iter().enumerate() {
        let history = &turns[..=n];
        assert_eq!(after(history).status, state);
        check(history, turns[n].clone()).then([]);
    }
    assert_eq!(after(&turns).generation(), 3, "two wishes newer than the first");
}

#[test]
fn what_is_not_suspended_is_not_resumed_and_not_confirmed() {
    let wrong = |history: &[Command], command| {
        check(history, command).then_refused("allocation_in_wrong_state");
    };
    wrong(&[], suspended(70));
    wrong(&[suspend(60)], resume(61));
    wrong(&[suspend(60), suspended(70)], resumed(80));
    wrong(&[release(60)], suspend(61));
    wrong(&[release(60)], resume(61));
}

#[test]
fn the_time_from_the_request_to_the_proof_is_not_billed() {
    let history = [suspend(60), meter(500), suspended(70), meter(500), resume(100), resumed(160)];
    assert_eq!(after(&history).metered_seconds(), 60);
    let more = [&history[..], &[meter(200)]].concat();
    assert_eq!(after(&more).metered_seconds(), 100);
    let again = [&more[..], &[suspend(210), suspended(220), resume(300), resumed(310), meter(320)]];
    let again = after(&again.concat());
    // Nobody metered the ten seconds before the second suspension.
    assert_eq!((again.metered_seconds(), again.idle_seconds), (110, 210));
}

#[test]
fn what_is_released_while_suspended_is_billed_up_to_its_suspension() {
    let history = [suspend(60), suspended(70), release(1_000), meter(1_000)];
    let allocation = after(&history);
    assert_eq!(allocation.released_at, Some(at(60)));
    assert_eq!(allocation.metered_seconds(), 60);
    let teardown = Command::VerifyTeardown { evidence: "nothing".to_owned(), at: at(1_010) };
    let settle = Command::ConfirmReleased { charged_nanos: 60, at: at(1_020) };
    let (charged_nanos, settled) = (60, at(1_020));
    let expected = Event::Released { active_seconds: 60, charged_nanos, at: settled };
    check(&[&history[..], &[teardown]].concat(), settle).then([expected]);
}

#[test]
fn a_suspension_is_never_earlier_than_what_was_metered() {
    let requested = |when| Event::SuspensionRequested {
        reason: SuspensionReason::FundsExhausted,
        at: at(when),
    };
    check(&[meter(60)], suspend(50)).then([requested(60)]);
    check(&[], suspend(-5)).then([requested(0)]);
}

#[test]
fn an_operator_is_called_for_a_turn_that_is_stuck_and_the_proof_ends_the_call() {
    let call = || Command::CallOperator {
        doing: "suspend".to_owned(),
        message: "timeout".to_owned(),
        at: at(75),
    };
    assert!(after(&[suspend(60), call()]).needs_operator);
    assert!(!after(&[suspend(60), call(), suspended(80)]).needs_operator);
    let resuming = [suspend(60), suspended(70), resume(100)];
    let stuck = [&resuming[..], &[call()]].concat();
    assert!(after(&stuck).needs_operator);
    assert!(!after(&[&stuck[..], &[resumed(120)]].concat()).needs_operator);
}

#[test]
fn while_it_is_resized_another_size_is_refused_for_that_reason() {
    let size = |sku_id: &str| Command::RequestResize {
        size: Size {
            sku_id: sku_id.to_owned(),
            resources: Resources::default(),
            price: PinnedPrice::flat(1, Currency::EUR, 7_200),
            tax: None,
        },
        at: at(10),
    };
    let under_way = [size("large"), Command::StartResize { at: at(11) }, suspended(12), resume(13)];
    for far in 1..=under_way.len() {
        check(&under_way[..far], size("huge")).then_refused("resize_under_way");
    }
}

//! The rules of an allocation.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_compute::{
    Allocation, AllocationCommand, AllocationEvent, AllocationStatus, PinnedPrice, Placement,
    ReleaseReason, Step,
};
use cairn_core::testing::{When, decide_both_ways};
use cairn_core::{
    AllocationId, Currency, Decider, HoldId, NodeId, OrganisationId, Resources, Timestamp,
};

type Command = AllocationCommand;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==";

const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000 + secs)
}

fn request_as(sku_id: &str, ssh_public_key: &str) -> Command {
    Command::Request {
        allocation_id: AllocationId::from_bits(1),
        organisation_id: OrganisationId::from_bits(2),
        sku_id: sku_id.to_owned(),
        resources: Resources::default(),
        price: PinnedPrice::flat(1, Currency::EUR, 3_600),
        tax: None,
        project_id: None,
        ssh_public_key: ssh_public_key.to_owned(),
        node_id: None,
        at: at(0),
    }
}

fn request() -> Command {
    request_as("small", KEY)
}

const fn reserved(uid: u32) -> Command {
    let (node_id, hold_id) = (NodeId::from_bits(3), HoldId::from_bits(1));
    Command::ConfirmReserved { placement: Placement { node_id, uid, hold_id }, at: at(1) }
}

fn reject() -> Command {
    let (code, message) = ("no_capacity".to_owned(), "full".to_owned());
    Command::Reject { code, message, at: at(1) }
}

fn start(login: &str) -> Command {
    Command::StartProvisioning { login: login.to_owned(), at: at(2) }
}

fn complete(step: Step) -> Command {
    Command::CompleteStep { step, observed: "ok".to_owned(), at: at(3) }
}

fn fail(step: Step) -> Command {
    let (code, message) = ("disk_full".to_owned(), "no space".to_owned());
    Command::FailProvisioning { step, code, message, at: at(4) }
}

fn activate() -> Command {
    Command::Activate { proof: "uid=20000".to_owned(), at: at(10) }
}

const CONFIRM_FAILED: Command = Command::ConfirmFailed { at: at(11) };
const RELEASE: Command = Command::RequestRelease { reason: ReleaseReason::Customer, at: at(70) };
const SETTLE: Command = Command::ConfirmReleased { charged_nanos: 60, at: at(90) };

fn teardown() -> Command {
    Command::VerifyTeardown { evidence: "nothing left".to_owned(), at: at(80) }
}

fn call() -> Command {
    Command::CallOperator {
        doing: "teardown".to_owned(),
        message: "timeout".to_owned(),
        at: at(75),
    }
}

/// The whole good life, command by command.
fn life() -> Vec<Command> {
    let steps = Step::ALL.map(complete);
    let before = [request(), reserved(20_000), start("t20000")];
    let after = [activate(), RELEASE, teardown(), SETTLE];
    before.into_iter().chain(steps).chain(after).collect()
}

/// The life up to and without the `n`th command after all steps: 0 is activation.
fn until(n: usize) -> Vec<Command> {
    life()[..9 + n].to_vec()
}

fn compensating() -> Vec<Command> {
    [&life()[..4], &[fail(Step::Home)]].concat()
}

fn fold(commands: &[Command]) -> Allocation {
    commands.iter().cloned().fold(Allocation::default(), |allocation, command| {
        let events = allocation.decide(command).unwrap();
        events.into_iter().fold(allocation, Allocation::evolve)
    })
}

fn check(history: &[Command], command: Command) -> When<Allocation> {
    decide_both_ways(fold(history), command)
}

/// The state after a command that is accepted, and then repeated without effect.
fn twice(history: &[Command], command: Command) -> Allocation {
    assert_ne!(check(history, command.clone()).events(), [], "it must do something at first");
    let history = [history, std::slice::from_ref(&command)].concat();
    check(&history, command).then([]);
    fold(&history)
}

fn wrong(history: &[Command], command: Command) {
    check(history, command).then_refused("allocation_in_wrong_state");
}

#[test]
fn every_command_of_a_good_life_works_once_and_repeats_harmlessly() {
    let life = life();
    for n in 0..life.len() {
        twice(&life[..n], life[n].clone());
    }
    for command in life.clone() {
        check(&life, command).then([]);
    }
    assert_eq!(fold(&life).status, AllocationStatus::Released);
}

#[test]
fn every_command_but_the_request_needs_an_allocation() {
    let others = [reject(), fail(Step::Uid), CONFIRM_FAILED, call()];
    for command in life().into_iter().skip(1).chain(others) {
        check(&[], command).then_refused("unknown_allocation");
    }
}

#[test]
fn a_public_key_is_one_line_of_a_known_type() {
    for bad in [
        "",
        "ssh-ed25519",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "ssh-ed25519 BBBB",
        "ssh-ed25519 AAAA comment",
        "ssh-ed25519  AAAA",
        "ssh-ed25519 AAAA\nssh-rsa AAAA",
        "ssh-ed25519 AAAA\"",
        "command=\"sh\" ssh-ed25519 AAAA",
        &format!("ssh-rsa AAAA{}", "A".repeat(2_048)),
    ] {
        check(&[], request_as("small", bad)).then_refused("ssh_public_key_invalid");
    }
    for kind in ["ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"] {
        check(&[], request_as("small", &format!("{kind} AAAA"))).events();
    }
}

#[test]
fn an_id_is_one_allocation() {
    check(&[request()], request_as("large", KEY)).then_refused("id_reused");
    check(&[request()], request_as("small", "ssh-rsa AAAA")).then_refused("id_reused");
}

#[test]
fn a_rejection_is_final() {
    assert_eq!(twice(&[request()], reject()).status, AllocationStatus::Rejected);
    let rejected = [request(), reject()];
    for command in [reserved(1), start("t1"), complete(Step::Uid), RELEASE, activate()] {
        wrong(&rejected, command);
    }
    wrong(&life()[..2], reject());
}

#[test]
fn a_placement_and_a_login_never_change() {
    wrong(&life()[..2], reserved(20_001));
    wrong(&life()[..3], start("t1"));
    wrong(&life()[..1], start("t20000"));
}

#[test]
fn steps_come_in_order() {
    check(&life()[..3], complete(Step::Home)).then_refused("step_out_of_order");
    wrong(&life()[..2], complete(Step::Uid));
    wrong(&compensating(), complete(Step::Home));
    check(&compensating(), complete(Step::Uid)).then([]);
}

#[test]
fn nobody_pays_before_every_step_is_proven() {
    wrong(&life()[..8], activate());
    wrong(&until(0), meter(500, 0));
}

fn meter(through: i64, unproven_seconds: i64) -> Command {
    Command::Meter { through: at(through), unproven_seconds, late_seconds: 0, at: at(through) }
}

fn metered(through: i64, unproven_seconds: i64) -> AllocationEvent {
    AllocationEvent::Metered {
        through: at(through),
        unproven_seconds,
        late_seconds: 0,
        at: at(through),
    }
}

/// A life with this done at its end.
fn with(history: &[Command], more: Command) -> Vec<Command> {
    [history, &[more]].concat()
}

#[test]
fn the_meter_runs_from_proof_to_the_release_request() {
    let active = until(1);
    check(&active, meter(9, 0)).then([]);
    check(&active, meter(25, 0)).then([metered(25, 0)]);
    assert_eq!(fold(&with(&active, meter(25, 0))).metered_seconds(), 15);
    let late = AllocationEvent::Metered {
        through: at(70),
        unproven_seconds: 0,
        late_seconds: 0,
        at: at(9_999),
    };
    let ask =
        Command::Meter { through: at(9_999), unproven_seconds: 0, late_seconds: 0, at: at(9_999) };
    check(&until(2), ask).then([late]);
    let events = check(&until(3), SETTLE).events();
    let released = AllocationEvent::Released { active_seconds: 60, charged_nanos: 60, at: at(90) };
    assert_eq!(events, [released]);
}

#[test]
fn unproven_seconds_are_not_billed() {
    let settled = with(&until(3), meter(70, 25));
    assert_eq!(fold(&settled).metered_seconds(), 35);
    let released = AllocationEvent::Released { active_seconds: 35, charged_nanos: 60, at: at(90) };
    check(&settled, SETTLE).then([released]);
}

#[test]
fn what_is_metered_stays_metered() {
    let running = with(&until(1), meter(40, 5));
    check(&running, meter(39, 0)).then([]);
    check(&running, meter(40, 30)).then([]);
    // Found out too late that nothing after the 12th second is proven: the 25 seconds that are metered stay.
    check(&running, meter(50, 38)).then([metered(50, 15)]);
    check(&running, meter(50, 0)).then([metered(50, 5)]);
}

#[test]
fn a_release_that_was_overtaken_by_the_meter_moves_to_it() {
    let running = with(&until(1), meter(40, 0));
    let ask = |now| Command::RequestRelease { reason: ReleaseReason::Customer, at: at(now) };
    let requested =
        |then| AllocationEvent::ReleaseRequested { reason: ReleaseReason::Customer, at: at(then) };
    check(&running, ask(38)).then([requested(40)]);
    check(&running, ask(41)).then([requested(41)]);
}

#[test]
fn a_failed_provisioning_is_undone_and_then_final() {
    let failing = twice(&life()[..4], fail(Step::Home));
    assert_eq!(
        (failing.status, failing.failed_step),
        (AllocationStatus::Compensating, Some(Step::Home))
    );
    let failed = twice(&compensating(), CONFIRM_FAILED);
    assert_eq!(failed.status, AllocationStatus::Failed);
    let over = [&compensating()[..], &[CONFIRM_FAILED]].concat();
    check(&over, fail(Step::Home)).then([]);
    for command in [start("t1"), activate(), RELEASE, teardown(), SETTLE, call()] {
        wrong(&over, command);
    }
    wrong(&until(1), fail(Step::Prove));
    wrong(&until(1), CONFIRM_FAILED);
}

#[test]
fn a_release_goes_through_proof_of_teardown() {
    wrong(&until(0), RELEASE);
    wrong(&until(1), teardown());
    wrong(&until(2), SETTLE);
    assert_eq!(fold(&until(3)).status, AllocationStatus::Settling);
}

#[test]
fn an_operator_is_called_once_for_what_is_stuck() {
    assert!(twice(&until(2), call()).needs_operator);
    assert!(twice(&compensating(), call()).needs_operator);
    wrong(&until(1), call());
    let proven = [until(2), vec![call(), teardown()]].concat();
    assert!(!fold(&proven).needs_operator);
    let undone = [compensating(), vec![call(), CONFIRM_FAILED]].concat();
    assert!(!fold(&undone).needs_operator);
}

//! What renting, metering and releasing want, as data.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
mod support;

use cairn_commands::processes::intent::{Ending, Funding, Tick};
use cairn_commands::processes::meter_usage::MeterUsage;
use cairn_commands::processes::release_node::ReleaseNode;
use cairn_commands::processes::rent_node::RentNode;
use cairn_commands::processes::{
    Action, Awoken, Command, Effect, Fact, Intent, Occurrence, Settings, Status, Timer,
};
use cairn_compute::{
    AllocationEvent, PinnedPrice, Placement, ReleaseReason, Step, SuspensionReason,
};
use cairn_core::{Tier, Tiers};
use cairn_fleet::NodeEvent;
use cairn_ledger::WalletEvent;
use support::react::{
    ALLOCATION, HOLD, NODE, NOW, ORGANISATION, PRICE, RESOURCES, allocation, command, effect,
    given, journal, node, timer, wallet, wallet_id,
};

/// Begun by an event at the one position that events of these tests have.
const TICK: Timer = Timer::MeterTick { since: 7 };

// The life of an allocation, as events.

fn requested() -> Occurrence {
    allocation(AllocationEvent::Requested {
        allocation_id: ALLOCATION,
        organisation_id: ORGANISATION,
        sku_id: "small".to_owned(),
        resources: RESOURCES,
        price: PRICE,
        ssh_public_key: "ssh-ed25519 AAAA".to_owned(),
        node_id: None,
        at: NOW,
    })
}

fn capacity_reserved() -> Occurrence {
    let (allocation_id, resources) = (ALLOCATION, RESOURCES);
    node(NodeEvent::CapacityReserved { allocation_id, resources, uid: 20_000, at: NOW })
}

fn capacity_released() -> Occurrence {
    node(NodeEvent::CapacityReleased { allocation_id: ALLOCATION, at: NOW })
}

fn hold_placed() -> Occurrence {
    let purpose = ALLOCATION.to_string();
    wallet(WalletEvent::HoldPlaced {
        hold_id: HOLD,
        purpose,
        amount_nanos: 3_600,
        promotional_nanos: 0,
        expires_at: NOW,
    })
}

fn hold_released() -> Occurrence {
    wallet(WalletEvent::HoldReleased { hold_id: HOLD, amount_nanos: 3_600, promotional_nanos: 0 })
}

fn placement() -> Placement {
    Placement { node_id: NODE, uid: 20_000, hold_id: HOLD }
}

fn reserved() -> Occurrence {
    allocation(AllocationEvent::Reserved { placement: placement(), at: NOW })
}

fn provisioning_started() -> Occurrence {
    allocation(AllocationEvent::ProvisioningStarted { login: "t20000".to_owned(), at: NOW })
}

fn step_completed(step: Step) -> Occurrence {
    allocation(AllocationEvent::StepCompleted { step, observed: "seen".to_owned(), at: NOW })
}

fn rejected() -> Occurrence {
    let (code, message) = ("insufficient_funds".to_owned(), String::new());
    allocation(AllocationEvent::Rejected { code, message, at: NOW })
}

fn provisioning_failed() -> Occurrence {
    let (code, message) = ("quota".to_owned(), String::new());
    allocation(AllocationEvent::ProvisioningFailed { step: Step::Home, code, message, at: NOW })
}

fn suspension_requested() -> Occurrence {
    let reason = SuspensionReason::FundsExhausted;
    allocation(AllocationEvent::SuspensionRequested { reason, at: NOW })
}

fn resumed() -> Occurrence {
    allocation(AllocationEvent::Resumed { proof: "uid=20000".to_owned(), at: NOW })
}

fn activated() -> Occurrence {
    allocation(AllocationEvent::Activated { proof: "uid=20000".to_owned(), at: NOW })
}

fn release_requested() -> Occurrence {
    let reason = ReleaseReason::Customer;
    allocation(AllocationEvent::ReleaseRequested { reason, at: NOW })
}

fn teardown_verified() -> Occurrence {
    let evidence = "gone".to_owned();
    allocation(AllocationEvent::TeardownVerified { evidence, at: NOW })
}

fn in_provisioning() -> Vec<Occurrence> {
    vec![requested(), capacity_reserved(), hold_placed(), reserved(), provisioning_started()]
}

fn undoing() -> Vec<Occurrence> {
    let mut history = in_provisioning();
    history.extend([step_completed(Step::Uid), provisioning_failed()]);
    history
}

fn give_capacity_back() -> Intent {
    command(Command::ReleaseCapacity { node_id: NODE, allocation_id: ALLOCATION })
}

fn give_hold_back() -> Intent {
    command(Command::ReleaseHold { wallet_id: wallet_id(), hold_id: HOLD })
}

#[test]
fn a_rental_takes_capacity_then_money_then_provisions_step_by_step() {
    let (allocation_id, node_id) = (ALLOCATION, NODE);
    let reserve = Effect::ReserveCapacity { allocation_id, resources: RESOURCES, wanted: None };
    assert_eq!(
        given::<RentNode>(&[]).when(requested()),
        [effect(reserve, 900), timer(Timer::ReserveDeadline, 600)]
    );
    let hold = Effect::HoldFunds(Funding {
        allocation_id,
        wallet_id: wallet_id(),
        amount_nanos: 3_600,
        expires_at: NOW.plus_secs(600 + 300 + 3_600),
    });
    assert_eq!(given::<RentNode>(&[requested()]).when(capacity_reserved()), [effect(hold, 900)]);
    assert_eq!(
        given::<RentNode>(&[requested(), capacity_reserved()]).when(hold_placed()),
        [command(Command::ConfirmReserved { allocation_id, placement: placement() })]
    );
    let login = "t20000".to_owned();
    assert_eq!(
        given::<RentNode>(&in_provisioning()[..3]).when(reserved()),
        [command(Command::StartProvisioning { allocation_id, login })]
    );
    let ensure = |step| effect(Effect::EnsureStep { allocation_id, node_id, step }, 600);
    assert_eq!(
        given::<RentNode>(&in_provisioning()[..4]).when(provisioning_started()),
        [ensure(Step::Uid), timer(Timer::ProvisionDeadline, 300)]
    );
    for (step, next) in Step::ALL.into_iter().zip(Step::ALL.into_iter().skip(1)) {
        let wanted = given::<RentNode>(&in_provisioning()).when(step_completed(step));
        assert_eq!(wanted, [ensure(next)]);
    }
    let proof = "seen".to_owned();
    assert_eq!(
        given::<RentNode>(&in_provisioning()).when(step_completed(Step::Prove)),
        [command(Command::Activate { allocation_id, proof })]
    );
    assert_eq!(given::<RentNode>(&in_provisioning()).when(activated()), []);
}

#[test]
fn a_rejected_rental_gives_back_exactly_what_it_took() {
    assert_eq!(given::<RentNode>(&[requested()]).when(rejected()), []);
    assert_eq!(
        given::<RentNode>(&[requested(), capacity_reserved()]).when(rejected()),
        [give_capacity_back()]
    );
    assert_eq!(
        given::<RentNode>(&[requested(), capacity_reserved(), hold_placed()]).when(rejected()),
        [give_hold_back(), give_capacity_back()]
    );
    given::<RentNode>(&[requested(), capacity_reserved(), rejected()]).is(Status::Running);
    given::<RentNode>(&[requested(), capacity_reserved(), rejected(), capacity_released()])
        .is(Status::Unwound);
}

#[test]
fn what_a_rental_gets_after_its_rejection_goes_straight_back() {
    assert_eq!(
        given::<RentNode>(&[requested(), rejected()]).when(capacity_reserved()),
        [give_capacity_back()]
    );
    assert_eq!(
        given::<RentNode>(&[requested(), capacity_reserved(), rejected()]).when(hold_placed()),
        [give_hold_back()]
    );
}

#[test]
fn a_failed_rental_is_torn_down_then_gives_capacity_and_money_back_then_is_failed() {
    let (allocation_id, node_id) = (ALLOCATION, NODE);
    let tear_down = Effect::TearDown { allocation_id, node_id, after: Ending::Failure };
    assert_eq!(
        given::<RentNode>(&in_provisioning()).when(provisioning_failed()),
        [effect(tear_down, 900), timer(Timer::UndoDeadline, 900)]
    );
    assert_eq!(given::<RentNode>(&undoing()).when(capacity_released()), [give_hold_back()]);
    let mut clean = undoing();
    clean.push(capacity_released());
    assert_eq!(
        given::<RentNode>(&clean).when(hold_released()),
        [command(Command::ConfirmFailed { allocation_id })]
    );
    given::<RentNode>(&clean).is(Status::Running);
    clean.extend([hold_released(), allocation(AllocationEvent::Failed { at: NOW })]);
    given::<RentNode>(&clean).is(Status::Unwound);
}

#[test]
fn deadlines_reject_fail_or_call_an_operator_and_do_nothing_when_the_rental_has_moved_on() {
    let names = |awoken: Awoken| -> Vec<String> {
        assert_eq!(awoken.again_at, None);
        awoken.intents.iter().map(|intent| intent.action.name()).collect()
    };
    let reserve =
        |history: &[_]| names(given::<RentNode>(history).due(Timer::ReserveDeadline, 600));
    assert_eq!(reserve(&[requested()]), ["reject_allocation"]);
    assert_eq!(reserve(&in_provisioning()[..4]), ["fail_provisioning"]);
    assert!(reserve(&in_provisioning()).is_empty());
    assert!(reserve(&[requested(), rejected()]).is_empty());
    let mut history = in_provisioning();
    history.push(step_completed(Step::Uid));
    let late = given::<RentNode>(&history).due(Timer::ProvisionDeadline, 300).intents;
    assert_eq!(
        late,
        [command(Command::FailProvisioning {
            allocation_id: ALLOCATION,
            step: Step::Home,
            code: "deadline".to_owned(),
            message: "the step was not verified in time".to_owned(),
        })]
    );
    let stuck = given::<RentNode>(&undoing()).due(Timer::UndoDeadline, 900);
    assert_eq!(names(stuck), ["quarantine_capacity", "call_operator", "release_hold"]);
    history.push(activated());
    assert!(names(given::<RentNode>(&history).due(Timer::ProvisionDeadline, 300)).is_empty());
    assert!(names(given::<RentNode>(&history).due(Timer::UndoDeadline, 900)).is_empty());
}

#[test]
fn a_stuck_teardown_whose_money_went_back_early_ends_when_it_is_clean() {
    let mut history = undoing();
    history.push(hold_released());
    assert_eq!(
        given::<RentNode>(&history).when(capacity_released()),
        [command(Command::ConfirmFailed { allocation_id: ALLOCATION })]
    );
}

#[test]
fn a_meter_ticks_from_activation_to_the_release_request() {
    assert_eq!(given::<MeterUsage>(&[requested()]).when(activated()), [timer(TICK, 60)]);
    let tick = |through, late: i64| {
        let tick = Effect::CaptureUsage(Tick {
            allocation_id: ALLOCATION,
            through: NOW.plus_secs(through),
            keep_nanos: 3_600 + 62,
            ahead_seconds: None,
            expires_at: NOW.plus_secs(120 + late + 3_600 + 900),
        });
        let again_at = Some(NOW.plus_secs(120 + late + 60));
        Awoken { intents: vec![Intent::effect(tick, None)], again_at }
    };
    let running = [requested(), activated()];
    assert_eq!(given::<MeterUsage>(&running).due(TICK, 120), tick(58, 0));
    let late = given::<MeterUsage>(&running).due_late(TICK, 120, 9_000);
    assert_eq!(late, tick(58, 9_000), "nobody has looked at the node meanwhile");
    let stopped = [requested(), activated(), release_requested()];
    assert_eq!(given::<MeterUsage>(&stopped).due(TICK, 60), Awoken::default());
    given::<MeterUsage>(&stopped).is(Status::Done);
}

#[test]
fn a_meter_that_was_paused_goes_on_with_a_tick_of_its_own() {
    let paused = [requested(), activated(), suspension_requested()];
    assert_eq!(given::<MeterUsage>(&paused).due(TICK, 60), Awoken::default());
    given::<MeterUsage>(&paused).is(Status::Running);
    let mut resumed = resumed();
    resumed.position = 9;
    let tick = Timer::MeterTick { since: 9 };
    assert_eq!(given::<MeterUsage>(&paused).when(resumed.clone()), [timer(tick, 60)]);
    let mut running = paused.to_vec();
    running.push(resumed);
    assert_eq!(given::<MeterUsage>(&running).due(TICK, 60), Awoken::default(), "an older meter");
    assert!(!given::<MeterUsage>(&running).due(tick, 120).intents.is_empty());
}

#[test]
fn a_correction_gives_back_whether_the_meter_runs_or_not() {
    let corrected =
        || allocation(AllocationEvent::UsageCorrected { seconds: 9, why: "w".to_owned(), at: NOW });
    let correct = Effect::CorrectCharge { allocation_id: ALLOCATION };
    let give_back = [Intent::effect(correct, None)];
    let running = vec![requested(), activated()];
    let stopped = vec![requested(), activated(), release_requested()];
    for (history, status) in [(running, Status::Running), (stopped, Status::Done)] {
        assert_eq!(given::<MeterUsage>(&history).when(corrected()), give_back);
        given::<MeterUsage>(&[history, vec![corrected()]].concat()).is(status);
    }
}

#[test]
fn a_silence_is_noticed_before_it_is_charged() {
    let settings = Settings::default();
    // A look, and the one after it that is not answered within the time to the next.
    assert!(settings.tick_lag_seconds > 2 * settings.watch_seconds);
}

#[test]
fn a_meter_winds_down_only_when_little_is_left() {
    let refused = |remaining_nanos| {
        wallet(WalletEvent::HoldExtensionRefused {
            hold_id: HOLD,
            wanted_nanos: 3_600,
            available_nanos: 0,
            remaining_nanos,
        })
    };
    let running = [requested(), activated()];
    assert_eq!(given::<MeterUsage>(&running).when(refused(243)), []);
    let reason = SuspensionReason::FundsExhausted;
    assert_eq!(
        given::<MeterUsage>(&running).when(refused(242)),
        [command(Command::RequestSuspension { allocation_id: ALLOCATION, reason })]
    );
    let stopped = [requested(), activated(), release_requested()];
    assert_eq!(given::<MeterUsage>(&stopped).when(refused(0)), []);
}

/// Two nanos a second at first, then 40, then one.
const STEPPED: [Tier; 2] = [
    Tier { from_seconds: 1_000, nanos_per_hour: 40 * 3_600 },
    Tier { from_seconds: 10_000, nanos_per_hour: 3_600 },
];

fn stepped() -> PinnedPrice {
    PinnedPrice { tiers: Tiers::try_new(&STEPPED).unwrap(), nanos_per_hour: 7_200, ..PRICE }
}

fn captured(seconds: i64) -> Occurrence {
    wallet(WalletEvent::UsageCaptured {
        hold_id: HOLD,
        amount_nanos: 1,
        total_nanos: 1,
        seconds,
        credits: vec![],
        lots: vec![],
        tax: None,
        journal: journal(),
    })
}

#[test]
fn a_meter_winds_down_by_the_tier_that_it_is_in() {
    let mut requested = requested();
    let Fact::Allocation(AllocationEvent::Requested { price, .. }) = &mut requested.fact else {
        panic!("a rental is asked for");
    };
    *price = stepped();
    let stops = |history: &[Occurrence], remaining_nanos| {
        let refused = wallet(WalletEvent::HoldExtensionRefused {
            hold_id: HOLD,
            wanted_nanos: 1,
            available_nanos: 0,
            remaining_nanos,
        });
        !given::<MeterUsage>(history).when(refused).is_empty()
    };
    let begun = [requested, activated()];
    // 242 seconds ahead, as of a flat price: in the first tier, across an edge, in the second, in the last.
    for (used, enough) in
        [(0, 484), (758, 484), (880, 240 + 122 * 40), (2_000, 9_680), (10_000, 242)]
    {
        let history = [&begun[..], &[captured(used)]].concat();
        assert!(stops(&history, enough), "{used}");
        assert!(!stops(&history, enough + 1), "{used}");
    }
    // Moved to it after 5,000 seconds, it begins in the first tier.
    let moved = allocation(AllocationEvent::Repriced {
        price: stepped(),
        tax: None,
        seconds: 5_000,
        total_nanos: 1,
        at: NOW,
    });
    let history = [&begun[..], &[captured(4_900), moved]].concat();
    assert!(stops(&history, 484) && !stops(&history, 485));
    let tick = given::<MeterUsage>(&history).due(TICK, 120).intents;
    let Action::Effect(Effect::CaptureUsage(tick)) = &tick[0].action else {
        panic!("it charges");
    };
    assert_eq!((tick.ahead_seconds, tick.keep_nanos), (Some(3_662), 3_662 * 40));
}

#[test]
fn a_release_cleans_then_settles_then_frees_then_closes() {
    let (allocation_id, node_id) = (ALLOCATION, NODE);
    let tear_down = Effect::TearDown { allocation_id, node_id, after: Ending::Release };
    let mut history = vec![reserved()];
    assert_eq!(
        given::<ReleaseNode>(&history).when(release_requested()),
        [effect(tear_down, 900), timer(Timer::UndoDeadline, 900)]
    );
    history.push(release_requested());
    assert_eq!(
        given::<ReleaseNode>(&history).when(teardown_verified()),
        [Intent::effect(Effect::SettleUsage { allocation_id }, None)]
    );
    history.push(teardown_verified());
    assert_eq!(given::<ReleaseNode>(&history).when(hold_released()), [give_capacity_back()]);
    history.push(hold_released());
    assert_eq!(
        given::<ReleaseNode>(&history).when(capacity_released()),
        [Intent::effect(Effect::ConfirmReleased { allocation_id }, None)]
    );
    given::<ReleaseNode>(&history).is(Status::Running);
}

#[test]
fn a_release_that_is_stuck_settles_the_money_once_and_never_resells_the_capacity() {
    let history = [reserved(), release_requested()];
    let stuck = given::<ReleaseNode>(&history).due(Timer::UndoDeadline, 900).intents;
    let names: Vec<String> = stuck.iter().map(|intent| intent.action.name()).collect();
    assert_eq!(names, ["quarantine_capacity", "call_operator", "settle_usage"]);
    assert_eq!(given::<ReleaseNode>(&history).when(hold_released()), []);
    let settled = [reserved(), release_requested(), hold_released()];
    let wanted = given::<ReleaseNode>(&settled).when(teardown_verified());
    assert_eq!(wanted, [give_capacity_back()]);
    let clean = [reserved(), release_requested(), teardown_verified()];
    assert_eq!(given::<ReleaseNode>(&clean).due(Timer::UndoDeadline, 900), Awoken::default());
}

#[test]
fn a_release_ignores_what_a_failed_rental_gives_back() {
    assert_eq!(given::<ReleaseNode>(&[reserved()]).when(hold_released()), []);
    assert_eq!(given::<ReleaseNode>(&[reserved()]).when(capacity_released()), []);
    given::<ReleaseNode>(&[reserved(), allocation(AllocationEvent::Failed { at: NOW })])
        .is(Status::Done);
}

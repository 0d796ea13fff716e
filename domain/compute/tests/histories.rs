//! Random histories of an allocation: whatever is asked in whatever order, nobody pays for what was not proven.
use cairn_compute::{
    Allocation, AllocationCommand, AllocationEvent, AllocationStatus, PinnedDisk, PinnedPrice,
    Placement, ReleaseReason, Size, Step, SuspensionReason,
};
use cairn_core::{
    AllocationId, Currency, Decider, HoldId, NodeId, OrganisationId, Resources, Timestamp,
};
use proptest::prelude::*;

fn request() -> AllocationCommand {
    AllocationCommand::Request {
        allocation_id: AllocationId::from_bits(1),
        organisation_id: OrganisationId::from_bits(2),
        sku_id: "small".to_owned(),
        resources: Resources::default(),
        price: PinnedPrice::flat(1, Currency::EUR, 3_600),
        tax: None,
        project_id: None,
        ssh_public_key: "ssh-ed25519 AAAA".to_owned(),
        node_id: None,
        at: Timestamp::from_secs(0),
    }
}

/// The next SKU has a greater disk and a higher price, and there may be disk beside it.
fn size(n: i64, gib: u32) -> Size {
    let disk_bytes = u64::try_from(n).unwrap_or(0) + (u64::from(gib) << 30);
    let disk = (gib > 0).then_some(PinnedDisk { version: 1, gib, nanos_per_gib_hour: 1_234 });
    Size {
        sku_id: format!("size{n}"),
        resources: Resources { disk_bytes, ..Resources::default() },
        price: PinnedPrice { disk, ..PinnedPrice::flat(1, Currency::EUR, 7_200 * (n + 1)) },
        tax: None,
    }
}

fn command() -> impl Strategy<Value = AllocationCommand> {
    let step = || prop::sample::select(Step::ALL.to_vec());
    let text = || "x".to_owned();
    (0..21_u32, step(), 0..1_000_i64, 20_000..20_002_u32).prop_map(move |(kind, step, now, uid)| {
        let at = Timestamp::from_secs(now);
        let (node_id, hold_id) = (NodeId::from_bits(3), HoldId::from_bits(1));
        match kind {
            0 => AllocationCommand::ConfirmReserved {
                placement: Placement { node_id, uid, hold_id },
                at,
            },
            1 => AllocationCommand::Reject { code: text(), message: text(), at },
            2 => AllocationCommand::StartProvisioning { login: format!("t{uid}"), at },
            3 => AllocationCommand::FailProvisioning { step, code: text(), message: text(), at },
            4 => AllocationCommand::Activate { proof: text(), at },
            5 => AllocationCommand::ConfirmFailed { at },
            6 => AllocationCommand::RequestRelease { reason: ReleaseReason::Customer, at },
            7 => AllocationCommand::VerifyTeardown { evidence: text(), at },
            8 => AllocationCommand::ConfirmReleased { charged_nanos: 1, at },
            9 => AllocationCommand::CallOperator { doing: text(), message: text(), at },
            10 => AllocationCommand::Meter {
                through: at,
                unproven_seconds: now % 97,
                late_seconds: 0,
                at,
            },
            11 => AllocationCommand::RequestSuspension {
                reason: SuspensionReason::FundsExhausted,
                at,
            },
            12 => AllocationCommand::ConfirmSuspended { evidence: text(), at },
            13 => AllocationCommand::RequestResume { at },
            14 => AllocationCommand::ConfirmResumed { proof: text(), at },
            15 => AllocationCommand::RequestResize { size: size(now % 3, uid - 20_000), at },
            16 => AllocationCommand::StartResize { at },
            17 => AllocationCommand::FailResize { code: text(), message: text(), at },
            18 => AllocationCommand::SettleResize { at },
            _ => AllocationCommand::CompleteStep { step, observed: text(), at },
        }
    })
}

/// It stood still, and has cost by then what it had.
fn resized_rightly(before: &Allocation, event: &AllocationEvent) -> Result<(), TestCaseError> {
    if let AllocationEvent::Resized { total_nanos, seconds, .. } = event {
        prop_assert!(before.status == AllocationStatus::Resuming, "it stood still");
        prop_assert_eq!(before.total_nanos(), Ok(*total_nanos), "the same by then");
        prop_assert_eq!(before.metered_seconds(), *seconds);
        let after = before.clone().evolve(event.clone());
        prop_assert!(after.resources.disk_bytes >= before.resources.disk_bytes, "disks only grow");
        let changed = |a: &Allocation| (a.sku_id.clone(), a.additional_disk_gib());
        prop_assert_ne!(changed(&after), changed(before));
    }
    Ok(())
}

const FINAL: [AllocationStatus; 3] =
    [AllocationStatus::Released, AllocationStatus::Failed, AllocationStatus::Rejected];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2_000),
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_allocation_keeps_its_promises(
        commands in prop::collection::vec(command(), 0..120),
        // Most random histories die early: this much of the good way is gone first.
        head_start in 0..10_usize,
    ) {
        let way = [
            AllocationCommand::ConfirmReserved {
                placement: Placement {
                    node_id: NodeId::from_bits(3),
                    uid: 20_000,
                    hold_id: HoldId::from_bits(1),
                },
                at: Timestamp::from_secs(1),
            },
            AllocationCommand::StartProvisioning {
                login: "t20000".to_owned(),
                at: Timestamp::from_secs(2),
            },
        ];
        let steps = Step::ALL.map(|step| AllocationCommand::CompleteStep {
            step,
            observed: "ok".to_owned(),
            at: Timestamp::from_secs(3),
        });
        let begun = way.into_iter().chain(steps).take(head_start);
        let mut allocation = Allocation::default();
        let mut history = vec![];
        for command in std::iter::once(request()).chain(begun).chain(commands) {
            let before = allocation.clone();
            let events = allocation.decide(command.clone()).unwrap_or_default();
            prop_assert!(events.is_empty() || !FINAL.contains(&before.status), "a final state stays");
            for event in events {
                if let AllocationEvent::Activated { .. } = event {
                    prop_assert_eq!(&before.steps[..], &Step::ALL[..], "nobody pays unproven");
                }
                if let AllocationEvent::Released { active_seconds, .. } = event {
                    prop_assert!(before.status == AllocationStatus::Settling);
                    let (from, to) = before.activated_at.zip(before.released_at).unwrap();
                    let metered = before.metered_at.map(|_| before.metered_seconds());
                    prop_assert_eq!(active_seconds, metered.unwrap_or(to.secs_since(from)));
                    let awake = to.secs_since(from) - before.idle_seconds;
                    prop_assert!(active_seconds <= awake, "nobody pays suspended or after the release");
                }
                resized_rightly(&before, &event)?;
                if let AllocationEvent::ReleaseRequested { at, .. }
                | AllocationEvent::SuspensionRequested { at, .. } = event
                {
                    prop_assert!(before.metered_at.is_none_or(|metered_at| metered_at <= at));
                }
                let (idle_seconds, stopped_at) = (allocation.idle_seconds, allocation.stopped_at);
                if let AllocationEvent::Resumed { at, .. } = event {
                    let idle = at.secs_since(stopped_at.unwrap());
                    let after = allocation.clone().evolve(event.clone()).idle_seconds;
                    prop_assert!(after >= idle_seconds + idle, "the meter stood still all the time");
                }
                let metered_seconds = allocation.metered_seconds();
                allocation = allocation.evolve(event.clone());
                prop_assert!(metered_seconds <= allocation.metered_seconds(), "it never goes back");
                history.push(event);
            }
            if allocation != before {
                let again = allocation.decide(command.clone());
                prop_assert_eq!(again, Ok(vec![]), "{:?} again", command);
            }
        }
        let placed = history.iter().filter(|e| matches!(e, AllocationEvent::Reserved { .. })).count();
        let activated = history.iter().filter(|e| matches!(e, AllocationEvent::Activated { .. })).count();
        prop_assert!(placed <= 1 && activated <= 1);
        prop_assert_eq!(Allocation::fold(history), allocation);
    }
}

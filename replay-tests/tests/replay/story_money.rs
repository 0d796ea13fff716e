//! What the story tells of money that runs out.
use cairn_compute::{AllocationCommand, ReleaseReason, SuspensionReason};
use cairn_core::Currency;
use cairn_ledger::{Assessment, DunningCommand};

use super::story::{ORGANISATION, at, provisioning, requested, text};

const UNIT: i64 = 1_000_000_000;

/// A rental that is suspended, resumed, suspended again and released.
pub fn suspension() -> Vec<AllocationCommand> {
    use AllocationCommand as C;
    let reason = SuspensionReason::FundsExhausted;
    let mut commands = vec![requested(4, None)];
    commands.extend(provisioning(4, 6));
    commands.extend([
        C::Activate { proof: text("uid=20003(t20003)"), at: at(1_220) },
        C::Meter { through: at(1_260), unproven_seconds: 0, at: at(1_262) },
        C::RequestSuspension { reason, at: at(1_270) },
        C::Meter { through: at(1_270), unproven_seconds: 3, at: at(1_271) },
        C::ConfirmSuspended { evidence: text("nothing runs"), at: at(1_272) },
        C::RequestResume { at: at(1_300) },
        C::ConfirmResumed { proof: text("uid=20003(t20003)"), at: at(1_303) },
        C::Meter { through: at(1_330), unproven_seconds: 3, at: at(1_331) },
        C::RequestSuspension { reason, at: at(1_340) },
        C::ConfirmSuspended { evidence: text("nothing runs"), at: at(1_342) },
        C::RequestRelease { reason: ReleaseReason::FundsExhausted, at: at(1_400) },
        C::VerifyTeardown { evidence: text("nothing left"), at: at(1_410) },
        C::ConfirmReleased { charged_nanos: UNIT, at: at(1_411) },
    ]);
    commands
}

/// It runs low, is empty, is suspended, kept and given up, and is paid for again.
pub fn dunning() -> Vec<DunningCommand> {
    let seen = |funds_nanos, hour: i64| Assessment {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        funds_nanos,
        nanos_per_hour: UNIT,
        running: 1,
        suspended: 0,
        refused: false,
        suspended_secs: 3 * 86_400,
        retention_secs: 7 * 86_400,
        at: at(1_220 + 3_600 * hour),
    };
    let suspended =
        |hour| Assessment { nanos_per_hour: 0, running: 0, suspended: 1, ..seen(UNIT / 2, hour) };
    let looks = [
        seen(20 * UNIT, 0),
        Assessment { refused: true, ..seen(UNIT, 19) },
        suspended(20),
        suspended(20 + 72),
        suspended(20 + 72 + 168),
        seen(100 * UNIT, 300),
    ];
    looks.map(DunningCommand::Assess).to_vec()
}

//! What the story tells of money that is used, given back, and runs out.
use cairn_compute::{AllocationCommand, ReleaseReason, SuspensionReason};
use cairn_core::{AllocationId, Currency, HoldId, PaymentId, RefundId};
use cairn_ledger::{
    Assessment, CaptureHold, DunningCommand, PlaceHold, ReserveRefund, TopUp, WalletCommand,
};

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
        C::Meter { through: at(1_260), unproven_seconds: 0, late_seconds: 0, at: at(1_262) },
        C::RequestSuspension { reason, at: at(1_270) },
        C::Meter { through: at(1_270), unproven_seconds: 3, late_seconds: 0, at: at(1_271) },
        C::ConfirmSuspended { evidence: text("nothing runs"), at: at(1_272) },
        C::RequestResume { at: at(1_300) },
        C::ConfirmResumed { proof: text("uid=20003(t20003)"), at: at(1_303) },
        C::Meter { through: at(1_330), unproven_seconds: 3, late_seconds: 0, at: at(1_331) },
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
        lasts_secs: None,
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

pub fn usage() -> Vec<WalletCommand> {
    let top_up = WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(1),
        amount_nanos: 20 * UNIT,
        charge_id: text("ch_1"),
        at: at(3),
    });
    let place = |n: u128, amount_nanos, expires| {
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HoldId::from_bits(n),
            purpose: AllocationId::from_bits(n).to_string(),
            project_id: None,
            amount_nanos,
            expires_at: at(expires),
            at: at(10),
        })
    };
    let capture = |n: u128, total_nanos, keep_nanos, now| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id: HoldId::from_bits(n),
            total_nanos,
            seconds: now,
            product: text("compute"),
            tax: None,
            keep_nanos,
            expires_at: at(now + 300),
            at: at(now),
        })
    };
    vec![
        top_up,
        place(1, 2 * UNIT, 300),
        capture(1, UNIT / 3, 2 * UNIT, 33),
        place(2, UNIT, 100),
        WalletCommand::SweepExpired { at: at(100) },
        capture(1, 2 * UNIT / 3, 100 * UNIT, 66),
        WalletCommand::ReleaseHold { hold_id: HoldId::from_bits(1), at: at(650) },
        capture(2, 16 * UNIT, 0, 200),
        place(3, UNIT, 400),
        capture(3, 4 * UNIT, 0, 250),
    ]
}

pub fn refunds() -> Vec<WalletCommand> {
    let top_up = WalletCommand::TopUp(TopUp {
        organisation_id: ORGANISATION,
        currency: Currency::USD,
        payment_id: PaymentId::from_bits(3),
        amount_nanos: 5 * UNIT,
        charge_id: text("ch_3"),
        at: at(300),
    });
    let reserve = |n| {
        WalletCommand::ReserveRefund(ReserveRefund {
            refund_id: RefundId::from_bits(n),
            payment_id: PaymentId::from_bits(3),
            amount_nanos: UNIT,
            reason: text("asked"),
            at: at(301),
        })
    };
    let back = WalletCommand::ReturnRefund { refund_id: RefundId::from_bits(2), at: at(400) };
    vec![top_up, reserve(1), reserve(2), back]
}

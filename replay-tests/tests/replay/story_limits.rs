//! Spending limits and alerts in the story: told, in the way of a rental, and out of it with the next month.
use cairn_compute::{Allocation, AllocationCommand, SuspensionReason};
use cairn_core::{AllocationId, Currency, HoldId, OrganisationId, PaymentId, RefundId};
use cairn_ledger::{
    Alert, AlertOn, CaptureHold, PlaceHold, ReserveRefund, SpendingLimits, TopUp, Wallet,
    WalletCommand, wallet_id,
};

use super::story::{Teller, at, provisioning, requested, text};

const UNIT: i64 = 1_000_000_000;
const LIMITED: OrganisationId = OrganisationId::from_bits(26);
const RENTAL: u128 = 26;
/// In the month after the story's.
const LATER: i64 = 900_000;

pub fn tell(teller: &mut Teller) {
    teller.tell::<Allocation>(&AllocationId::from_bits(RENTAL).to_string(), stopped());
    teller.tell::<Wallet>(&wallet_id(LIMITED, Currency::USD), limited());
}

fn stopped() -> Vec<AllocationCommand> {
    let mut commands = vec![requested(RENTAL, None)];
    commands.extend(provisioning(RENTAL, 6));
    commands.extend([
        AllocationCommand::Activate { proof: text("uid=20025(t20025)"), at: at(3_120) },
        AllocationCommand::RequestSuspension {
            reason: SuspensionReason::SpendingLimit,
            at: at(3_300),
        },
    ]);
    commands
}

fn limited() -> Vec<WalletCommand> {
    let limits = |warn: i64, stop_nanos, secs| WalletCommand::SetSpendingLimits {
        organisation_id: LIMITED,
        currency: Currency::USD,
        limits: SpendingLimits { warn_nanos: Some(warn * UNIT), stop_nanos },
        at: at(secs),
    };
    let alerts = |alerts, secs| WalletCommand::SetAlerts {
        organisation_id: LIMITED,
        currency: Currency::USD,
        alerts,
        at: at(secs),
    };
    let spent = |units: i64| Alert { on: AlertOn::Spent, amount_nanos: units * UNIT };
    let below = |units: i64| Alert { on: AlertOn::BalanceBelow, amount_nanos: units * UNIT };
    let place = |n, units, secs| {
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HoldId::from_bits(n),
            purpose: AllocationId::from_bits(n).to_string(),
            project_id: None,
            amount_nanos: units * UNIT,
            expires_at: at(secs + 3_600),
            at: at(secs),
        })
    };
    let capture = |units, secs| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id: HoldId::from_bits(RENTAL),
            total_nanos: units * UNIT,
            seconds: units * 100,
            product: text("compute"),
            tax: None,
            keep_nanos: 3 * UNIT,
            expires_at: at(secs + 3_600),
            at: at(secs),
        })
    };
    vec![
        limits(2, Some(5 * UNIT), 3_100),
        WalletCommand::TopUp(TopUp {
            organisation_id: LIMITED,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(26),
            amount_nanos: 20 * UNIT,
            charge_id: text("ch_26"),
            at: at(3_101),
        }),
        place(RENTAL, 3, 3_110),
        capture(1, 3_200),
        // The warning, and the last that there is room for.
        capture(3, 3_300),
        capture(4, 3_400),
        // There is room again: for another, which goes, and for what was refused.
        place(27, 2, LATER),
        WalletCommand::SweepExpired { at: at(LATER + 3_601) },
        capture(4, LATER + 3_700),
        limits(1, None, LATER + 3_800),
        alerts(vec![spent(3), below(13)], LATER + 3_850),
        capture(6, LATER + 3_900),
        WalletCommand::ReserveRefund(ReserveRefund {
            refund_id: RefundId::from_bits(26),
            payment_id: PaymentId::from_bits(26),
            amount_nanos: 4 * UNIT,
            reason: text("too much"),
            at: at(LATER + 3_950),
        }),
        capture(8, LATER + 4_000),
        alerts(vec![spent(3)], LATER + 4_050),
    ]
}

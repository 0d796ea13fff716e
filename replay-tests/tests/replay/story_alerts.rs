//! Alerts of projects in the story: told at once, told as they are reached, told again in the next month, and taken back.
use cairn_core::{AllocationId, Currency, HoldId, OrganisationId, PaymentId, ProjectId};
use cairn_ledger::{
    Alert, AlertOn, CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id,
};

use super::story::{Teller, at, text};

const UNIT: i64 = 1_000_000_000;
/// One whose projects have alerts.
const WATCHED: OrganisationId = OrganisationId::from_bits(68);
/// In the month after the story's.
const LATER: i64 = 900_000;

pub fn tell(teller: &mut Teller) {
    teller.tell::<Wallet>(&wallet_id(WATCHED, Currency::USD), watched());
}

fn watched() -> Vec<WalletCommand> {
    let alerts = |project, units: &[i64], secs| {
        let spent = |units| Alert { on: AlertOn::Spent, amount_nanos: units * UNIT };
        WalletCommand::SetProjectAlerts {
            organisation_id: WATCHED,
            currency: Currency::USD,
            project_id: ProjectId::from_bits(project),
            alerts: units.iter().copied().map(spent).collect(),
            at: at(secs),
        }
    };
    let place = |n, project, secs| {
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HoldId::from_bits(n),
            purpose: AllocationId::from_bits(n).to_string(),
            project_id: Some(ProjectId::from_bits(project)),
            amount_nanos: 9 * UNIT,
            expires_at: at(secs + 2_000_000),
            at: at(secs),
        })
    };
    let capture = |n, units, secs| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id: HoldId::from_bits(n),
            total_nanos: units * UNIT,
            seconds: units * 100,
            product: text("compute"),
            tax: None,
            keep_nanos: 0,
            expires_at: at(secs + 2_000_000),
            at: at(secs),
        })
    };
    vec![
        // It opens the wallet.
        alerts(5, &[2, 4], 3_100),
        WalletCommand::TopUp(TopUp {
            organisation_id: WATCHED,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(68),
            amount_nanos: 40 * UNIT,
            charge_id: text("ch_68"),
            at: at(3_101),
        }),
        place(68, 5, 3_110),
        place(69, 6, 3_111),
        capture(68, 1, 3_200),
        capture(69, 3, 3_201),
        // Used already: told at once.
        alerts(6, &[3], 3_250),
        capture(68, 5, 3_300),
        capture(68, 6, LATER),
        capture(68, 8, LATER + 100),
        alerts(5, &[], LATER + 200),
        capture(68, 9, LATER + 300),
    ]
}

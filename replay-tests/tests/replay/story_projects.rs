//! Projects in the story: one that is renamed and archived, one that stays, a rental that began in each of them; and a wallet whose projects have
//! limits that are told, stand in the way, and are out of it with the next month.
use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::{AllocationId, Currency, HoldId, OrganisationId, PaymentId, ProjectId};
use cairn_identity::{Organisation, OrganisationCommand, ProjectWish};
use cairn_ledger::{
    CaptureHold, PlaceHold, SpendingLimits, TopUp, Wallet, WalletCommand, wallet_id,
};

use super::story::{Teller, at, requested, text};

const UNIT: i64 = 1_000_000_000;
/// One whose projects have limits.
const LIMITED: OrganisationId = OrganisationId::from_bits(64);
/// In the month after the story's.
const LATER: i64 = 900_000;

/// The one that people found in the story.
const FOUNDED: OrganisationId = OrganisationId::from_bits(5);

pub fn tell(teller: &mut Teller) {
    teller.tell::<Organisation>(&FOUNDED.to_string(), projects());
    for number in [1, 2] {
        let rental = 60 + number;
        let stream = AllocationId::from_bits(rental).to_string();
        teller.tell::<Allocation>(&stream, [rented(rental, number)]);
    }
    teller.tell::<Wallet>(&wallet_id(LIMITED, Currency::USD), limited());
}

fn projects() -> [OrganisationCommand; 4] {
    let on = |number, wish, secs| OrganisationCommand::Project {
        project_id: ProjectId::from_bits(number),
        wish,
        at: at(secs),
    };
    [
        on(1, ProjectWish::Create { name: text("search") }, 3_300),
        on(2, ProjectWish::Create { name: text("ranking") }, 3_301),
        on(1, ProjectWish::Rename { name: text("find") }, 3_302),
        on(1, ProjectWish::Archive, 3_303),
    ]
}

fn rented(rental: u128, project: u128) -> AllocationCommand {
    let mut request = requested(rental, None);
    let AllocationCommand::Request { project_id, organisation_id, .. } = &mut request else {
        panic!("it asks for a rental");
    };
    (*project_id, *organisation_id) = (Some(ProjectId::from_bits(project)), FOUNDED);
    request
}

fn limited() -> Vec<WalletCommand> {
    let limits = |project, warn: i64, stop_nanos, secs| WalletCommand::SetProjectLimits {
        organisation_id: LIMITED,
        currency: Currency::USD,
        project_id: ProjectId::from_bits(project),
        limits: SpendingLimits { warn_nanos: Some(warn * UNIT), stop_nanos },
        at: at(secs),
    };
    let place = |n, project, units: i64, secs| {
        WalletCommand::PlaceHold(PlaceHold {
            hold_id: HoldId::from_bits(n),
            purpose: AllocationId::from_bits(n).to_string(),
            project_id: Some(ProjectId::from_bits(project)),
            amount_nanos: units * UNIT,
            expires_at: at(secs + 3_600),
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
            keep_nanos: 3 * UNIT,
            expires_at: at(secs + 3_600),
            at: at(secs),
        })
    };
    vec![
        limits(3, 2, Some(5 * UNIT), 3_100),
        WalletCommand::TopUp(TopUp {
            organisation_id: LIMITED,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(64),
            amount_nanos: 40 * UNIT,
            charge_id: text("ch_64"),
            at: at(3_101),
        }),
        place(64, 3, 3, 3_110),
        place(65, 4, 3, 3_111),
        capture(64, 1, 3_200),
        capture(65, 2, 3_201),
        // The warning, and the last that there is room for.
        capture(64, 3, 3_300),
        capture(64, 4, 3_400),
        // The other project has no limit.
        capture(65, 8, 3_401),
        // There is room again.
        place(66, 3, 2, LATER),
        WalletCommand::SweepExpired { at: at(LATER + 3_601) },
        capture(64, 4, LATER + 3_700),
        // Told at once of what was used already.
        capture(65, 9, LATER + 3_800),
        limits(4, 1, None, LATER + 3_900),
    ]
}

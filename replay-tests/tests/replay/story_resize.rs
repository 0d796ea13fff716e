//! A rental goes on as another SKU, and another time it stays what it was; what a node had set aside for one is less.
use cairn_compute::{Allocation, AllocationCommand as C, PinnedPrice, Size, SuspensionReason};
use cairn_core::{AllocationId, Currency, NodeId};
use cairn_fleet::{Node, NodeCommand};

use super::story::{Teller, at, provisioning, requested, resources, text};

const RENTAL: u128 = 70;

pub fn tell(teller: &mut Teller) {
    teller.tell::<Allocation>(&AllocationId::from_bits(RENTAL).to_string(), resized());
    let (allocation_id, less) = (AllocationId::from_bits(2), resources(1));
    let settle = NodeCommand::Resize { allocation_id, resources: less, at: at(7_200) };
    teller.tell::<Node>(&NodeId::from_bits(1).to_string(), [settle]);
}

fn size(sku_id: &str, n: u32) -> Size {
    let price = PinnedPrice::flat(1, Currency::USD, 36_000_000_000 * i64::from(n));
    Size { sku_id: text(sku_id), resources: resources(n), price, tax: None }
}

fn resized() -> Vec<C> {
    let mut commands = vec![requested(RENTAL, None)];
    commands.extend(provisioning(RENTAL, 6));
    let proof = || text("uid=20069(t20069)");
    let stopped = |secs| C::ConfirmSuspended { evidence: text("nothing runs"), at: at(secs) };
    commands.extend([
        C::Activate { proof: proof(), at: at(7_000) },
        C::Meter { through: at(7_060), unproven_seconds: 0, late_seconds: 0, at: at(7_061) },
        C::RequestResize { size: size("large", 4), at: at(7_062) },
        C::StartResize { at: at(7_063) },
        C::Meter { through: at(7_063), unproven_seconds: 0, late_seconds: 0, at: at(7_064) },
        stopped(7_065),
        C::RequestResume { at: at(7_066) },
        C::ConfirmResumed { proof: proof(), at: at(7_070) },
        C::SettleResize { at: at(7_071) },
        C::RequestResize { size: size("huge", 8), at: at(7_090) },
        C::StartResize { at: at(7_091) },
        stopped(7_092),
        C::RequestResume { at: at(7_093) },
        C::FailResize { code: text("home_not_grown"), message: text("no room"), at: at(7_094) },
        C::ConfirmResumed { proof: proof(), at: at(7_095) },
        C::SettleResize { at: at(7_096) },
        C::Meter { through: at(7_100), unproven_seconds: 0, late_seconds: 0, at: at(7_101) },
        // Asked again, and stopped by want of money before its node has answered.
        C::RequestResize { size: size("huge", 8), at: at(7_102) },
        C::RequestSuspension { reason: SuspensionReason::FundsExhausted, at: at(7_103) },
    ]);
    commands
}

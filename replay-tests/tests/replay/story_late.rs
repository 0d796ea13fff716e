//! A node of the story is out of reach for a while, and one boot spans it; a rental pays for that time but for a pause.
use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::{AllocationId, NodeId};
use cairn_fleet::{Beat, Link, Node, NodeCommand};

use super::story::{Teller, at, provisioning, requested, text};

const RENTAL: u128 = 80;

pub fn tell(teller: &mut Teller) {
    let beat = |sequence, secs| NodeCommand::ObserveBeat {
        beat: Beat {
            boot_id: text("b0a7d9f4-1c55-4c0e-8f11-0d2f7be6a902"),
            sequence,
            clock_at: at(secs),
        },
        at: at(secs),
    };
    let link = |link, secs| NodeCommand::ObserveLink { link, at: at(secs) };
    let outage = [
        link(Link::Suspect, 8_000),
        link(Link::Offline, 8_100),
        beat(5_992_500, 8_600),
        link(Link::Online, 8_600),
    ];
    teller.tell::<Node>(&NodeId::from_bits(2).to_string(), outage);

    let meter = |secs, unproven_seconds, late_seconds| AllocationCommand::Meter {
        through: at(secs),
        unproven_seconds,
        late_seconds,
        at: at(secs),
    };
    let mut commands = vec![requested(RENTAL, None)];
    commands.extend(provisioning(RENTAL, 6));
    commands.extend([
        AllocationCommand::Activate { proof: text("uid=20079(t20079)"), at: at(7_900) },
        meter(8_000, 0, 0),
        meter(8_700, 30, 570),
    ]);
    teller.tell::<Allocation>(&AllocationId::from_bits(RENTAL).to_string(), commands);
}

//! A node of the story says which boot it runs: once, again after a reboot, and twice what cannot be true.
use cairn_core::NodeId;
use cairn_fleet::{Beat, Node, NodeCommand};

use super::story::{Teller, at, text};

pub fn tell(teller: &mut Teller) {
    let beat = |boot: &str, sequence, (clock, secs)| NodeCommand::ObserveBeat {
        beat: Beat { boot_id: text(boot), sequence, clock_at: at(clock) },
        at: at(secs),
    };
    let told = [
        beat("3f6c1f0e-8e0b-4a35-9d0a-6f3f4a1b2c01", 600_120, (2_500, 2_500)),
        beat("3f6c1f0e-8e0b-4a35-9d0a-6f3f4a1b2c01", 540_070, (2_530, 2_530)),
        beat("3f6c1f0e-8e0b-4a35-9d0a-6f3f4a1b2c01", 660_310, (2_560, 2_560)),
        beat("b0a7d9f4-1c55-4c0e-8f11-0d2f7be6a902", 12_400, (2_700, 2_590)),
        beat("b0a7d9f4-1c55-4c0e-8f11-0d2f7be6a902", 42_500, (2_620, 2_620)),
    ];
    teller.tell::<Node>(&NodeId::from_bits(2).to_string(), told);
}

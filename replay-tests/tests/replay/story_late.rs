//! A node of the story is out of reach for a while, and one boot spans it; a rental pays for that time but for a pause.
use cairn_compute::{Allocation, AllocationCommand, ReleaseReason};
use cairn_core::{AllocationId, Currency, HoldId, NodeId, OrganisationId, PaymentId, TaxRate};
use cairn_fleet::{Beat, Link, Node, NodeCommand};
use cairn_ledger::{CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id};

use super::story::{Teller, at, provisioning, requested, text};

const RENTAL: u128 = 80;
const SETTLED: u128 = 81;
const OWNER: OrganisationId = OrganisationId::from_bits(81);
const UNIT: i64 = 1_000_000_000;

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
    teller.tell::<Allocation>(&AllocationId::from_bits(SETTLED).to_string(), settled());
    teller.tell::<Wallet>(&wallet_id(OWNER, Currency::USD), charged());
}

/// A rental that ended in the outage.
fn settled() -> Vec<AllocationCommand> {
    let meter = |secs, unproven_seconds| AllocationCommand::Meter {
        through: at(secs),
        unproven_seconds,
        late_seconds: 0,
        at: at(secs),
    };
    let mut commands = vec![requested(SETTLED, None)];
    commands.extend(provisioning(SETTLED, 6));
    commands.extend([
        AllocationCommand::Activate { proof: text("uid=20080(t20080)"), at: at(7_900) },
        meter(8_000, 0),
        AllocationCommand::RequestRelease { reason: ReleaseReason::Customer, at: at(8_300) },
        meter(8_300, 300),
        AllocationCommand::ProveLate {
            since: at(8_000),
            until: at(8_600),
            paused_seconds: 30,
            at: at(8_600),
        },
    ]);
    commands
}

/// What is left in its wallet pays for a part of that, and the rest is owed.
fn charged() -> Vec<WalletCommand> {
    let hold_id = HoldId::from_bits(SETTLED);
    let capture = |units: i64, secs| CaptureHold {
        hold_id,
        total_nanos: units * UNIT,
        seconds: units * 100,
        product: text("compute"),
        tax: Some(TaxRate { jurisdiction: text("DE"), ppm: 190_000 }),
        keep_nanos: 0,
        expires_at: at(20_000),
        at: at(secs),
    };
    vec![
        WalletCommand::TopUp(TopUp {
            organisation_id: OWNER,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(SETTLED),
            amount_nanos: 3 * UNIT,
            charge_id: text("ch_81"),
            at: at(7_800),
        }),
        WalletCommand::PlaceHold(PlaceHold {
            hold_id,
            purpose: AllocationId::from_bits(SETTLED).to_string(),
            project_id: None,
            amount_nanos: 2 * UNIT,
            expires_at: at(20_000),
            at: at(7_850),
        }),
        WalletCommand::CaptureHold(capture(1, 8_310)),
        WalletCommand::ReleaseHold { hold_id, at: at(8_310) },
        WalletCommand::CaptureLate { capture: capture(4, 8_600), used_at: at(8_300) },
    ]
}

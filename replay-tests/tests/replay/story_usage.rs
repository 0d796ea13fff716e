//! A rental whose meter was wrong in the story: some of what was metered and charged is taken back, while it runs and after it is over.
use cairn_compute::{Allocation, AllocationCommand, ReleaseReason};
use cairn_core::{AllocationId, CreditId, Currency, HoldId, OrganisationId, PaymentId, TaxRate};
use cairn_ledger::{
    CaptureHold, CorrectCharge, GrantCredit, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id,
};

use super::story::{Teller, at, provisioning, requested, text};

const UNIT: i64 = 1_000_000_000;
const CORRECTED: OrganisationId = OrganisationId::from_bits(40);
const RENTAL: u128 = 40;

pub fn tell(teller: &mut Teller) {
    teller.tell::<Allocation>(&AllocationId::from_bits(RENTAL).to_string(), metered());
    teller.tell::<Wallet>(&wallet_id(CORRECTED, Currency::USD), charged());
}

fn metered() -> Vec<AllocationCommand> {
    let meter = |secs| AllocationCommand::Meter {
        through: at(secs),
        unproven_seconds: 0,
        late_seconds: 0,
        at: at(secs),
    };
    let correct = |seconds, secs| AllocationCommand::CorrectUsage {
        seconds,
        reason: text("the clock of the node was ahead"),
        at: at(secs),
    };
    let mut commands = vec![requested(RENTAL, None)];
    commands.extend(provisioning(RENTAL, 6));
    commands.extend([
        AllocationCommand::Activate { proof: text("uid=20039(t20039)"), at: at(4_000) },
        meter(4_800),
        correct(300, 4_801),
        meter(5_000),
        AllocationCommand::RequestRelease { reason: ReleaseReason::Customer, at: at(5_000) },
        AllocationCommand::VerifyTeardown { evidence: text("nothing left"), at: at(5_001) },
        AllocationCommand::ConfirmReleased { charged_nanos: 7 * UNIT, at: at(5_002) },
        correct(100, 5_100),
    ]);
    commands
}

/// Credit, money and a debt pay for it; a correction gives the debt back, then money, then credit, of which the time may be over.
fn charged() -> Vec<WalletCommand> {
    let hold_id = HoldId::from_bits(RENTAL);
    let capture = |units: i64, secs| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos: units * UNIT,
            seconds: units * 100,
            product: text("compute"),
            tax: Some(TaxRate { jurisdiction: text("DE"), ppm: 190_000 }),
            keep_nanos: 0,
            expires_at: at(9_000),
            at: at(secs),
        })
    };
    let correct = |units: i64, secs| {
        WalletCommand::CorrectCharge(CorrectCharge {
            hold_id,
            total_nanos: units * UNIT,
            seconds: units * 100,
            product: text("compute"),
            charged_at: None,
            invoiced: None,
            at: at(secs),
        })
    };
    vec![
        WalletCommand::GrantCredit(GrantCredit {
            organisation_id: CORRECTED,
            currency: Currency::USD,
            credit_id: CreditId::from_bits(40),
            amount_nanos: 2 * UNIT,
            expires_at: at(4_900),
            reason: text("welcome"),
            at: at(3_900),
        }),
        WalletCommand::TopUp(TopUp {
            organisation_id: CORRECTED,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(40),
            amount_nanos: 5 * UNIT,
            charge_id: text("ch_40"),
            at: at(3_901),
        }),
        WalletCommand::PlaceHold(PlaceHold {
            hold_id,
            purpose: AllocationId::from_bits(RENTAL).to_string(),
            project_id: None,
            amount_nanos: 6 * UNIT,
            expires_at: at(9_000),
            at: at(3_902),
        }),
        capture(8, 4_800),
        correct(5, 4_801),
        capture(7, 5_000),
        WalletCommand::ReleaseHold { hold_id, at: at(5_000) },
        correct(1, 5_100),
    ]
}

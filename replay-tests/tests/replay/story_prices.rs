//! Taxes in the story, and a rental that is moved to another price: each of its charges has the tax of its own time.
use cairn_catalog::{TaxTable, TaxTableCommand, TaxVersion};
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice};
use cairn_core::{
    AllocationId, Currency, HoldId, OrganisationId, PaymentId, Tax, TaxRate, TaxTreatment,
};
use cairn_ledger::{CaptureHold, PlaceHold, TopUp, Wallet, WalletCommand, wallet_id};

use super::story::{Teller, at, provisioning, requested, text};

const UNIT: i64 = 1_000_000_000;
const TAXED: OrganisationId = OrganisationId::from_bits(15);
const RENTAL: u128 = 15;

pub fn tell(teller: &mut Teller) {
    teller.tell::<TaxTable>("DE", [rate(190_000), rate(0)]);
    teller.tell::<Allocation>(&AllocationId::from_bits(RENTAL).to_string(), moved());
    teller.tell::<Wallet>(&wallet_id(TAXED, Currency::USD), charged());
}

/// Set, and ended.
fn rate(ppm: u32) -> TaxTableCommand {
    let tax = TaxVersion {
        version: 0,
        name: text("VAT"),
        ppm,
        inclusive: false,
        reverse_charge: true,
        effective_at: at(3_000 - i64::from(ppm / 1_000)),
    };
    TaxTableCommand::SetRate { jurisdiction: text("DE"), tax, at: at(2_800) }
}

fn vat(ppm: u32, treatment: TaxTreatment) -> Tax {
    let rate = TaxRate { jurisdiction: text("DE"), ppm };
    Tax { rate, name: text("VAT"), treatment, version: 1 }
}

fn moved() -> Vec<AllocationCommand> {
    let AllocationCommand::Request {
        allocation_id, sku_id, resources, price, ssh_public_key, ..
    } = requested(RENTAL, None)
    else {
        panic!("it asks for a rental");
    };
    let request = AllocationCommand::Request {
        allocation_id,
        organisation_id: TAXED,
        sku_id,
        resources,
        price,
        tax: Some(vat(190_000, TaxTreatment::Exclusive)),
        project_id: None,
        ssh_public_key,
        node_id: None,
        at: at(2_810),
    };
    let meter = |secs| AllocationCommand::Meter {
        through: at(secs),
        unproven_seconds: 0,
        late_seconds: 0,
        at: at(secs),
    };
    let cheaper = PinnedPrice { version: 2, nanos_per_hour: 18 * UNIT, ..price };
    let mut commands = vec![request];
    commands.extend(provisioning(RENTAL, 6));
    commands.extend([
        AllocationCommand::Activate { proof: text("uid=20014(t20014)"), at: at(2_820) },
        meter(2_920),
        AllocationCommand::Reprice {
            price: cheaper,
            tax: Some(vat(190_000, TaxTreatment::ReverseCharge)),
            at: at(2_921),
        },
        meter(3_020),
        AllocationCommand::Reprice { price, tax: None, at: at(3_021) },
    ]);
    commands
}

fn charged() -> Vec<WalletCommand> {
    let hold_id = HoldId::from_bits(RENTAL);
    let capture = |total_nanos, seconds, tax| {
        WalletCommand::CaptureHold(CaptureHold {
            hold_id,
            total_nanos,
            seconds,
            product: text("compute"),
            tax,
            keep_nanos: 0,
            expires_at: at(9_000),
            at: at(2_820 + seconds),
        })
    };
    let taxed = || Some(TaxRate { jurisdiction: text("DE"), ppm: 190_000 });
    vec![
        WalletCommand::TopUp(TopUp {
            organisation_id: TAXED,
            currency: Currency::USD,
            payment_id: PaymentId::from_bits(15),
            amount_nanos: UNIT,
            charge_id: text("ch_15"),
            at: at(2_800),
        }),
        WalletCommand::PlaceHold(PlaceHold {
            hold_id,
            purpose: AllocationId::from_bits(RENTAL).to_string(),
            project_id: None,
            amount_nanos: UNIT / 2,
            expires_at: at(9_000),
            at: at(2_811),
        }),
        capture(UNIT / 3, 33, taxed()),
        // The last of it is owed, and taxed like the rest.
        capture(UNIT + 7, 100, taxed()),
        capture(UNIT + UNIT / 2, 200, None),
    ]
}

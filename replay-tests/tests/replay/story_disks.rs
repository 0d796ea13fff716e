//! Additional disk in the story: a SKU sells it, and no longer; a rental begins with some and is given more.
use cairn_catalog::{DiskPrice, Sku, SkuCommand};
use cairn_compute::{Allocation, AllocationCommand as C, PinnedDisk, PinnedPrice, Size};
use cairn_core::{AllocationId, Currency, Resources};

use super::story::{Teller, at, provisioning, requested, resources, text};

const UNIT: i64 = 1_000_000_000;
const RENTAL: u128 = 90;

pub fn tell(teller: &mut Teller) {
    teller.tell::<Sku>("roomy", sku());
    teller.tell::<Allocation>(&AllocationId::from_bits(RENTAL).to_string(), grown());
}

fn sku() -> [SkuCommand; 3] {
    let price = |gib_max, secs| SkuCommand::SetDiskPrice {
        price: DiskPrice {
            version: 0,
            currency: Currency::USD,
            nanos_per_gib_hour: UNIT / 2,
            gib_max,
            effective_at: at(secs),
        },
        at: at(secs),
    };
    let define =
        SkuCommand::Define { sku_id: text("roomy"), resources: resources(1), at: at(7_200) };
    [define, price(100, 7_201), price(0, 7_202)]
}

fn with(gib: u32) -> (Resources, PinnedPrice) {
    let sku = resources(1);
    let disk = PinnedDisk { version: 1, gib, nanos_per_gib_hour: UNIT / 2 };
    let resources = Resources { disk_bytes: sku.disk_bytes + (u64::from(gib) << 30), ..sku };
    let flat = PinnedPrice::flat(1, Currency::USD, 36 * UNIT);
    (resources, PinnedPrice { disk: Some(disk), ..flat })
}

fn grown() -> Vec<C> {
    let mut request = requested(RENTAL, None);
    let C::Request { sku_id, resources, price, .. } = &mut request else {
        panic!("it asks for a rental");
    };
    *sku_id = text("roomy");
    (*resources, *price) = with(10);
    let mut commands = vec![request];
    commands.extend(provisioning(RENTAL, 6));
    let meter =
        |secs| C::Meter { through: at(secs), unproven_seconds: 0, late_seconds: 0, at: at(secs) };
    let proof = || text("uid=20079(t20079)");
    let (resources, price) = with(20);
    let size = Size { sku_id: text("roomy"), resources, price, tax: None };
    let dearer = PinnedPrice { version: 2, nanos_per_hour: 72 * UNIT, ..price };
    commands.extend([
        C::Activate { proof: proof(), at: at(7_220) },
        meter(7_280),
        C::RequestResize { size, at: at(7_281) },
        C::StartResize { at: at(7_282) },
        meter(7_282),
        C::ConfirmSuspended { evidence: text("nothing runs"), at: at(7_284) },
        C::RequestResume { at: at(7_285) },
        C::ConfirmResumed { proof: proof(), at: at(7_290) },
        C::SettleResize { at: at(7_291) },
        meter(7_350),
        C::Reprice { price: dearer, tax: None, at: at(7_351) },
        meter(7_400),
    ]);
    commands
}

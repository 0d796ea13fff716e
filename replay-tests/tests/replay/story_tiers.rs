//! Prices with tiers in the story: a SKU that has them, and a rental that begins with them and is moved to others, with a discount. And the
//! discounts of an organisation.
use cairn_catalog::{Discount, DiscountCommand, Discounts, Sku, SkuCommand};
use cairn_compute::{Allocation, AllocationCommand, PinnedDiscount, PinnedPrice};
use cairn_core::{AllocationId, Currency, DiscountId, OrganisationId, Tier, Tiers};

use super::story::{Teller, at, provisioning, requested, resources, text};

const UNIT: i64 = 1_000_000_000;
const RENTAL: u128 = 50;
const FAVOURED: OrganisationId = OrganisationId::from_bits(50);
const DISCOUNT: DiscountId = DiscountId::from_bits(50);

pub fn tell(teller: &mut Teller) {
    teller.tell::<Sku>("stepped", sku());
    teller.tell::<Discounts>(&FAVOURED.to_string(), discounts());
    teller.tell::<Allocation>(&AllocationId::from_bits(RENTAL).to_string(), crossed());
}

fn tiers(later: &[(i64, i64)]) -> Tiers {
    let tier = |(from_seconds, nanos_per_hour): &(i64, i64)| Tier {
        from_seconds: *from_seconds,
        nanos_per_hour: *nanos_per_hour,
    };
    Tiers::try_new(&later.iter().map(tier).collect::<Vec<_>>()).unwrap()
}

fn sku() -> [SkuCommand; 3] {
    let price = |tiers, secs| SkuCommand::SetPrice {
        currency: Currency::USD,
        nanos_per_hour: 36 * UNIT,
        tiers,
        effective_at: at(secs),
        at: at(secs),
    };
    let define =
        SkuCommand::Define { sku_id: text("stepped"), resources: resources(1), at: at(3_100) };
    let stepped = tiers(&[(60, 18 * UNIT), (120, 9 * UNIT)]);
    [define, price(stepped, 3_101), price(Tiers::NONE, 3_102)]
}

fn discounts() -> [DiscountCommand; 3] {
    let give = |discount_id, sku_id: Option<&str>, ends| DiscountCommand::Give {
        organisation_id: FAVOURED,
        discount: Discount {
            discount_id,
            basis_points: 2_000,
            sku_id: sku_id.map(text),
            ends_at: ends,
            reason: text("a year in advance"),
        },
        at: at(3_103),
    };
    let second = DiscountId::from_bits(51);
    [
        give(DISCOUNT, None, None),
        give(second, Some("stepped"), Some(at(9_000))),
        DiscountCommand::Withdraw { discount_id: DISCOUNT, at: at(3_104) },
    ]
}

fn crossed() -> Vec<AllocationCommand> {
    let mut request = requested(RENTAL, None);
    let AllocationCommand::Request { price, .. } = &mut request else {
        panic!("it asks for a rental");
    };
    *price = PinnedPrice { tiers: tiers(&[(60, 18 * UNIT), (120, 9 * UNIT)]), ..*price };
    let discount = Some(PinnedDiscount { discount_id: DISCOUNT, basis_points: 2_000 });
    let dearer = PinnedPrice { version: 2, tiers: tiers(&[(30, 72 * UNIT)]), discount, ..*price };
    let meter = |secs| AllocationCommand::Meter {
        through: at(secs),
        unproven_seconds: 0,
        late_seconds: 0,
        at: at(secs),
    };
    let mut commands = vec![request];
    commands.extend(provisioning(RENTAL, 6));
    commands.extend([
        AllocationCommand::Activate { proof: text("uid=20049(t20049)"), at: at(3_120) },
        meter(3_210),
        AllocationCommand::Reprice { price: dearer, tax: None, at: at(3_211) },
        meter(3_270),
    ]);
    commands
}

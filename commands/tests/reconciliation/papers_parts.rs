//! A rental that was moved to another price and another SKU within a month has a line for each part, and all of them are what the books have.
use cairn_commands::replay;
use cairn_compute::{Allocation, AllocationCommand, PinnedPrice, Size};
use cairn_core::{
    AllocationId, Currency, HoldId, Resources, Tax, TaxRate, TaxTreatment, Timestamp,
};
use cairn_finance::paper::Line;
use cairn_ledger::{CaptureHold, CorrectCharge, Wallet, WalletCommand};
use sqlx::PgPool;

use crate::desk::Desk;
use crate::papers::{
    PRICE, all, close, income, issue, last_month, rent, reopen, set_entity, top_up, wallet,
};
use crate::world::{DAY, HOUR, UNIT, World};

/// What a second costs at first.
const SECOND: i64 = PRICE / 3_600;

fn tax(treatment: TaxTreatment) -> Tax {
    let rate = TaxRate { jurisdiction: "CH".to_owned(), ppm: 81_000 };
    Tax { rate, name: "VAT".to_owned(), treatment, version: 1 }
}

async fn tell(world: &World, commands: impl IntoIterator<Item = AllocationCommand>) {
    for command in commands {
        world.execute::<Allocation>(&AllocationId::from_bits(1).to_string(), command).await;
    }
}

async fn meter(world: &World, through: Timestamp) {
    tell(
        world,
        [AllocationCommand::Meter { through, unproven_seconds: 0, late_seconds: 0, at: through }],
    )
    .await;
}

/// Up to a total of so many seconds of the first price, with a tax in what is new or none.
async fn charge(world: &World, (of_first, seconds): (i64, i64), tax: Option<Tax>, at: Timestamp) {
    let capture = CaptureHold {
        hold_id: HoldId::from_bits(1),
        total_nanos: of_first * SECOND,
        seconds,
        product: "compute".to_owned(),
        tax: tax.as_ref().and_then(Tax::due),
        keep_nanos: 0,
        expires_at: at.plus_secs(365 * DAY),
        at,
    };
    world.execute::<Wallet>(&wallet(1), WalletCommand::CaptureHold(capture)).await;
}

/// 500 of 2,000 seconds that were charged are taken back.
async fn correct(world: &World, at: Timestamp) {
    let (seconds, reason) = (500, "its clock was ahead".to_owned());
    tell(world, [AllocationCommand::CorrectUsage { seconds, reason, at }]).await;
    let correct = CorrectCharge {
        hold_id: HoldId::from_bits(1),
        total_nanos: 1_500 * SECOND,
        seconds: 1_500,
        product: "compute".to_owned(),
        charged_at: None,
        invoiced: None,
        at,
    };
    world.execute::<Wallet>(&wallet(1), WalletCommand::CorrectCharge(correct)).await;
}

/// Twice as dear with a tax in it, and then four times as dear in another size, when the customer owes the tax itself.
async fn used_in_three_parts(world: &World, since: Timestamp) {
    let at = |secs| since.plus_secs(secs);
    let price = |version, times| PinnedPrice::flat(version, Currency::USD, times * PRICE);
    let taxed = || Some(tax(TaxTreatment::Inclusive));
    meter(world, at(2_000)).await;
    charge(world, (2_000, 2_000), None, at(2_000)).await;
    // What was charged beyond the total of the move was charged before it.
    correct(world, at(2_001)).await;
    let reprice = AllocationCommand::Reprice { price: price(2, 2), tax: taxed(), at: at(2_002) };
    tell(world, [reprice]).await;
    meter(world, at(2_500)).await;
    charge(world, (2_500, 2_000), taxed(), at(2_500)).await;
    let resources = Resources { cpu_millis: 2, memory_bytes: 2, disk_bytes: 2, pids_max: 2 };
    let reversed = Some(tax(TaxTreatment::ReverseCharge));
    let size = Size { sku_id: "large".to_owned(), resources, price: price(1, 4), tax: reversed };
    let resize = [
        AllocationCommand::RequestResize { size, at: at(2_800) },
        AllocationCommand::StartResize { at: at(2_800) },
        AllocationCommand::Meter {
            through: at(2_800),
            unproven_seconds: 0,
            late_seconds: 0,
            at: at(2_800),
        },
        AllocationCommand::ConfirmSuspended { evidence: "nothing runs".to_owned(), at: at(2_900) },
        AllocationCommand::RequestResume { at: at(2_900) },
        AllocationCommand::ConfirmResumed { proof: "uid=20000".to_owned(), at: at(3_000) },
        AllocationCommand::SettleResize { at: at(3_000) },
    ];
    tell(world, resize).await;
    // The rest of the second part is charged when the third has begun.
    charge(world, (3_100, 2_300), taxed(), at(3_001)).await;
    meter(world, at(3_600)).await;
    charge(world, (5_500, 2_900), None, at(3_600)).await;
}

fn says(line: &Line) -> (Option<&str>, Option<i64>, i64, i64) {
    let gross = line.net.nanos + line.taxes.iter().map(|tax| tax.amount.nanos).sum::<i64>();
    (line.sku_id.as_deref(), line.nanos_per_hour, line.seconds, gross / SECOND)
}

#[sqlx::test(migrations = "../migrations")]
async fn a_rental_that_was_moved_has_a_line_for_each_part_and_they_are_what_the_books_have(
    owner: PgPool,
) {
    let desk = Desk::of(World::new(owner.clone()).await);
    let month = last_month(&desk);
    let (world, since) = (&desk.world, month.starts_at().plus_secs(HOUR));
    let at = |secs| since.plus_secs(secs);
    set_entity(&desk).await;
    top_up(world, 1, 20 * UNIT, since).await;
    rent(world, 1, (10 * UNIT, since)).await;
    used_in_three_parts(world, since).await;
    close(world, month).await;
    issue(&desk, month).await.unwrap();

    let invoices = all(&desk).await;
    let [invoice] = &invoices[..] else { panic!("{invoices:?}") };
    let lines: Vec<_> = invoice.lines.iter().map(says).collect();
    let parts = [
        (Some("small"), Some(PRICE), 1_500, 1_500),
        (Some("small"), Some(2 * PRICE), 800, 1_600),
        (Some("large"), Some(4 * PRICE), 600, 2_400),
    ];
    assert_eq!(lines, parts);
    let spans: Vec<_> = invoice.lines.iter().map(|line| (line.from, line.to)).collect();
    let spent = [(at(0), at(2_000)), (at(2_002), at(3_000)), (at(3_000), at(3_600))];
    assert_eq!(spans, spent);
    assert_eq!(invoice.totals.gross.nanos, income(&desk, month).await, "to the nano");
    let cents: i64 = invoice.lines.iter().map(|line| line.gross.cents).sum();
    assert_eq!(cents, invoice.totals.gross.cents);
    let [total] = &invoice.taxes[..] else { panic!("{:?}", invoice.taxes) };
    assert_eq!((total.rate_ppm, total.percent().as_str()), (Some(81_000), "8.10"));
    assert_eq!(total.base, invoice.lines[1].net, "the tax of the part that has one");
    let [reversed] = &invoice.reverse_charges()[..] else { panic!("one") };
    assert_eq!((reversed.jurisdiction.as_str(), reversed.base), ("CH", invoice.lines[2].net));

    // What was forgotten is a part of the last one.
    reopen(world, month).await;
    meter(world, at(3_700)).await;
    charge(world, (5_900, 3_000), None, at(3_700)).await;
    close(world, month).await;
    issue(&desk, month).await.unwrap();
    let invoices = all(&desk).await;
    let lines: Vec<_> = invoices[1].lines.iter().map(says).collect();
    assert_eq!(lines, [(Some("large"), Some(4 * PRICE), 100, 400)]);
    assert_eq!(invoices[1].lines[0].from, at(3_600));
    let gross: i64 = invoices.iter().map(|invoice| invoice.totals.gross.nanos).sum();
    assert_eq!(gross, income(&desk, month).await);
    assert!(replay::verify(world.executor.log()).await.unwrap().identical);
}

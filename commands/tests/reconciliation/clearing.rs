//! What only passes through must have passed before a month is closed.
use cairn_commands::finance::bank;
use cairn_commands::ports::{ProviderItems, ProviderPayout};
use cairn_core::{Currency, Month, PaymentId, RefundId, Timestamp};
use cairn_finance::break_case::Means;
use cairn_finance::{Balances, Period, Statement, StatementLine};
use cairn_ledger::{ReserveRefund, Wallet, WalletCommand, wallet_id};
use sqlx::PgPool;

use crate::desk::Desk;
use crate::periods::{charge, close, last, reopen, why};
use crate::world::{DAY, ORGANISATION, UNIT, World};

/// Sends some of the first payment back.
async fn reserve(world: &World, n: u128, at: Timestamp) {
    let reserve = ReserveRefund {
        refund_id: RefundId::from_bits(n),
        payment_id: PaymentId::from_bits(1),
        amount_nanos: 2 * UNIT,
        reason: "asked for".to_owned(),
        at,
    };
    ask(world, WalletCommand::ReserveRefund(reserve)).await;
}

async fn ask(world: &World, command: WalletCommand) {
    world.execute::<Wallet>(&wallet_id(ORGANISATION, Currency::USD), command).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_refund_that_is_on_its_way_for_too_long_stands_against_it(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let month = last(&desk);
    let ends_at = month.ends_at();
    charge(&desk.world, 1, ends_at.plus_secs(-20 * DAY)).await;
    reserve(&desk.world, 1, ends_at.plus_secs(-15 * DAY)).await;
    reserve(&desk.world, 2, ends_at.plus_secs(-14 * DAY)).await;
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(code, "period_clearing_open");
    assert!(words.contains("refund_payable:USD: 2.00 is older than 14 days"), "{words}");
    assert!(words.contains(&RefundId::from_bits(1).to_string()), "{words}");
    // It has come back by now, which is after the month.
    let back = WalletCommand::ReturnRefund { refund_id: RefundId::from_bits(1), at: desk.now() };
    ask(&desk.world, back).await;
    close(&desk, month).await.unwrap();
}

/// A payout of that much that the provider sends on a day of the month, due two days later.
fn pay_out(world: &World, month: Month, (n, units, day): (u32, i64, i64)) {
    let provider_id = format!("po_{n}");
    let sent_at = month.starts_at().plus_secs(day * DAY);
    let payout = ProviderPayout {
        provider_id: provider_id.clone(),
        items: ProviderItems::Never,
        descriptor: Some("STRIPE".to_owned()),
        trace: None,
        arrives_at: sent_at.plus_secs(2 * DAY),
    };
    let mut line = world.line(&format!("txn_po{n}"), &provider_id, "payout", (-units * UNIT, 0));
    line.0.created_at = sent_at;
    world.provide(line);
    world.provider.payouts.lock().unwrap().insert(provider_id, (payout, vec![]));
}

/// The bank's statement of some days of the month: the amount that comes in on the last.
async fn import(desk: &Desk, month: Month, (first, last): (i64, i64), (from, units): (i64, i64)) {
    let on = |day: i64| month.starts_at().plus_secs(day * DAY);
    let line = StatementLine {
        reference: Some(format!("line {last}")),
        booked_on: on(last),
        valued_on: on(last),
        amount_nanos: units * UNIT,
        end_to_end: None,
        text: "STRIPE".to_owned(),
    };
    let lines = if units == 0 { vec![] } else { vec![line] };
    let statement = Statement {
        statement_id: Some(format!("{first} to {last}")),
        bank_account: Some("CH93".to_owned()),
        currency: "USD".to_owned(),
        balances: Some(Balances {
            opening_nanos: from * UNIT,
            closing_nanos: (from + units) * UNIT,
        }),
        days: (on(first), on(last)),
        lines,
    };
    bank::import(&desk.world.pool, &[statement], Some("main"), desk.now()).await.unwrap();
}

#[sqlx::test(migrations = "../migrations")]
async fn a_payout_that_no_statement_has_stands_against_it_until_somebody_says_why(pool: PgPool) {
    let desk = Desk::of(World::new(pool).await);
    let month = last(&desk);
    charge(&desk.world, 1, month.starts_at()).await;
    pay_out(&desk.world, month, (1, 5, 1));
    // Nobody looks at a bank: nothing can arrive there.
    close(&desk, month).await.unwrap();
    let (period, _) = desk.world.executor.load::<Period>(&month.to_string()).await.unwrap();
    assert!(period.closed);
    let says = "SELECT c ->> 'says' FROM events, json_array_elements(payload -> 'checks') AS c
                WHERE event_type = 'period.closed' AND c ->> 'item' = 'clearing_aged'";
    let says: String = sqlx::query_scalar(says).fetch_one(&desk.world.pool).await.unwrap();
    assert_eq!(says, "clearing accounts: 1, with no bank to arrive at: 1");

    reopen(&desk, month).await.unwrap();
    pay_out(&desk.world, month, (2, 3, 13));
    import(&desk, month, (14, 20), (0, 3)).await;
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(code, "period_clearing_open", "{words}");
    assert!(words.contains("clearing:payout_in_transit:USD: 5.00 is older"), "{words}");
    // With the statement of its days it is missing there, which is a case: explained, it is on its way no more.
    import(&desk, month, (0, 13), (0, 0)).await;
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(code, "period_breaks_open", "{words}");
    let id = words.split([':', ' ']).find_map(|word| word.parse().ok()).unwrap();
    desk.resolve("ada", (id, Means::Explain), 0).await.unwrap();
    desk.approve("grace", id).await.unwrap();
    close(&desk, month).await.unwrap();
    // It comes after all, and another of the same amount does not: what was said of the one says nothing of the other.
    reopen(&desk, month).await.unwrap();
    pay_out(&desk.world, month, (3, 5, 14));
    import(&desk, month, (5, 8), (0, 5)).await;
    let (code, words) = why(close(&desk, month).await);
    assert_eq!(code, "period_clearing_open", "{words}");
    assert!(words.contains("clearing:payout_in_transit:USD: 5.00 is older"), "{words}");
}

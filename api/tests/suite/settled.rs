//! What must be true when the dust has settled: everything that was wished happened once, and the books say so.
#![allow(clippy::print_stdout, reason = "a proof tells its figures")]
use crate::house::{Eyes, House};
use crate::load::{self, ALLOCATIONS, TOP_UPS, Tally, Wish};
use crate::support::Caller;

pub const HEAD: &str = "SELECT position FROM log_head";

fn int(number: usize) -> i64 {
    i64::try_from(number).unwrap()
}

/// Until every wish's process has come to its end and nothing is due.
pub async fn until_ended(eyes: &Eyes, wishes: usize) {
    let ended = "SELECT count(*) FROM process_states
        WHERE process IN ('top_up', 'rent_node') AND status IN ('done', 'unwound')";
    eyes.until(int(wishes), ended).await;
    eyes.until(0, DUE).await;
}

/// Waits until everything that was wished has come to its end, and counts.
pub async fn settle(house: House, customer: &Caller, wishes: &[Wish], tally: &Tally) {
    let failed = tally.refused + tally.in_doubt;
    assert!(tally.under_way + failed > 0, "the kill hit nothing: {tally:?}");
    let (paid, rented) = (load::count(wishes, TOP_UPS), load::count(wishes, ALLOCATIONS));
    assert_eq!(paid + rented, tally.acknowledged + failed);
    let cluster = house.cluster().await;
    let eyes = Eyes::open(&cluster).await;
    until_ended(&eyes, paid + rented).await;
    let of_type = |kind: &str| {
        format!("SELECT count(DISTINCT aggregate_id) FROM events WHERE event_type = '{kind}'")
    };
    for (kind, expected) in [
        ("payment.requested", paid),
        ("payment.succeeded", paid),
        ("allocation.requested", rented),
        ("allocation.rejected", rented),
    ] {
        assert_eq!(eyes.count(&of_type(kind)).await, int(expected), "{kind}");
    }
    for (what, sql, expected) in [
        ("credits", "SELECT count(*) FROM events WHERE event_type = 'wallet.topped_up'", paid),
        ("money held", "SELECT sum(held_nanos)::bigint FROM ledger_balances", 0),
        ("books off", OFF, 0),
        ("gaps or doubles in the log", GAPS, 0),
        ("commands that counted twice", TWICE, 0),
        ("connections left in a transaction", LEFT_OPEN, 0),
    ] {
        assert_eq!(eyes.count(sql).await, int(expected), "{what}");
    }
    let book = house.simulator.book();
    assert_eq!((book.payment_intents().len(), book.charges().len()), (paid, paid), "card charges");
    let taken: i64 = book.charges().iter().map(|charge| charge.amount).sum();
    assert_eq!(taken, 500 * int(paid));
    let balance = house.moved(customer).get("/v1/balance").await;
    assert_eq!(balance.text("/items/0/posted"), format!("{}.00", 5 * paid));
    house.run("replay verify").await;
    house.run("projections verify").await;
    eyes.close().await;
    println!("{paid} paid in, {rented} rentals asked for; {tally:?}");
    house.demolish(cluster).await;
}

const DUE: &str = "SELECT count(*) FROM process_intents
    WHERE status IN ('leased', 'needs_operator') OR (status = 'ready' AND due_at <= now())";
const OFF: &str = "SELECT count(*) FROM (SELECT 1 FROM ledger_postings
    GROUP BY position, currency HAVING sum(amount_nanos) <> 0) AS off";
/// Positions are unique and count from 1: as many as the last one says are all of them.
const GAPS: &str = "SELECT (SELECT position FROM log_head) - count(*) FROM events";
const TWICE: &str = "SELECT count(*) FROM (SELECT 1 FROM events GROUP BY command_id
    HAVING count(DISTINCT (aggregate_type, aggregate_id)) > 1) AS twice";
const LEFT_OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND state LIKE 'idle in transaction%' AND now() - state_change > interval '1 second'";

//! Disputes through the whole house: the provider's webhooks arrive twice and out of order, and its book and ours say the same.
use std::time::Instant;

use cairn_stripe_simulator::{Chance, DisputeStep, Faults};
use serde_json::json;

use crate::house::House;
use crate::support::{Caller, PATIENCE};

/// The balance of an account in the books; accounts of organisations by their beginning.
async fn account(house: &House, begins: &str) -> String {
    let books = house.run("finance trial-balance").await;
    let rows = books["accounts"].as_array().unwrap();
    let found = rows.iter().find(|row| row["account"].as_str().unwrap().starts_with(begins));
    found.map_or_else(|| "0.00".to_owned(), |row| row["balance"].as_str().unwrap().to_owned())
}

async fn until(house: &House, begins: &str, balance: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = account(house, begins).await;
        if found == balance {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{begins} is {found}, never {balance}: {}",
            house.said()
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// A payment that the wallet has, and its charge.
async fn paid(house: &House, customer: &Caller) -> (String, String) {
    let before = house.simulator.book().charges().len();
    let id = customer.top_up("20.00").await;
    (id, house.simulator.book().charges()[before].id.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_order_its_webhooks_come_in_the_providers_book_and_ours_say_the_same() {
    let mut house = House::build().await;
    house.open().await;
    let customer = house.caller("owner").await;
    let ((payment, kept), (_, gone)) =
        (paid(&house, &customer).await, paid(&house, &customer).await);
    let often = || Chance { next: 40, ..Chance::default() };
    let faults =
        Faults { webhook_duplicate: often(), webhook_reorder: often(), ..Faults::default() };
    house.simulator.set_faults(faults);
    let (won, lost) = (
        house.simulator.open_dispute(&kept).unwrap(),
        house.simulator.open_dispute(&gone).unwrap(),
    );
    house.simulator.step_dispute(&won, DisputeStep::Withdraw).unwrap();
    // Closed before it was withdrawn.
    house.simulator.step_dispute(&lost, DisputeStep::Lose).unwrap();
    until(&house, "receivable:dispute", "20.00").await;
    customer.until("/v1/balance", |page| page["items"][0]["held"] == "20.00").await;
    let refund = json!({ "top_up_id": payment, "amount": "1.00", "currency": "USD" });
    let refused = customer.post("/v1/refunds", &refund).await;
    assert_eq!(refused.code(), "payment_disputed", "{}", refused.body);
    house.simulator.step_dispute(&lost, DisputeStep::Withdraw).unwrap();
    house.simulator.step_dispute(&won, DisputeStep::Win).unwrap();
    house.simulator.step_dispute(&won, DisputeStep::Reinstate).unwrap();
    until(&house, "dispute_fees", "30.00").await;
    until(&house, "receivable:dispute", "0.00").await;
    until(&house, "wallet:paid", "-20.00").await;
    let counts = house.simulator.counts();
    assert!(
        counts.webhook_duplicate > 0 && counts.webhook_reorder > 0,
        "the faults bit: {counts:?}"
    );
    // All that was paid in, less the fees of two payments, of two disputes, and what was lost.
    let provider = house.simulator.book().balances()["usd"];
    let ours = account(&house, "stripe:pending").await;
    assert_eq!(ours, format!("{}.{:02}", provider / 100, (provider % 100).abs()));
    let report = house.run("finance reconcile").await;
    assert_eq!((&report["clean"], &report["lines"]), (&json!(true), &json!(5)), "{report}");
    house.run("replay verify").await;
    let cluster = house.cluster().await;
    house.demolish(cluster).await;
}

//! Automatic top-ups raced with checkouts, with each other and with wishes that come twice, against a provider in trouble: money is taken once, one at
//! a time, up to the cap and not beyond, and the provider's book and ours say the same.
use cairn_identity::Role;
use cairn_stripe_simulator::{Faults, Simulator, SimulatorConfig};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::auto_top_up::{dollars, put};
use crate::races::{
    SECRET, TOGETHER, Wish, all_struck, books_agree, hurried, once, troubled, until_settled,
};
use crate::support::{Caller, PATIENCE, Stage, Whim};

const CUSTOMERS: u64 = 5;
/// What one takes, and how many the cap has room for.
const CENTS: i64 = 1_000;
const MANY: i64 = 4;

/// A wallet that is always low, so that only the cap ends it. The last customer's card is declined.
struct Customer {
    number: u64,
    caller: Caller,
    whim: Whim,
}

impl Customer {
    const fn is_declined(&self) -> bool {
        self.number + 1 == CUSTOMERS
    }

    /// Switched on by several clients at once while checkouts are paid.
    async fn begin(&mut self) {
        let card = if self.is_declined() { "pm_card_chargeDeclined" } else { "pm_card_visa" };
        let wish = json!({
            "currency": "USD", "enabled": true, "threshold": "9000.00", "amount": "10.00",
            "monthly_cap": "40.00", "payment_method": card
        });
        let key = format!("auto-{}", self.number);
        let (caller, key, wish) = (&self.caller, &key, &wish);
        let set = join_all((0..TOGETHER).map(|_| async move {
            let set = put(caller, (key, ""), wish).await;
            assert!(set.status == 200 || set.code() == "command_in_flight", "{}", set.body);
        }));
        let checkout =
            json!({ "amount": "10.00", "currency": "USD", "payment_method": "pm_card_visa" });
        let checkout = Wish::of(format!("pay-{}", self.number), "/v1/top-ups", checkout);
        let (_, paid) = tokio::join!(set, checkout.by_many(caller, &mut self.whim));
        assert_eq!(paid.status, 201, "{}", paid.body);
    }

    /// Until the cap is reached, or the card was declined.
    async fn end(&self) -> Value {
        let is_over = |shown: &Value| {
            let found = dollars(shown);
            let ended = if self.is_declined() {
                found["last"]["status"] == "declined"
            } else {
                found["left"] == "0.00"
            };
            ended && found.get("in_flight").is_none()
        };
        self.caller.until("/v1/auto-top-up", is_over).await
    }
}

/// In each stream every attempt ends before the next begins.
async fn one_at_a_time(pool: &PgPool) {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT aggregate_id, event_type FROM events WHERE aggregate_type = 'auto_top_up'
           AND event_type IN ('auto_top_up.begun', 'auto_top_up.succeeded', 'auto_top_up.declined')
         ORDER BY aggregate_id, sequence",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert_eq!(rows.len() % 2, 0, "each has ended");
    for pair in rows.chunks(2) {
        assert_eq!(pair[0].0, pair[1].0, "{pair:?}");
        let (begun, ended) = (&*pair[0].1, &*pair[1].1);
        assert!(begun == "auto_top_up.begun" && ended != "auto_top_up.begun", "{pair:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn whatever_the_provider_does_a_wallet_is_filled_up_to_its_cap_and_not_beyond(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let config = SimulatorConfig {
        webhook_secret: SECRET.to_owned(),
        seed: 11,
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::start(config).await.unwrap();
    let stage = Stage::set_among(options, |parts| {
        hurried(parts, &simulator);
        let settings = &mut parts.runner.settings;
        (settings.top_up_pause_seconds, settings.top_up_burst) = (0, 100);
    })
    .await;
    simulator.set_webhook(&format!("{}/v1/webhooks/stripe", stage.base), SECRET);
    let mut customers = vec![];
    for number in 0..CUSTOMERS {
        let caller = stage.caller(Role::Owner).await;
        customers.push(Customer { number, caller, whim: Whim(7 + number) });
    }
    simulator.set_faults(troubled());
    join_all(customers.iter_mut().map(Customer::begin)).await;
    for customer in &customers {
        let shown = customer.end().await;
        let (found, takes) = (dollars(&shown), !customer.is_declined());
        assert_eq!(found["taken"], if takes { "40.00" } else { "0.00" }, "{found}");
    }
    let counts = simulator.counts();
    simulator.set_faults(Faults::default());
    let pool = stage.commands.executor.log().pool();
    until_settled(pool, &simulator).await;
    let head = stage.commands.executor.log().head().await.unwrap();
    stage.projector.wait_for(head, PATIENCE).await.unwrap();
    one_at_a_time(pool).await;
    let book = simulator.book();
    let taken = book.charges().iter().filter(|charge| charge.failure.is_none());
    let taken = once(taken.map(|it| (it.metadata.clone(), it.amount)), "cairn_payment_id");
    let customers_who_pay = i64::try_from(CUSTOMERS).unwrap() - 1;
    let checkouts = customers_who_pay + 1;
    assert_eq!(taken.values().sum::<i64>(), (customers_who_pay * MANY + checkouts) * CENTS);
    for customer in &customers {
        let balance = customer.caller.get("/v1/balance").await;
        let all = if customer.is_declined() { "10.00" } else { "50.00" };
        assert_eq!(balance.text("/items/0/posted"), all, "{}", balance.body);
    }
    books_agree(&stage, &simulator).await;
    all_struck(&counts);
    stage.strike().await;
    simulator.shutdown().await;
}

//! Many clients at once, while the provider is slow, answers 500, or times out after it has acted: what is paid is taken once, what is given back
//! is given once, and the provider's book and ours say the same.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_api::wiring::{self, Outside};
use cairn_commands::finance::{Period, reconcile};
use cairn_commands::neighbours::{NeighbourConfig, Neighbours};
use cairn_commands::ports::PaymentPort;
use cairn_commands::replay::verify;
use cairn_core::money::parse_nanos;
use cairn_identity::Role;
use cairn_neighbours::BreakerConfig;
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{Book, Chance, FaultCounts, Faults, Simulator, SimulatorConfig};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::support::{Answer, Caller, PATIENCE, SSH_KEY, Stage, Whim};

pub const SECRET: &str = "whsec_races";
const CUSTOMERS: u64 = 6;
/// Clients that send the same wish at once.
pub const TOGETHER: u64 = 3;
/// In nanos.
const CENT: i64 = 10_000_000;
/// What a call to the provider may take; a slow one takes longer, and never arrives.
const LIMIT: Duration = Duration::from_millis(400);

fn port(simulator: &Simulator, limit: Duration) -> Arc<dyn PaymentPort> {
    let config = StripeConfig {
        secret_key: "sk_test_races".to_owned(),
        api_base: Some(simulator.base_url.clone()),
        webhook_secrets: vec![],
    };
    Arc::new(StripePayments::with_timeout(config, limit).unwrap())
}

/// A server that does not wait long for such a provider, and comes back soon.
pub fn hurried(parts: &mut Outside, simulator: &Simulator) {
    parts.payments = port(simulator, LIMIT);
    parts.webhook_secrets = vec![SECRET.to_owned()];
    (parts.runner.backoff, parts.runner.backoff_max) =
        (Duration::from_millis(50), Duration::from_millis(200));
    // What a rental has set aside is no more than what is left when it is wound down.
    let settings = &mut parts.runner.settings;
    (settings.runway_seconds, settings.tick_lag_seconds, settings.poll_max_seconds) = (100, 2, 1);
    let (wait, wait_max) = (Duration::from_millis(50), Duration::from_millis(100));
    let breaker = BreakerConfig { wait, wait_max, ..BreakerConfig::default() };
    let config = NeighbourConfig { breaker, ..NeighbourConfig::default() };
    parts.neighbours = Neighbours::new(config, wiring::clock());
}

/// The first of each strike for certain, the others by chance.
pub fn troubled() -> Faults {
    let often = |next, probability| Chance { next, probability };
    Faults {
        server_error: often(2, 0.1),
        server_error_after_success: often(2, 0.15),
        timeout_after_success: often(2, 0.15),
        timeout_millis: 1_000,
        slow: often(2, 0.1),
        slow_millis: 600,
        webhook_duplicate: often(2, 0.3),
        webhook_reorder: often(2, 0.2),
        webhook_delay: often(2, 0.2),
        webhook_delay_millis: 200,
        refund_fails_later: often(3, 0.0),
        refund_settles_after_millis: 300,
        ..Faults::default()
    }
}

/// A wish under its key, sent by several clients at once, each when chance says, and insisted on until it is answered.
pub struct Wish {
    key: String,
    path: &'static str,
    body: Value,
}

impl Wish {
    pub fn of(key: String, path: &'static str, body: Value) -> Self {
        Self { key, path, body }
    }

    pub async fn by_many(&self, caller: &Caller, whim: &mut Whim) -> Answer {
        let senders: Vec<u64> = (0..TOGETHER).map(|_| whim.next(20)).collect();
        let sent = senders.into_iter().map(|turns| async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            caller.post_again(&self.key, self.path, &self.body).await
        });
        let mut answers = join_all(sent).await;
        let last = answers.pop().unwrap();
        for answer in answers {
            assert!(answer.status < 500, "{}: {}", self.key, answer.body);
            let (mine, other) = ((answer.status, answer.code()), (last.status, last.code()));
            assert_eq!(mine, other, "{}: {} and {}", self.key, answer.body, last.body);
        }
        last
    }
}

/// What a customer was told of it all.
#[derive(Debug, Default)]
struct Told {
    top_ups: Vec<String>,
    refunds: Vec<String>,
    rental: Option<String>,
}

impl Told {
    fn note(&mut self, answer: &Answer) {
        match answer.status {
            201 => self.refunds.push(answer.text("/refund_id")),
            _ => assert!(REFUSED.contains(&answer.code()), "{}", answer.body),
        }
    }
}

struct Customer {
    number: u64,
    caller: Caller,
    told: Told,
    whim: Whim,
}

impl Customer {
    /// Both checkouts at once, one of them with a card that is declined now and then.
    async fn pay(&mut self) {
        let card = match self.whim.next(4) {
            0 => "pm_card_chargeDeclined",
            1 => "pm_card_pendingRefund",
            _ => "pm_card_visa",
        };
        let wish = |number, card| {
            let key = format!("pay-{}-{number}", self.number);
            let body = json!({ "amount": "10.00", "currency": "USD", "payment_method": card });
            Wish::of(key, "/v1/top-ups", body)
        };
        let (first, second) = (wish(1, "pm_card_visa"), wish(2, card));
        let mut other = Whim(self.whim.next(1_000_000));
        let (first, second) = tokio::join!(
            first.by_many(&self.caller, &mut self.whim),
            second.by_many(&self.caller, &mut other)
        );
        self.told.top_ups = vec![first.text("/top_up_id"), second.text("/top_up_id")];
        for id in &self.told.top_ups {
            let path = format!("/v1/top-ups/{id}");
            self.caller.until(&path, |it| ["succeeded", "failed"].contains(&text(it))).await;
        }
        // The first one is always taken.
        let first = &self.told.top_ups[0];
        let is_there = |page: &Value| {
            page["items"].as_array().unwrap().iter().any(|line| line["reference"] == **first)
        };
        self.caller.until("/v1/statement", is_there).await;
    }

    async fn rent(&mut self) {
        let wish = json!({ "sku_id": "small", "currency": "USD", "ssh_public_key": SSH_KEY });
        let asked = self.caller.post("/v1/allocations", &wish).await;
        assert_eq!(asked.status, 201, "{}", asked.body);
        let rental = format!("/v1/allocations/{}", asked.text("/allocation_id"));
        self.caller.until(&rental, |it| it["status"] == "active").await;
        self.told.rental = Some(rental);
    }

    /// A part and all the rest of each payment, and the end of the rental: at once. Half of the customers leave the end to those who stop what
    /// is not paid for.
    async fn take_all_back(&mut self) {
        let mut wishes = vec![];
        for (number, id) in self.told.top_ups.iter().enumerate() {
            let part = json!({ "top_up_id": id, "amount": "3.00", "currency": "USD" });
            for (kind, body) in [("part", part), ("rest", json!({ "top_up_id": id }))] {
                let key = format!("{kind}-{}-{number}", self.number);
                wishes.push((Wish::of(key, "/v1/refunds", body), Whim(self.whim.next(1_000_000))));
            }
        }
        let release = async {
            if let (Some(rental), 0) = (&self.told.rental, self.number % 2) {
                let released = self.caller.post(&format!("{rental}/release"), &json!({})).await;
                assert_eq!(released.status, 202, "{}", released.body);
            }
        };
        let caller = &self.caller;
        let asked = wishes.iter_mut().map(|(wish, whim)| wish.by_many(caller, whim));
        let (asked, ()) = tokio::join!(join_all(asked), release);
        asked.iter().for_each(|answer| self.told.note(answer));
        let Some(rental) = self.told.rental.clone() else { return };
        if self.number % 2 == 1 {
            self.until_stopped(&rental).await;
            let released = self.caller.post(&format!("{rental}/release"), &json!({})).await;
            assert_eq!(released.status, 202, "{}", released.body);
        }
        self.caller.until(&rental, |it| it["status"] == "released").await;
    }

    /// Asks for whatever is left, also for what came back because a refund failed, until the rental is not paid for any more.
    async fn until_stopped(&mut self, rental: &str) {
        let (deadline, mut failed) = (Instant::now() + PATIENCE, usize::MAX);
        loop {
            let refunds = self.caller.get("/v1/refunds").await;
            let items = refunds.body["items"].as_array().unwrap();
            let failed_now = items.iter().filter(|it| text(it) == "failed").count();
            if failed_now != failed {
                failed = failed_now;
                for id in self.told.top_ups.clone() {
                    let rest = json!({ "top_up_id": id });
                    self.told.note(&self.caller.post("/v1/refunds", &rest).await);
                }
            }
            let found = self.caller.get(rental).await;
            if text(&found.body) == "suspended" {
                return;
            }
            assert!(Instant::now() < deadline, "it goes on for nothing: {}", found.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a refund may be refused for: there is nothing left, or another one was quicker.
const REFUSED: [&str; 4] =
    ["unknown_payment", "exceeds_refundable", "insufficient_funds", "amount_not_positive"];

fn text(of: &Value) -> &str {
    of["status"].as_str().unwrap_or_default()
}

/// Until nobody has anything to do any more but to look again later.
pub async fn until_settled(pool: &PgPool, simulator: &Simulator) {
    const OPEN: &str = "SELECT (SELECT count(*) FROM process_intents WHERE kind <> 'timer' AND status NOT IN ('done', 'skipped')
               AND (attempts > 0 OR due_at <= now()))
            + (SELECT count(*) FROM payments_webhook_inbox WHERE status = 'pending')
            + (SELECT count(*) FROM process_checkpoints WHERE position < (SELECT position FROM log_head))
            + (SELECT count(*) FROM process_states WHERE process IN ('top_up', 'refund_payment') AND status = 'running')";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let open: i64 = sqlx::query_scalar(OPEN).fetch_one(pool).await.unwrap();
        let underway = simulator.webhooks().pending;
        let unsettled = simulator.book().refunds().iter().filter(|it| it.settles.is_some()).count();
        if (open, underway, unsettled) == (0, 0, 0) {
            return;
        }
        if Instant::now() > deadline {
            let intents: Vec<String> = sqlx::query_scalar(
                "SELECT format('%s %s %s %s', name, status, attempts, last_error) FROM process_intents
                 WHERE kind <> 'timer' AND status NOT IN ('done', 'skipped')",
            )
            .fetch_all(pool)
            .await
            .unwrap();
            panic!("{open} open, {underway} webhooks, {unsettled} refunds: {intents:#?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Which of ours each object of the provider's is: none twice.
pub fn once(
    of: impl Iterator<Item = (BTreeMap<String, String>, i64)>,
    key: &str,
) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    for (metadata, cents) in of {
        let ours = metadata[key].clone();
        assert!(found.insert(ours.clone(), cents).is_none(), "{ours} is there twice");
    }
    found
}

/// What the provider took and gave back is what customers were told.
async fn same_as_told(book: &Book, customers: &[Customer]) {
    let taken = book.charges().iter().filter(|it| it.failure.is_none());
    let taken = once(taken.map(|it| (it.metadata.clone(), it.amount)), "cairn_payment_id");
    let given = book.refunds().iter().filter(|it| it.status != "failed");
    let given = once(given.map(|it| (it.metadata.clone(), it.amount)), "cairn_refund_id");
    once(book.refunds().iter().map(|it| (it.metadata.clone(), it.amount)), "cairn_refund_id");
    let (mut paid, mut refunded) = (BTreeSet::new(), BTreeSet::new());
    for Customer { caller, told, .. } in customers {
        let mut left = 0;
        for id in &told.top_ups {
            let found = caller.get(&format!("/v1/top-ups/{id}")).await;
            if text(&found.body) == "succeeded" {
                left += taken[id];
                paid.insert(id.clone());
            }
        }
        for id in &told.refunds {
            let found = caller.get(&format!("/v1/refunds/{id}")).await;
            if text(&found.body) == "succeeded" {
                left -= given[id];
                refunded.insert(id.clone());
            }
        }
        let balance = caller.get("/v1/balance").await;
        let posted = parse_nanos(&balance.text("/items/0/posted")).unwrap();
        // A rental that is stopped soon costs less than it set aside at first.
        let used = left * CENT - posted;
        assert!((0..=10 * CENT).contains(&used), "{left} cents left, {posted} posted: {told:?}");
    }
    assert_eq!(taken.keys().cloned().collect::<BTreeSet<_>>(), paid, "taken, and told of");
    assert_eq!(given.keys().cloned().collect::<BTreeSet<_>>(), refunded, "given, and told of");
}

/// Each trouble that every race is in was there.
pub fn all_struck(counts: &FaultCounts) {
    for (fault, struck) in [
        ("server_error", counts.server_error),
        ("server_error_after_success", counts.server_error_after_success),
        ("timeout_after_success", counts.timeout_after_success),
        ("slow", counts.slow),
        ("webhook_duplicate", counts.webhook_duplicate),
        ("webhook_reorder", counts.webhook_reorder),
        ("webhook_delay", counts.webhook_delay),
    ] {
        assert!(struck >= 2, "{fault} did not bite: {counts:?}");
    }
}

/// Nothing is between the provider's book and ours.
pub async fn books_agree(stage: &Stage, simulator: &Simulator) {
    let (executor, now) = (&stage.commands.executor, stage.commands.clock.now());
    let patient = port(simulator, Duration::from_secs(20));
    // So much later that nothing is excused for being young.
    let later = now.plus_secs(10 * 86_400);
    let report = reconcile(patient.as_ref(), executor, Period::all(later)).await.unwrap();
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.open().count(), 0, "{report:#?}");
    let ours: i64 = sqlx::query_scalar(
        "SELECT sum(amount_nanos)::bigint FROM ledger_postings WHERE account = 'stripe:pending:USD'",
    )
    .fetch_one(executor.log().pool())
    .await
    .unwrap();
    assert_eq!(ours / CENT, simulator.book().balances()["usd"]);
    let verified = verify(executor.log()).await.unwrap();
    assert!(verified.identical, "{verified:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn whatever_the_provider_does_money_is_taken_once_and_given_back_once(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let config = SimulatorConfig {
        webhook_secret: SECRET.to_owned(),
        seed: 7,
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::start(config).await.unwrap();
    let stage = Stage::set_among(options, |parts| hurried(parts, &simulator)).await;
    simulator.set_webhook(&format!("{}/v1/webhooks/stripe", stage.base), SECRET);
    let operator = stage.caller(Role::PlatformOperator).await;
    stage.open_shop(&operator).await;
    let mut customers = vec![];
    for number in 0..CUSTOMERS {
        let caller = stage.caller(Role::Owner).await;
        let whim = Whim(2_026 + number);
        customers.push(Customer { number, caller, told: Told::default(), whim });
    }
    simulator.set_faults(troubled());
    join_all(customers.iter_mut().map(|customer| async move {
        customer.pay().await;
        if customer.number < 4 {
            customer.rent().await;
        }
        customer.take_all_back().await;
    }))
    .await;
    let counts = simulator.counts();
    simulator.set_faults(Faults::default());
    until_settled(stage.commands.executor.log().pool(), &simulator).await;
    stage
        .projector
        .wait_for(stage.commands.executor.log().head().await.unwrap(), PATIENCE)
        .await
        .unwrap();
    same_as_told(&simulator.book(), &customers).await;
    let refunds: usize = customers.iter().map(|customer| customer.told.refunds.len()).sum();
    assert!(refunds >= 2 * customers.len(), "{refunds} refunds");
    books_agree(&stage, &simulator).await;
    all_struck(&counts);
    assert!(counts.refund_fails_later >= 2, "refund_fails_later did not bite: {counts:?}");
    stage.strike().await;
    simulator.shutdown().await;
}

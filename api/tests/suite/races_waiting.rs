//! Payments that wait, raced: customers confirm, fail and stay away while their day passes and banks end, over a provider that is slow, answers 500
//! or times out after it has acted, and webhooks that come twice, late and out of order. Money is taken once, or never.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cairn_identity::Role;
use cairn_stripe_simulator::{ChallengeEnd, Faults, Simulator};
use futures::future::join_all;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::races::{Wish, all_struck, books_agree, once, troubled, until_settled};
use crate::support::{Caller, PATIENCE, Whim};
use crate::waiting::{DEBIT, THREE_D_SECURE, a_day_passes, at_provider, stage_with, wish};

const CUSTOMERS: u64 = 4;
const CENTS: i64 = 1_000;

/// What becomes of a payment, as far as somebody sees to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Confirmed, while its day is over.
    Confirmed,
    /// The challenge is failed, while its day is over.
    Refused,
    /// Nobody comes.
    Abandoned,
    Debited,
    /// The bank says no in the end.
    Bounced,
}

const FATES: [Fate; 5] =
    [Fate::Confirmed, Fate::Refused, Fate::Abandoned, Fate::Debited, Fate::Bounced];

impl Fate {
    const fn payment_method(self) -> &'static str {
        match self {
            Self::Confirmed | Self::Refused | Self::Abandoned => THREE_D_SECURE,
            Self::Debited | Self::Bounced => DEBIT,
        }
    }

    /// Whoever ends what it waits for, and how.
    const fn end(self) -> Option<ChallengeEnd> {
        match self {
            Self::Confirmed | Self::Debited => Some(ChallengeEnd::Complete),
            Self::Refused | Self::Bounced => Some(ChallengeEnd::Fail),
            Self::Abandoned => None,
        }
    }
}

/// A payment and what was done about it.
struct Paid {
    id: String,
    fate: Fate,
    /// Whether whoever ended it was in time.
    in_time: bool,
}

/// Until its process wants it cancelled.
async fn until_cancelling(pool: &PgPool, id: &str) {
    const WANTED: &str =
        "SELECT EXISTS (SELECT FROM process_intents WHERE name = 'cancel_payment' AND key = $1)";
    let deadline = Instant::now() + PATIENCE;
    while !sqlx::query_scalar::<_, bool>(WANTED).bind(id).fetch_one(pool).await.unwrap() {
        assert!(Instant::now() < deadline, "{id} is never cancelled");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One payment, asked for by several clients at once; then its end and its deadline at the same time.
async fn raced(
    (caller, number): (&Caller, u64),
    fate: Fate,
    (simulator, pool): (&Simulator, &PgPool),
) -> Paid {
    let mut whim = Whim(31 + number);
    let key = format!("wait-{number}-{fate:?}");
    let asked = Wish::of(key, "/v1/top-ups", wish(fate.payment_method()));
    let asked = asked.by_many(caller, &mut whim).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    let id = asked.text("/top_up_id");
    let ended = async {
        let Some(end) = fate.end() else { return false };
        let (intent, _) = at_provider(simulator, &id).await;
        // Half of them at once, the others just when it is about to be cancelled.
        if number % 2 == 1 && fate.payment_method() == THREE_D_SECURE {
            until_cancelling(pool, &id).await;
        }
        simulator.end_waiting(&intent, end).is_ok()
    };
    let passed = async {
        if fate.payment_method() == THREE_D_SECURE {
            a_day_passes(pool, &id).await;
        }
    };
    let (in_time, ()) = tokio::join!(ended, passed);
    Paid { id, fate, in_time }
}

fn is_over(top_up: &Value) -> bool {
    ["succeeded", "failed"].iter().any(|end| top_up["status"] == *end)
}

/// It ended as the provider says, and as whoever ended it was told.
async fn ended_rightly(caller: &Caller, paid: &Paid, statuses: &BTreeMap<String, String>) -> bool {
    let found = caller.until(&format!("/v1/top-ups/{}", paid.id), is_over).await;
    let takes = matches!(paid.fate, Fate::Confirmed | Fate::Debited) && paid.in_time;
    let refused = "payment_intent_authentication_failure";
    let (codes, there): (&[&str], &[&str]) = match (paid.fate, paid.in_time) {
        (Fate::Confirmed | Fate::Debited, true) => (&[""], &["succeeded"]),
        // What was refused already may be cancelled all the same.
        (Fate::Refused, true) => (&[refused, "canceled"], &["requires_payment_method", "canceled"]),
        (Fate::Bounced, true) => (&["insufficient_funds"], &["requires_payment_method"]),
        (Fate::Abandoned | Fate::Confirmed | Fate::Refused, false) => {
            (&["canceled"], &["canceled"])
        }
        (Fate::Debited | Fate::Bounced, false) => panic!("a bank is never too late"),
        (Fate::Abandoned, true) => panic!("nobody came"),
    };
    let what = format!("{:?}, in time {}: {found}", paid.fate, paid.in_time);
    assert_eq!(found["status"] == "succeeded", takes, "{what}");
    assert!(codes.contains(&found["failure_code"].as_str().unwrap_or_default()), "{what}");
    let status = &*statuses[&paid.id];
    assert!(there.contains(&status), "{status} there; {what}");
    takes
}

#[sqlx::test(migrations = "../migrations")]
async fn whoever_confirms_cancels_and_tells_first_money_is_taken_once_or_never(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let (stage, simulator) = stage_with(options, 13).await;
    let pool = stage.commands.executor.log().pool();
    let mut customers = vec![];
    for _ in 0..CUSTOMERS {
        customers.push(stage.caller(Role::Owner).await);
    }
    simulator.set_faults(troubled());
    let all = customers.iter().zip(0..).flat_map(|(caller, number)| {
        let (simulator, pool) = (&simulator, pool);
        FATES.map(|fate| raced((caller, number), fate, (simulator, pool)))
    });
    let paid = join_all(all).await;
    // Whatever is cancelled is cancelled over the same bad line.
    for (of_one, caller) in paid.chunks(FATES.len()).zip(&customers) {
        for paid in of_one {
            caller.until(&format!("/v1/top-ups/{}", paid.id), is_over).await;
        }
    }
    let counts = simulator.counts();
    simulator.set_faults(Faults::default());
    until_settled(pool, &simulator).await;
    let head = stage.commands.executor.log().head().await.unwrap();
    stage.projector.wait_for(head, PATIENCE).await.unwrap();

    let book = simulator.book();
    let intents = book.payment_intents().iter();
    let statuses: BTreeMap<String, String> =
        intents.map(|it| (it.metadata["cairn_payment_id"].clone(), it.status.clone())).collect();
    assert_eq!(
        (statuses.len(), book.payment_intents().len()),
        (paid.len(), paid.len()),
        "each once"
    );
    let mut takings = BTreeMap::new();
    for (of_one, caller) in paid.chunks(FATES.len()).zip(&customers) {
        let mut left = 0;
        for paid in of_one {
            if ended_rightly(caller, paid, &statuses).await {
                takings.insert(paid.id.clone(), CENTS);
                left += CENTS;
            }
        }
        let balance = caller.get("/v1/balance").await;
        let posted = format!("{}.00", left / 100);
        assert_eq!(balance.text("/items/0/posted"), posted, "{}", balance.body);
    }
    let taken = book.charges().iter().filter(|charge| charge.failure.is_none());
    let taken = once(taken.map(|it| (it.metadata.clone(), it.amount)), "cairn_payment_id");
    assert_eq!(taken, takings, "taken there, and told here");
    books_agree(&stage, &simulator).await;
    all_struck(&counts);
    stage.strike().await;
    simulator.shutdown().await;
}

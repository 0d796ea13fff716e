//! The same wish over and over, at two servers that know of each other only what the database says: one effect, one answer.
//! `cargo xtask repeats --count N --seed S` does it at length.
#![allow(clippy::print_stdout, reason = "a proof tells its figures")]
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cairn_core::OrganisationId;
use cairn_stripe_simulator::{Simulator, SimulatorConfig};
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::chaos::told;
use crate::cli::Shell;
use crate::load;
use crate::mutations::{Ground, Wish, marks};
use crate::rates::{Process, serve};
use crate::support::{Answer, Caller, PATIENCE, Whim};

/// How often each wish is sent; the last time once all others are answered, and once before it with another body.
const TIMES: u64 = 20;
/// Wishes at once.
const TOGETHER: usize = 4;
const KEYS: &str = "again-";
const KINDS: [&str; 4] = ["top_up", "rent", "key", "endpoint"];
const SECRET: &str = "whsec_repeats";

/// What came of the repeats.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    /// Answered for the first time.
    fresh: u64,
    replayed: u64,
    in_flight: u64,
    other_body: u64,
    /// Fresh answers of each server.
    of: [u64; 2],
}

/// Two servers over one database, and whoever asks both.
struct Pair {
    servers: [Process; 2],
    simulator: Simulator,
    grounds: [Ground; 2],
    /// Has the directory of the servers' data.
    _shell: Shell,
}

impl Pair {
    async fn start(options: &PgConnectOptions) -> Self {
        let config =
            SimulatorConfig { webhook_secret: SECRET.to_owned(), ..SimulatorConfig::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let shell = Shell::new(options).with("STRIPE_API_BASE", &simulator.base_url);
        let shell = shell.with("STRIPE_SECRET_KEY", "sk_test_repeats");
        let shell = shell.with("STRIPE_WEBHOOK_SECRET", SECRET).with("CAIRN_RATE_LIMITS", "off");
        let shell = shell.with("CAIRN_LOG", "error");
        let made = shell.json("keys create --role owner --name repeats").await;
        let operator = shell.json("keys create --role platform_operator --name shop").await;
        let servers = [serve(&shell, "serve").await, serve(&shell, "serve").await];
        simulator.set_webhook(&format!("{}/v1/webhooks/stripe", servers[0].base), SECRET);
        let caller = |made: &Value, base: &str| Caller {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            key: made["key"].as_str().map(str::to_owned),
            organisation_id: made["organisation_id"]
                .as_str()
                .unwrap()
                .parse::<OrganisationId>()
                .unwrap(),
        };
        load::open_shop(&caller(&operator, &servers[0].base)).await;
        let grounds = servers.each_ref().map(|server| Ground::bare(caller(&made, &server.base)));
        Self { servers, simulator, grounds, _shell: shell }
    }

    fn caller(&self, at: u64) -> &Caller {
        &self.grounds[usize::try_from(at % 2).unwrap()].caller
    }

    /// One wish many times at once, at both servers; then with another body; then once more.
    async fn repeat(&self, wish: &Wish, mut whim: Whim) -> Tally {
        let mut tally = Tally { sent: TIMES, ..Tally::default() };
        let at: Vec<u64> = (0..TIMES - 2).map(|_| whim.next(2)).collect();
        let asked = at.iter().map(|at| self.caller(*at).post_as(&wish.key, &wish.path, &wish.body));
        let answers = join_all(asked).await;
        let last = wish.insist(self.caller(whim.next(2))).await;
        assert_eq!(last.header("idempotency-replayed"), "true", "{}: {}", wish.key, last.body);
        for (at, answer) in at.iter().zip(&answers) {
            match answer.status {
                409 => {
                    assert_eq!(answer.code(), "command_in_flight", "{}", answer.body);
                    tally.in_flight += 1;
                }
                _ if answer.header("idempotency-replayed") == "true" => {
                    assert_alike(wish, answer, &last);
                    tally.replayed += 1;
                }
                _ => {
                    assert_alike(wish, answer, &last);
                    tally.fresh += 1;
                    tally.of[usize::try_from(*at).unwrap()] += 1;
                }
            }
        }
        tally.replayed += 1;
        assert_eq!(tally.fresh, 1, "{}: {:?}", wish.key, statuses(&answers));
        let mut other = wish.body.clone();
        let (member, value) = match wish.kind {
            "top_up" => ("amount", "6.00"),
            "rent" => ("currency", "EUR"),
            "key" => ("role", "developer"),
            _ => ("url", "https://example.org/other"),
        };
        other[member] = json!(value);
        let refused = self.caller(whim.next(2)).post_as(&wish.key, &wish.path, &other).await;
        assert_eq!((refused.status, refused.code()), (422, "idempotency_key_reused"));
        tally.other_body += 1;
        tally
    }
}

/// A repeat says what the first answer said; a secret is said the first time only.
fn assert_alike(wish: &Wish, answer: &Answer, last: &Answer) {
    let bare = |answer: &Answer| {
        let mut body = answer.body.clone();
        for secret in ["key", "secret"] {
            body.as_object_mut().unwrap().remove(secret);
        }
        body
    };
    assert_eq!(answer.status, last.status, "{}: {}", wish.key, answer.body);
    assert_eq!(bare(answer), bare(last), "{}", wish.key);
    let place = |answer: &Answer| answer.header("cairn-position").to_owned();
    assert_eq!(place(answer), place(last), "{}", wish.key);
}

fn statuses(answers: &[Answer]) -> Vec<(u16, String)> {
    answers.iter().map(|a| (a.status, a.header("idempotency-replayed").to_owned())).collect()
}

async fn repeats(options: PgConnectOptions, count: u64, seed: u64) {
    let pair = Pair::start(&options).await;
    let wishes: Vec<Wish> = (0..count.div_ceil(TIMES))
        .map(|number| {
            let kind = KINDS[usize::try_from(number % 4).unwrap()];
            pair.grounds[0].wish(kind, &format!("{KEYS}{number}"), 0)
        })
        .collect();
    let each = wishes.iter().enumerate().map(|(number, wish)| {
        pair.repeat(wish, Whim(seed.wrapping_mul(1_000_003) + number as u64))
    });
    let tallies: Vec<Tally> = stream::iter(each).buffer_unordered(TOGETHER).collect().await;
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let by = [sum(|t| t.of[0]), sum(|t| t.of[1])];
    assert!(by[0] > 0 && by[1] > 0, "only one of the servers ever was the first: {by:?}");

    let pool = PgPool::connect_with(options).await.unwrap();
    let after = marks(&pool, &pair.grounds[0].caller, KEYS).await;
    assert_eq!(after.len(), wishes.len(), "one outcome each");
    let mut made = BTreeMap::<&str, i64>::new();
    for wish in &wishes {
        let mark = &after[&wish.key];
        assert!(mark.is_whole() && mark.accepted, "{mark:?}");
        assert_eq!((&*mark.types, mark.events), (&[wish.makes.to_owned()][..], 1), "{mark:?}");
        *made.entry(wish.makes).or_default() += 1;
    }
    for (kind, wanted) in &made {
        // The first two keys are those that ask.
        let wanted = if *kind == "api_key.created" { wanted + 2 } else { *wanted };
        assert_eq!(of_type(&pool, kind).await, wanted, "{kind}");
    }
    credited_once(&pair, &pool, made["payment.requested"]).await;
    println!(
        "{}",
        json!({
            "count": sum(|t| t.sent), "seed": seed, "keys": wishes.len(), "fresh": sum(|t| t.fresh),
            "first_at_each_server": by, "replayed": sum(|t| t.replayed), "in_flight": sum(|t| t.in_flight),
            "refused_for_another_body": sum(|t| t.other_body), "effects": made,
        })
    );
    pool.close().await;
    drop(pair.servers);
    pair.simulator.shutdown().await;
}

/// How many events there are of this type, whoever wished for them.
async fn of_type(pool: &PgPool, kind: &str) -> i64 {
    let all = "SELECT count(*) FROM events WHERE event_type = $1";
    sqlx::query_scalar(all).bind(kind).fetch_one(pool).await.unwrap()
}

/// Each top-up is charged once and in the wallet once.
async fn credited_once(pair: &Pair, pool: &PgPool, paid: i64) {
    let (mut before, mut since) = (-1, Instant::now());
    loop {
        let found = of_type(pool, "wallet.topped_up").await;
        if found >= paid {
            assert_eq!(found, paid, "credits");
            break;
        }
        if found != before {
            (before, since) = (found, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{found} credits of {paid}, and no more come");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let charges = i64::try_from(pair.simulator.book().charges().len()).unwrap();
    assert_eq!(charges, paid, "each card is charged once");
    let posted = format!("{}.00", 5 * paid);
    pair.caller(0).until("/v1/balance", |b| b["items"][0]["posted"] == *posted).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wish_that_is_sent_again_and_again_to_two_servers_has_one_effect(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    repeats(options, 800, 2_026).await;
}

#[sqlx::test(migrations = "../migrations")]
#[ignore = "long: cargo xtask repeats"]
async fn at_length(_: PgPoolOptions, options: PgConnectOptions) {
    repeats(options, told("CAIRN_REPEATS_COUNT", 100_000), told("CAIRN_REPEATS_SEED", 1)).await;
}

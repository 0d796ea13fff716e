//! Clients that hang up, on every kind of change and at every moment: what they asked for happens whole or not at all, once, and nothing
//! is left open. `cargo xtask hangups --count N --seed S` does it at length.
#![allow(clippy::print_stdout, reason = "a proof tells its figures")]
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{StreamExt as _, stream};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::chaos::told;
use crate::mutations::{Ground, KINDS, Mark, Wish, marks};
use crate::support::{Caller, PATIENCE, Stage, Whim};

const CLIENTS: u64 = 16;
/// What the keys of these wishes begin with.
const KEYS: &str = "gone-";

/// When somebody hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Somewhere in the head of the request.
    InTheHead,
    /// After the head, before a byte of the body.
    BeforeTheBody,
    /// In the middle of the body.
    InTheBody,
    /// Right after the last byte.
    AtOnce,
    /// A little later, at most 40 ms.
    Later,
    /// When the answer begins to come, without reading it.
    Answered,
}

const MOMENTS: [Moment; 8] = [
    Moment::InTheHead,
    Moment::BeforeTheBody,
    Moment::InTheBody,
    Moment::AtOnce,
    Moment::AtOnce,
    Moment::Later,
    Moment::Later,
    Moment::Answered,
];

impl Moment {
    fn is_whole(self) -> bool {
        matches!(self, Self::AtOnce | Self::Later | Self::Answered)
    }
}

/// A wish that somebody did not wait for.
struct Left {
    wish: Wish,
    moment: Moment,
    /// Whether the answer had begun to come.
    answered: bool,
    closed_micros: i64,
}

#[allow(
    clippy::disallowed_methods,
    reason = "it is held against the database's clock of the same machine"
)]
fn micros_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// Sends as much as the moment allows, and closes without reading.
fn send_and_leave(caller: &Caller, wish: Wish, whim: &mut Whim) -> Left {
    let moment = MOMENTS[usize::try_from(whim.next(8)).unwrap()];
    let body = wish.body.to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: cairn\r\nauthorization: Bearer {}\r\nidempotency-key: {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        wish.path,
        caller.key.as_ref().unwrap(),
        wish.key,
        body.len()
    );
    let mut within = |text: &str| usize::try_from(whim.next(text.len() as u64)).unwrap();
    let sent = match moment {
        Moment::InTheHead => within(&head),
        Moment::BeforeTheBody => head.len(),
        Moment::InTheBody => head.len() + within(&body),
        Moment::AtOnce | Moment::Later | Moment::Answered => head.len() + body.len(),
    };
    let request = head + &body;
    let mut stream = TcpStream::connect(caller.base.trim_start_matches("http://")).unwrap();
    stream.write_all(&request.as_bytes()[..sent]).unwrap();
    if moment == Moment::Later {
        std::thread::sleep(Duration::from_micros(whim.next(40_000)));
    }
    stream.set_nonblocking(moment != Moment::Answered).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let answered = matches!(stream.peek(&mut [0]), Ok(1));
    assert!(answered || moment != Moment::Answered, "{} is never answered", wish.key);
    let closed_micros = micros_now();
    drop(stream);
    Left { wish, moment, answered, closed_micros }
}

/// So many clients, one wish after another each.
fn crowd(ground: &Ground, count: u64, seed: u64) -> Vec<Left> {
    std::thread::scope(|scope| {
        let client = |client: u64| {
            let mut whim = Whim(seed.wrapping_mul(CLIENTS) + client);
            let mine = (0..count).filter(move |number| number % CLIENTS == client);
            mine.map(move |number| {
                let wish = ground.any(&format!("{KEYS}{number}"), usize::try_from(number).unwrap());
                send_and_leave(&ground.caller, wish, &mut whim)
            })
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || client(number).collect::<Vec<_>>()))
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Connections of the server whose clients have gone; a request in one of them may not have been read yet.
fn abandoned(caller: &Caller) -> usize {
    const CLOSE_WAIT: &str = "08";
    let (_, port) = caller.base.rsplit_once(':').unwrap();
    let port = format!(":{:04X}", port.parse::<u16>().unwrap());
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.len() > 3 && words[1].ends_with(&port) && words[3] == CLOSE_WAIT
    };
    sockets.lines().filter(is_one).count()
}

/// Waits until the server does nothing for anybody who was here, and will not begin to.
async fn quiet(stage: &Stage, caller: &Caller) {
    let deadline = Instant::now() + PATIENCE;
    while abandoned(caller) > 0 || stage.api().in_flight.count() > 0 {
        assert!(Instant::now() < deadline, "something is on its way for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Each wish is asked for again: whether it had happened is what the log says, and then it has happened once. How many had.
async fn ask_again(ground: &Ground, left: &[Left], before: &BTreeMap<String, Mark>) -> usize {
    let again = stream::iter(left).map(|left| async move {
        let (caller, wish) = (&ground.caller, &left.wish);
        let told = caller.get(&format!("/v1/commands/{}", wish.key)).await;
        let known = before.contains_key(&wish.key);
        assert_eq!(told.status == 200, known, "{} {}: {}", wish.kind, wish.key, told.body);
        assert!(!known || left.moment.is_whole(), "{}: half a request had an effect", wish.key);
        let answer = wish.insist(caller).await;
        let replayed = answer.header("idempotency-replayed") == "true";
        assert_eq!(replayed, known, "{} {}: {}", wish.kind, wish.key, answer.body);
        usize::from(known)
    });
    again.buffer_unordered(8).collect::<Vec<_>>().await.into_iter().sum()
}

/// Every wish stands once, whole; what had happened before is as it was.
fn compare(left: &[Left], before: &BTreeMap<String, Mark>, after: &BTreeMap<String, Mark>) {
    assert_eq!(after.len(), left.len(), "one outcome each");
    let half: Vec<_> = before.values().chain(after.values()).filter(|m| !m.is_whole()).collect();
    assert!(half.is_empty(), "half effects: {half:?}");
    for Left { wish, .. } in left {
        let mark = &after[&wish.key];
        assert!(before.get(&wish.key).is_none_or(|known| known == mark), "{}: {mark:?}", wish.key);
        if mark.accepted {
            assert_eq!((&*mark.types, mark.events), (&[wish.makes.to_owned()][..], 1), "{mark:?}");
        }
    }
    for kind in KINDS {
        let accepted = left.iter().filter(|l| l.wish.kind == kind && after[&l.wish.key].accepted);
        assert!(accepted.count() > 0, "no {kind} was ever taken");
    }
}

/// How many connections of the pool can be had at once, while the server has those that it always has.
async fn to_be_had(pool: &PgPool) -> usize {
    let mut all = vec![];
    while let Ok(Ok(one)) = tokio::time::timeout(Duration::from_secs(1), pool.acquire()).await {
        all.push(one);
    }
    all.len()
}

/// The most of a few looks, since the server may be busy during one.
async fn most_to_be_had(pool: &PgPool) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let looks = [to_be_had(pool).await, to_be_had(pool).await, to_be_had(pool).await];
        let most = looks.into_iter().max().unwrap_or(0);
        if most > 4 {
            return most;
        }
        assert!(Instant::now() < deadline, "hardly any connection can be had: {most}");
    }
}

/// Nothing is left in a transaction, and as many connections as before can be had at once.
async fn all_connections_are_back(pool: &PgPool, before: usize) {
    let open: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
         AND state LIKE 'idle in transaction%' AND now() - state_change > interval '1 second'",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(open, 0, "a connection was left in a transaction");
    let deadline = Instant::now() + PATIENCE;
    while to_be_had(pool).await < before {
        assert!(Instant::now() < deadline, "of {before} connections some never come back");
    }
}

/// Cards are charged and wallets credited once for each top-up that was taken.
async fn the_books_agree(stage: &Stage, ground: &Ground, after: &BTreeMap<String, Mark>) {
    let taken =
        |mark: &&Mark| mark.accepted && mark.types.contains(&"payment.requested".to_owned());
    // And the one that the ground was prepared with.
    let paid = 1 + after.values().filter(taken).count();
    let pool = stage.commands.executor.log().pool();
    let credits = "SELECT count(*) FROM events WHERE event_type = 'wallet.topped_up'";
    let (deadline, wanted) = (Instant::now() + PATIENCE * 5, i64::try_from(paid).unwrap());
    loop {
        let found: i64 = sqlx::query_scalar(credits).fetch_one(pool).await.unwrap();
        if found == wanted {
            break;
        }
        assert!(
            found < wanted && Instant::now() < deadline,
            "{found} credits for {wanted} top-ups"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let simulator = &stage.provider.simulator;
    assert_eq!(simulator.book().charges().len(), paid, "each card is charged once");
    let off: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT 1 FROM ledger_postings GROUP BY position, currency HAVING sum(amount_nanos) <> 0) AS off",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(off, 0, "the books are off");
    assert_eq!(ground.caller.get("/v1/balance").await.status, 200);
}

async fn hang_up(options: PgConnectOptions, count: u64, seed: u64) {
    let stage = Stage::set(options).await;
    let ground = Ground::prepare(&stage).await;
    let pool = stage.commands.executor.log().pool().clone();
    let connections = most_to_be_had(&pool).await;
    let handle = tokio::task::spawn_blocking(move || {
        let left = crowd(&ground, count, seed);
        (ground, left)
    });
    let (ground, left) = handle.await.unwrap();
    quiet(&stage, &ground.caller).await;
    let before = marks(&pool, &ground.caller, KEYS).await;
    all_connections_are_back(&pool, connections).await;
    let outlived = ask_again(&ground, &left, &before).await;
    let after = marks(&pool, &ground.caller, KEYS).await;
    compare(&left, &before, &after);
    the_books_agree(&stage, &ground, &after).await;
    all_connections_are_back(&pool, connections).await;
    // It bit: some had gone before what they asked for was written, and it was; some when the answer was already there.
    let gone_before = |l: &&Left| {
        before.get(&l.wish.key).is_some_and(|mark| l.closed_micros < mark.recorded_micros)
    };
    let (early, late) = (
        left.iter().filter(gone_before).count(),
        left.iter().filter(|l| l.answered && before.contains_key(&l.wish.key)).count(),
    );
    assert!(early > 0, "nobody hung up before the commit (seed {seed})");
    assert!(late > 0, "nobody hung up after the commit (seed {seed})");
    let mut moments = BTreeMap::<String, usize>::new();
    for l in &left {
        *moments.entry(format!("{:?}", l.moment)).or_default() += 1;
    }
    println!(
        "{}",
        json!({
            "count": count, "seed": seed, "moments": moments, "happened_all_the_same": outlived,
            "hung_up_before_the_commit": early, "hung_up_after_the_answer": late,
            "half_effects": 0, "left_in_a_transaction": 0, "connections": connections,
        })
    );
    stage.strike().await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wish_happens_once_whoever_waits_for_the_answer(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    hang_up(options, 240, 2_026).await;
}

#[sqlx::test(migrations = "../migrations")]
#[ignore = "long: cargo xtask hangups"]
async fn at_length(_: PgPoolOptions, options: PgConnectOptions) {
    hang_up(options, told("CAIRN_HANGUPS_COUNT", 20_000), told("CAIRN_HANGUPS_SEED", 1)).await;
}

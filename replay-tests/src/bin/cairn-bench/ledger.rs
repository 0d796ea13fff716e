//! `ledger`: how many transfers a second the whole path takes with every constraint of the books on. Each is one command, one
//! event, one journal transaction, its postings, and the guarded balance of each wallet that it touches.
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_cluster::Cluster;
use cairn_commands::Executor;
use cairn_core::chart::{stripe, usage, wallet_paid};
use cairn_core::{Currency, JournalTransaction, OrganisationId, PaymentId, Posting, Timestamp};
use cairn_ledger::{TopUp, Wallet, WalletCommand, wallet_id};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::measure::{Cell, measure};
use crate::note::{self, Note, TakeNote};
use crate::stage::{self, Settings, make_segments, open_cairn, say, settle};
use crate::transfer::Till;
use crate::{Failure, Load, floor};

const CURRENCY: Currency = Currency::USD;
const CENT: i64 = 10_000_000;
/// What each wallet has before the pairs begin: more than they can move.
const FUNDS: i64 = 1_000_000_000 * CENT;
/// Wallets that one journal transaction credits.
const SPREAD: u64 = 100;

/// One run.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub server: Settings,
    pub seconds_per_cell: f64,
    /// The same path without books: one event of about as many bytes.
    pub event_only: Vec<Cell>,
    /// Between one of 1,000 wallets and one hot platform account.
    pub hot_1000_wallets: Vec<Cell>,
    /// The same with 100 wallets, so that callers meet at them.
    pub hot_100_wallets: Vec<Cell>,
    /// From one of 1,000 wallets to another, both guarded.
    pub pairs: Vec<Cell>,
    /// One journal transaction that credits 100 wallets; counted in journal transactions.
    pub spread_100: Vec<Cell>,
    /// Top-ups of 1,000 wallets decided by the wallet's own code, whose streams the callers share.
    pub wallet_top_ups: Vec<Cell>,
    /// The rows of such transfers, by one connection that knows nothing; counted in transfers.
    pub own_rows_256_insert: Vec<Cell>,
    /// What the books say of themselves in the end.
    pub books: Books,
    /// Other ledgers on the same cluster, asked for the transfers of `hot_1000_wallets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Peers>,
}

/// What `replay-tests/peers` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Peers {
    /// One transfer per call.
    pub cala_ledger: Vec<Cell>,
    /// A hundred per call; counted in transfers.
    pub cala_ledger_of_100: Vec<Cell>,
}

/// The books after all of it.
#[derive(Debug, Serialize)]
pub struct Books {
    pub journal_transactions: i64,
    pub postings: i64,
    /// Currencies whose postings do not sum to zero. None.
    pub unbalanced: i64,
    /// Wallets whose guarded balance is not the sum of their postings. None.
    pub wrong_balances: i64,
}

pub async fn run(
    cluster: &Cluster,
    callers: &[usize],
    span: Duration,
) -> Result<Measured, Failure> {
    let log = open_cairn(cluster).await?;
    let owner = stage::owner(cluster, "cairn").await?;
    allow_pairs(&owner).await?;
    let bench =
        Bench { executor: Executor::new(log.clone()), owner, span, cells: AtomicU64::new(0) };
    make_segments(&bench.owner).await?;
    say("funding 1,000 wallets");
    bench.fund().await?;
    let mut measured = Measured {
        server: Settings::read(log.pool()).await?,
        seconds_per_cell: span.as_secs_f64(),
        event_only: vec![],
        hot_1000_wallets: vec![],
        hot_100_wallets: vec![],
        pairs: vec![],
        spread_100: vec![],
        wallet_top_ups: vec![],
        own_rows_256_insert: vec![],
        books: Books { journal_transactions: 0, postings: 0, unbalanced: 0, wrong_balances: 0 },
        peers: None,
    };
    for &callers in callers {
        say(&format!("{callers} callers"));
        measured.event_only.push(bench.events(callers).await?);
        measured.hot_1000_wallets.push(bench.tills(callers, "usage", hot_1000).await?);
        measured.hot_100_wallets.push(bench.tills(callers, "usage", hot_100).await?);
        measured.pairs.push(bench.tills(callers, "pair", pair).await?);
        measured.spread_100.push(bench.tills(callers, "top_up", spread).await?);
        measured.wallet_top_ups.push(bench.top_ups(callers).await?);
    }
    say("the rows of transfers without Cairn");
    measured.own_rows_256_insert.push(floor::rows(cluster, true, span).await?);
    measured.books = books(&bench.owner).await?;
    bench.executor.drain().await;
    log.close().await;
    bench.owner.close().await;
    if measured.books.unbalanced + measured.books.wrong_balances > 0 {
        return Err(format!("the books are wrong: {:?}", measured.books).into());
    }
    Ok(measured)
}

/// Runs the program that measures other ledgers, in a database of its own.
pub fn peers(cluster: &Cluster, program: &Path, load: &Load) -> Result<Peers, Failure> {
    say("other ledgers");
    cluster.create_database("peers")?;
    let callers: Vec<_> = load.callers.iter().map(usize::to_string).collect();
    let mut run = Command::new(program);
    run.args(["--url", &cluster.url("peers"), "--seconds", &load.seconds.to_string()]);
    let said = run.args(["--callers", &callers.join(",")]).stderr(Stdio::inherit()).output()?;
    if !said.status.success() {
        return Err(format!("{}: {}", program.display(), said.status).into());
    }
    Ok(serde_json::from_slice(&said.stdout)?)
}

/// No product of ours moves money from wallet to wallet, so the books refuse it; here it is allowed.
async fn allow_pairs(owner: &PgPool) -> Result<(), Failure> {
    let kind = "INSERT INTO ledger_kinds (kind, debit, credit) VALUES ('pair', 'wallet:paid', 'wallet:paid')";
    sqlx::query(kind).execute(owner).await?;
    Ok(())
}

async fn books(owner: &PgPool) -> Result<Books, Failure> {
    let (journal_transactions, postings, unbalanced, wrong_balances) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM ledger_journal_transactions), (SELECT count(*) FROM ledger_postings),
           (SELECT count(*) FROM (SELECT FROM ledger_postings GROUP BY currency HAVING sum(amount_nanos) <> 0) AS u),
           (SELECT count(*) FROM ledger_balances b
            LEFT JOIN (SELECT account, sum(amount_nanos) AS posted FROM ledger_postings GROUP BY account) AS p USING (account)
            WHERE b.posted_nanos <> -coalesce(p.posted, 0))",
    )
    .fetch_one(owner)
    .await?;
    Ok(Books { journal_transactions, postings, unbalanced, wrong_balances })
}

struct Bench {
    executor: Executor,
    owner: PgPool,
    span: Duration,
    /// Begun so far; names what each makes.
    cells: AtomicU64,
}

impl Bench {
    async fn fund(&self) -> Result<(), Failure> {
        for wallet in 0..1_000 {
            top_up(&self.executor, (wallet, u128::from(wallet)), FUNDS, format!("fund-{wallet}"))
                .await?;
        }
        Ok(())
    }

    async fn events(&self, callers: usize) -> Result<Cell, Failure> {
        settle(&self.owner).await?;
        let executor = self.executor.clone();
        measure((callers, 1), self.span, move |caller, number| {
            let executor = executor.clone();
            async move {
                let context = stage::context(format!("event-{callers}-{caller}-{number}"));
                let command = TakeNote { number, text: note::text() };
                let id = format!("note_{callers}_{caller}_{}", number / 16);
                executor.execute::<Note>(&id, command, &context, serde_json::Value::Null).await?;
                Ok(())
            }
        })
        .await
    }

    async fn top_ups(&self, callers: usize) -> Result<Cell, Failure> {
        settle(&self.owner).await?;
        let executor = self.executor.clone();
        measure((callers, 1), self.span, move |caller, number| {
            let executor = executor.clone();
            async move {
                let name = format!("top_up-{callers}-{caller}-{number}");
                let draw = drawn(&name);
                top_up(&executor, (draw % 1_000, payment(draw, number)), CENT, name).await
            }
        })
        .await
    }

    /// Journal transactions of one kind, each over wallets drawn by chance.
    async fn tills(
        &self,
        callers: usize,
        kind: &'static str,
        legs: fn(u64) -> Vec<Posting>,
    ) -> Result<Cell, Failure> {
        let cell = self.cells.fetch_add(1, Ordering::Relaxed);
        settle(&self.owner).await?;
        let executor = self.executor.clone();
        measure((callers, 1), self.span, move |caller, number| {
            let executor = executor.clone();
            async move {
                let name = format!("{cell}-{callers}-{caller}-{number}");
                let draw = drawn(&name);
                let journal = JournalTransaction {
                    kind: kind.to_owned(),
                    source: "bench".to_owned(),
                    source_id: name.clone(),
                    currency: CURRENCY,
                    occurred_at: noon(),
                    reverses: None,
                    postings: legs(draw),
                };
                let id = format!("till_{cell}_{caller}");
                let context = stage::context(name);
                executor.execute::<Till>(&id, journal, &context, serde_json::Value::Null).await?;
                Ok(())
            }
        })
        .await
    }
}

async fn top_up(
    executor: &Executor,
    (wallet, payment): (u64, u128),
    amount_nanos: i64,
    name: String,
) -> Result<(), Failure> {
    let organisation_id = organisation(wallet);
    let command = WalletCommand::TopUp(TopUp {
        organisation_id,
        currency: CURRENCY,
        payment_id: PaymentId::from_bits(payment),
        amount_nanos,
        charge_id: name.clone(),
        at: noon(),
    });
    let id = wallet_id(organisation_id, CURRENCY);
    let context = stage::context(name);
    executor.execute::<Wallet>(&id, command, &context, serde_json::Value::Null).await?;
    Ok(())
}

fn organisation(wallet: u64) -> OrganisationId {
    OrganisationId::from_bits(u128::from(wallet) + 1)
}

fn wallet(number: u64) -> String {
    wallet_paid(organisation(number), CURRENCY)
}

/// No payment twice: what was drawn, and the number of the draw.
fn payment(draw: u64, number: u64) -> u128 {
    u128::from(draw) << 64 | u128::from(number) | 1 << 63
}

fn leg(account: String, amount_nanos: i64) -> Posting {
    Posting { account, amount_nanos }
}

fn noon() -> Timestamp {
    Timestamp::from_micros(1_795_780_800_000_000)
}

/// A name as a number without a pattern: the same run draws the same wallets.
fn drawn(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

fn hot(draw: u64, wallets: u64) -> Vec<Posting> {
    vec![leg(wallet(draw % wallets), CENT), leg(usage("compute", CURRENCY), -CENT)]
}

fn hot_1000(draw: u64) -> Vec<Posting> {
    hot(draw, 1_000)
}

fn hot_100(draw: u64) -> Vec<Posting> {
    hot(draw, 100)
}

fn pair(draw: u64) -> Vec<Posting> {
    let from = draw % 1_000;
    let to = (from + 1 + (draw >> 20) % 999) % 1_000;
    vec![leg(wallet(from), CENT), leg(wallet(to), -CENT)]
}

fn spread(draw: u64) -> Vec<Posting> {
    let to = (0..SPREAD).map(|n| leg(wallet((draw + n) % 1_000), -CENT));
    let all = i64::try_from(SPREAD).unwrap_or(0) * CENT;
    std::iter::once(leg(stripe(CURRENCY), all)).chain(to).collect()
}

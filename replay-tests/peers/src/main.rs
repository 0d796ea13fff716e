//! Other ledgers that keep their books in PostgreSQL, asked for the same transfers: from one of 1,000 wallets to one hot account.
//!
//! `cala-ledger` 0.33: `post_transaction`, and `post_transactions` with 100 of them, each through a template of two entries, with the
//! balances of both accounts kept. It guards no floor unless a velocity limit is set, and none is here.
#[path = "../../src/bin/cairn-bench/measure.rs"]
mod measure;

use std::time::Duration;

use cala_ledger::account::NewAccount;
use cala_ledger::journal::NewJournal;
use cala_ledger::posting::PostingInput;
use cala_ledger::tx_template::{
    NewParamDefinition, NewTxTemplate, NewTxTemplateEntry, NewTxTemplateTransaction, ParamDataType,
    Params,
};
use cala_ledger::{AccountId, CalaLedger, CalaLedgerConfig, JournalId, TransactionId, job};
use clap::Parser;
use measure::{Cell, measure};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TEMPLATE: &str = "TRANSFER";
const WALLETS: usize = 1_000;
/// Transfers of one call that takes many.
const BATCH: usize = 100;

/// Measures other ledgers in an empty database.
#[derive(Debug, Parser)]
struct Peers {
    /// The database.
    #[arg(long)]
    url: String,
    /// Seconds of each cell.
    #[arg(long)]
    seconds: f64,
    /// Numbers of concurrent callers.
    #[arg(long, value_delimiter = ',')]
    callers: Vec<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let peers = Peers::parse();
    let span = Duration::from_secs_f64(peers.seconds);
    let cala = Cala::open(&peers.url).await?;
    let (mut single, mut batch) = (vec![], vec![]);
    for &callers in &peers.callers {
        single.push(cala.single(callers, span).await?);
        batch.push(cala.batch(callers, span).await?);
    }
    println!("{}", serde_json::json!({ "cala_ledger": single, "cala_ledger_of_100": batch }));
    Ok(())
}

/// A ledger with its accounts.
#[derive(Clone)]
struct Cala {
    ledger: CalaLedger,
    journal: JournalId,
    hot: AccountId,
    wallets: std::sync::Arc<Vec<AccountId>>,
}

impl Cala {
    async fn open(url: &str) -> Result<Self, Failure> {
        let pool = PgPoolOptions::new()
            .max_connections(32)
            .acquire_timeout(Duration::from_secs(120))
            .connect(url)
            .await?;
        let config = CalaLedgerConfig::builder().pool(pool.clone()).exec_migrations(true).build()?;
        // The jobs keep balances of account sets, of which there are none.
        let jobs = job::JobSvcConfig::builder().pool(pool.clone()).build()?;
        let mut jobs = job::Jobs::init(jobs).await?;
        let ledger = CalaLedger::init(config, &mut jobs).await?;
        let journal = NewJournal::builder().id(JournalId::new()).name("bench").build();
        let journal = ledger.journals().create(journal).await?.id();
        let hot = account(&ledger, "hot").await?;
        let mut wallets = vec![];
        for number in 0..WALLETS {
            wallets.push(account(&ledger, &format!("wallet-{number}")).await?);
        }
        ledger.tx_templates().create(template()?).await?;
        Ok(Self { ledger, journal, hot, wallets: wallets.into() })
    }

    fn transfer(&self, draw: usize) -> Params {
        let mut params = Params::new();
        params.insert("journal_id", self.journal.to_string());
        params.insert("sender", self.wallets[draw % WALLETS]);
        params.insert("recipient", self.hot);
        params
    }

    async fn single(&self, callers: usize, span: Duration) -> Result<Cell, Failure> {
        let cala = self.clone();
        measure((callers, 1), span, move |caller, number| {
            let cala = cala.clone();
            async move {
                let params = cala.transfer(drawn(caller, number));
                cala.ledger.post_transaction(TransactionId::new(), TEMPLATE, params).await?;
                Ok(())
            }
        })
        .await
    }

    async fn batch(&self, callers: usize, span: Duration) -> Result<Cell, Failure> {
        let cala = self.clone();
        measure((callers, BATCH), span, move |caller, number| {
            let cala = cala.clone();
            async move {
                let from = drawn(caller, number);
                let postings = (from..from + BATCH).map(|draw| {
                    PostingInput::new(TransactionId::new(), TEMPLATE, cala.transfer(draw))
                });
                cala.ledger.post_transactions(postings.collect()).await?;
                Ok(())
            }
        })
        .await
    }
}

fn drawn(caller: usize, number: u64) -> usize {
    (caller * 7_919 + usize::try_from(number).unwrap_or(0) * 104_729) % WALLETS
}

async fn account(ledger: &CalaLedger, code: &str) -> Result<AccountId, Failure> {
    let account = NewAccount::builder().id(Uuid::now_v7()).name(code).code(code).build();
    Ok(ledger.accounts().create(account).await?.id())
}

fn template() -> Result<NewTxTemplate, Failure> {
    let uuid = |name: &str| {
        NewParamDefinition::builder().name(name).r#type(ParamDataType::Uuid).build()
    };
    let entry = |kind: &str, account: &str, direction: &str| {
        NewTxTemplateEntry::builder()
            .entry_type(kind)
            .account_id(account)
            .layer("SETTLED")
            .direction(direction)
            .units("decimal('0.01')")
            .currency("'USD'")
            .build()
    };
    Ok(NewTxTemplate::builder()
        .id(Uuid::now_v7())
        .code(TEMPLATE)
        .params(vec![uuid("journal_id")?, uuid("sender")?, uuid("recipient")?])
        .transaction(
            NewTxTemplateTransaction::builder()
                .effective("date()")
                .journal_id("params.journal_id")
                .build()?,
        )
        .entries(vec![
            entry("'DEBIT'", "params.sender", "DEBIT")?,
            entry("'CREDIT'", "params.recipient", "CREDIT")?,
        ])
        .build())
}

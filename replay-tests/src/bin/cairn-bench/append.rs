//! `append`: how many commands a second the executor and the log take, beside stock postgres-es and plain INSERTs, each in a
//! database of its own on the same cluster.
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cairn_cluster::Cluster;
use cairn_commands::Executor;
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool};

use crate::Failure;
use crate::floor;
use crate::measure::{Cell, measure};
use crate::note::{self, Note, TakeNote};
use crate::plain;
use crate::stage::{self, Settings, make_segments, open_cairn, say, settle};

/// Commands that one stream takes before the caller begins another.
const STREAM: u64 = 16;
/// Connections of a rival that needs one per caller.
const CONNECTIONS: u32 = 32;

/// One run.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub server: Settings,
    pub event_bytes: usize,
    pub seconds_per_cell: f64,
    pub cairn: Vec<Cell>,
    pub postgres_es: Vec<Cell>,
    pub single_row_insert: Vec<Cell>,
    /// By one connection, and by two.
    pub unnest_256_insert: Vec<Cell>,
    /// Cairn's own rows, by one connection that knows nothing.
    pub own_rows_256_insert: Vec<Cell>,
}

pub async fn run(
    cluster: &Cluster,
    callers: &[usize],
    span: Duration,
) -> Result<Measured, Failure> {
    let event = note::NoteEvent::Taken {
        number: 0,
        author: "org_01J0000000000000000000000".to_owned(),
        text: note::text(),
    };
    let log = open_cairn(cluster).await?;
    let mut measured = Measured {
        server: Settings::read(log.pool()).await?,
        event_bytes: serde_json::to_string(&event)?.len(),
        seconds_per_cell: span.as_secs_f64(),
        cairn: vec![],
        postgres_es: vec![],
        single_row_insert: vec![],
        unnest_256_insert: vec![],
        own_rows_256_insert: vec![],
    };
    let stock = open_stock(cluster, "stock").await?;
    let rows = open_stock(cluster, "plain").await?;
    let executor = Executor::new(log.clone());
    make_segments(&rows).await?;
    for &callers in callers {
        say(&format!("{callers} callers"));
        settle(&rows).await?;
        measured.cairn.push(through_cairn(&executor, callers, span).await?);
        settle(&rows).await?;
        measured.postgres_es.push(through_postgres_es(&stock, callers, span).await?);
        settle(&rows).await?;
        measured.single_row_insert.push(plain::single_rows(&rows, callers, span).await?);
    }
    for writers in [1, 2] {
        say(&format!("{writers} writers of 256 rows"));
        settle(&rows).await?;
        measured.unnest_256_insert.push(plain::unnest(&rows, writers, span).await?);
    }
    say("Cairn's rows without Cairn");
    measured.own_rows_256_insert.push(floor::rows(cluster, false, span).await?);
    executor.drain().await;
    log.close().await;
    stock.close().await;
    rows.close().await;
    Ok(measured)
}

async fn open_stock(cluster: &Cluster, name: &str) -> Result<PgPool, Failure> {
    cluster.create_database(name)?;
    let options = PgConnectOptions::from_str(&cluster.url(name))?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(60))
        .connect_with(options)
        .await?;
    pool.execute(plain::SCHEMA).await?;
    Ok(pool)
}

fn stream(callers: usize, caller: usize, number: u64) -> String {
    format!("note_{callers}_{caller}_{}", number / STREAM)
}

async fn through_cairn(
    executor: &Executor,
    callers: usize,
    span: Duration,
) -> Result<Cell, Failure> {
    let executor = executor.clone();
    measure((callers, 1), span, move |caller, number| {
        let executor = executor.clone();
        async move {
            let context = stage::context(format!("bench-{callers}-{caller}-{number}"));
            let command = TakeNote { number, text: note::text() };
            let id = stream(callers, caller, number);
            executor.execute::<Note>(&id, command, &context, serde_json::Value::Null).await?;
            Ok(())
        }
    })
    .await
}

async fn through_postgres_es(
    pool: &PgPool,
    callers: usize,
    span: Duration,
) -> Result<Cell, Failure> {
    let cqrs = Arc::new(postgres_es::postgres_cqrs::<Note>(pool.clone(), vec![], ()));
    measure((callers, 1), span, move |caller, number| {
        let cqrs = Arc::clone(&cqrs);
        async move {
            let metadata = HashMap::from([
                ("actor".to_owned(), "bench".to_owned()),
                ("correlation_id".to_owned(), "bench".to_owned()),
                ("command_id".to_owned(), format!("bench-{callers}-{caller}-{number}")),
            ]);
            let command = TakeNote { number, text: note::text() };
            let id = stream(callers, caller, number);
            cqrs.execute_with_metadata(&id, command, metadata).await?;
            Ok(())
        }
    })
    .await
}

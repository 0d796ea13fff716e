//! Somebody who reads the log while everything around it breaks: sees every position once, in order, and nothing that is not there
//! in the end.
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::house::House;

const NEXT: &str = "SELECT position, command_id, aggregate_id || '/' || sequence FROM events
    WHERE position > $1 ORDER BY position LIMIT 500";
const ALL: &str =
    "SELECT position, command_id, aggregate_id || '/' || sequence FROM events ORDER BY position";

type Row = (i64, String, String);

pub struct Reader {
    stop: Arc<AtomicBool>,
    task: JoinSet<Seen>,
}

/// What was read.
#[derive(Default)]
pub struct Seen {
    rows: Vec<Row>,
    pub events: usize,
    pub reconnected: usize,
}

impl Reader {
    pub async fn start(house: &House) -> Self {
        let options = PgConnectOptions::from_str(&house.cluster().await.url("cairn")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut task = JoinSet::new();
        task.spawn(read(options, Arc::clone(&stop)));
        Self { stop, task }
    }

    /// What was read until now.
    pub async fn end(mut self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        let mut seen = self.task.join_next().await.unwrap().unwrap();
        seen.events = seen.rows.len();
        seen
    }
}

async fn read(options: PgConnectOptions, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::SeqCst) {
        let connected = PgConnection::connect_with(&options).await;
        if let Ok(mut db) = connected {
            while !stop.load(Ordering::SeqCst) {
                let last = seen.rows.last().map_or(0, |row| row.0);
                match sqlx::query_as::<_, Row>(NEXT).bind(last).fetch_all(&mut db).await {
                    Ok(rows) => seen.take(rows),
                    Err(_) => break,
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            seen.reconnected += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen
}

impl Seen {
    fn take(&mut self, rows: Vec<Row>) {
        for row in rows {
            let wanted = self.rows.last().map_or(1, |last| last.0 + 1);
            assert_eq!(row.0, wanted, "a position was skipped");
            self.rows.push(row);
        }
    }

    /// Holds what was read against the log as it is now.
    pub async fn compare(self, house: &House) {
        assert!(self.events > 0 && self.reconnected > 0, "the reader met no fault");
        let options = PgConnectOptions::from_str(&house.cluster().await.url("cairn")).unwrap();
        let mut db = PgConnection::connect_with(&options).await.unwrap();
        let log: Vec<Row> = sqlx::query_as(ALL).fetch_all(&mut db).await.unwrap();
        assert!(log.len() >= self.rows.len(), "what was read is gone");
        for (read, stands) in self.rows.iter().zip(&log) {
            assert_eq!(read, stands, "a position was given to another event");
        }
        db.close().await.unwrap();
    }
}

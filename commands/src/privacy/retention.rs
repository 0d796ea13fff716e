//! How long what is not the log is kept: one table of rules, and who removes what is past its time. Nobody else does.
//!
//! Each run removes what every rule lets go, and writes down how much, in one transaction under a lease: what two processes began at once
//! is done by one of them, and a run that breaks off has removed nothing.
use std::collections::BTreeMap;

use cairn_core::Timestamp;
use serde::Serialize;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::processes::store::{from_sql, to_sql};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// For how long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// So many seconds from an instant on that stands in each row of a table, in the rows that are over.
    Seconds {
        /// How many.
        seconds: i64,
        /// Where.
        table: &'static str,
        /// The column with the instant. Rows without one are not over.
        from: &'static str,
    },
    /// As long as the log; what is personal in it ends with its subject's key.
    WithTheLog,
    /// For ever, and why.
    ForEver(&'static str),
}

/// What is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, for example `tickets`.
    pub name: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// For how long.
    pub keeps: Keeps,
}

const fn after(
    name: &'static str,
    what: &'static str,
    (seconds, table, from): (i64, &'static str, &'static str),
) -> Rule {
    Rule { name, what, keeps: Keeps::Seconds { seconds, table, from } }
}

const fn kept(name: &'static str, what: &'static str, keeps: Keeps) -> Rule {
    Rule { name, what, keeps }
}

/// What is over by the database's clock is surely over by ours as well.
const BRIEF: i64 = 10 * MINUTE;

/// Every rule.
pub const RULES: &[Rule] = &[
    after(
        "tickets",
        "one-time tickets, after they are over",
        (BRIEF, "edge_tickets", "expires_at"),
    ),
    after(
        "device_codes",
        "programs that ask to be let in, after their codes are over",
        (BRIEF, "edge_devices", "expires_at"),
    ),
    after(
        "quota_windows",
        "how often somebody asked, after the window",
        (BRIEF, "edge_quotas", "ends_at"),
    ),
    after(
        "neighbour_standings",
        "how a server saw its neighbours, after its last word",
        (DAY, "neighbour_standings", "told_at"),
    ),
    after(
        "session_uses",
        "when a session was last used",
        (30 * DAY, "identity_session_uses", "used_at"),
    ),
    after(
        "deliveries",
        "webhooks to customers, after they arrived or were given up",
        (30 * DAY, "notify_deliveries", "finished_at"),
    ),
    after(
        "letters",
        "letters and other steps of processes, after they are done",
        (7 * DAY, "process_intents", "finished_at"),
    ),
    after("retention_runs", "what these rules removed", (400 * DAY, "retention_runs", "ran_at")),
    kept("people", "accounts, sessions, one-time codes, consents, memberships", Keeps::WithTheLog),
    kept("inbox", "notices to customers, and what was read of them", Keeps::WithTheLog),
    kept("audit_trail", "who did what, when and from where", Keeps::WithTheLog),
    kept(
        "idempotency",
        "the first outcome of every wish, without its words",
        Keeps::ForEver("a repeat must be answered alike"),
    ),
    kept(
        "provider_webhooks",
        "what the payment provider sent",
        Keeps::ForEver("it is evidence of money that moved"),
    ),
    kept("books", "journal, postings and balances", Keeps::ForEver("the law wants books")),
];

impl Rule {
    /// For how long, in words.
    #[must_use]
    pub fn time(&self) -> String {
        match self.keeps {
            Keeps::Seconds { seconds: DAY, .. } => "1 day".to_owned(),
            Keeps::Seconds { seconds, .. } if seconds % DAY == 0 => {
                format!("{} days", seconds / DAY)
            }
            Keeps::Seconds { seconds, .. } if seconds % HOUR == 0 => {
                format!("{} h", seconds / HOUR)
            }
            Keeps::Seconds { seconds, .. } => format!("{} min", seconds / MINUTE),
            Keeps::WithTheLog => "as long as the log; erased with the key".to_owned(),
            Keeps::ForEver(why) => format!("for ever: {why}"),
        }
    }
}

/// How a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its name.
    pub rule: &'static str,
    /// What it is about.
    pub what: &'static str,
    /// For how long it is kept.
    pub kept: String,
    /// Rows that the next run removes; none where none are ever removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past: Option<i64>,
}

/// A run that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// When.
    pub ran_at: Timestamp,
    /// Rows that went, by rule. Rules that removed nothing are not in it.
    pub removed: BTreeMap<String, i64>,
}

impl Run {
    /// Whether there is more of something: the next run may begin at once.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.removed.values().any(|removed| *removed >= MOST)
    }
}

/// Only one process at a time.
const LEASE: i64 = 0x6361_6972_6e72_6574;
/// Most rows that a rule lets go in one run; the next one goes on.
const MOST: i64 = 50_000;

/// Every rule, and what the next run would remove. Changes nothing.
///
/// # Errors
/// The database's.
pub async fn standing(pool: &PgPool, now: Timestamp) -> Result<Vec<Standing>, sqlx::Error> {
    let mut all = vec![];
    for rule in RULES {
        let past = match rule.keeps {
            Keeps::Seconds { seconds, table, from } => {
                let count = format!("SELECT count(*) FROM {table} WHERE {from} <= $1");
                let before = to_sql(now.plus_secs(-seconds));
                Some(sqlx::query_scalar(&count).bind(before).fetch_one(pool).await?)
            }
            Keeps::WithTheLog | Keeps::ForEver(_) => None,
        };
        all.push(Standing { rule: rule.name, what: rule.what, kept: rule.time(), past });
    }
    Ok(all)
}

/// Removes what is past its time. `None`: another process is at it.
///
/// # Errors
/// The database's. Then nothing was removed.
pub async fn run(pool: &PgPool, now: Timestamp) -> Result<Option<Run>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin().await?;
    let leased = sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "leased!""#, LEASE);
    if !leased.fetch_one(&mut *tx).await? {
        return Ok(None);
    }
    let mut removed = BTreeMap::new();
    for rule in RULES {
        let gone = remove_in_tx(&mut tx, rule, now).await?;
        if gone > 0 {
            removed.insert(rule.name.to_owned(), gone);
        }
    }
    sqlx::query!(
        "INSERT INTO retention_runs (ran_at, removed) VALUES ($1, $2)",
        to_sql(now),
        sqlx::types::Json(&removed) as _,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(Run { ran_at: now, removed }))
}

async fn remove_in_tx(
    tx: &mut PgConnection,
    rule: &Rule,
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    let Keeps::Seconds { seconds, table, from } = rule.keeps else { return Ok(0) };
    // Said twice: a row that is begun anew meanwhile is looked at again, and stays.
    let delete = format!(
        "DELETE FROM {table} WHERE {from} <= $1 AND ctid = ANY (ARRAY(
           SELECT ctid FROM {table} WHERE {from} <= $1 ORDER BY {from} LIMIT $2))"
    );
    let before = to_sql(now.plus_secs(-seconds));
    let gone = sqlx::query(&delete).bind(before).bind(MOST).execute(tx).await?;
    Ok(i64::try_from(gone.rows_affected()).unwrap_or(i64::MAX))
}

/// The last run.
///
/// # Errors
/// The database's.
pub async fn last(pool: &PgPool) -> Result<Option<Run>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT ran_at, removed AS "removed: sqlx::types::Json<BTreeMap<String, i64>>"
           FROM retention_runs ORDER BY id DESC LIMIT 1"#
    );
    let row = row.fetch_optional(pool).await?;
    Ok(row.map(|row| Run { ran_at: from_sql(row.ran_at), removed: row.removed.0 }))
}

//! Months of the books: asked by finance who closes them, and by auditors.
//!
//! One row is one month that was ever closed, as it stands now.
use async_trait::async_trait;
use cairn_event_log::Recorded;
use cairn_finance::PeriodEvent;
use serde::Serialize;
use sqlx::PgPool;

use crate::engine::{Changes, Interest, ProjectError, Projection};
use crate::row;
use crate::row::{At, QueryError, add};

/// Name of this projection.
pub const NAME: &str = "finance/periods";

/// A month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Period {
    pub month: String,
    /// `closed` or `reopened`.
    pub status: String,
    /// How often it was closed.
    pub times: i64,
    pub closed_at: At,
    pub closed_by: String,
    /// Where in the log it was closed the last time.
    pub closed_position: i64,
    /// The last position whose postings are in the balances.
    pub counted_position: i64,
    pub balances_sha256: String,
    /// Accounts that were not zero.
    pub accounts: i64,
    pub seal: String,
    pub reopened_at: Option<At>,
    pub reopened_by: Option<String>,
    pub reason: Option<String>,
}

/// The projection.
pub struct Periods;

#[async_trait]
impl Projection for Periods {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tables(&self) -> &'static [&'static str] {
        &["finance_periods"]
    }

    fn interest(&self) -> Interest {
        Interest::of(&[PeriodEvent::TYPES])
    }

    fn splits_by_key(&self) -> bool {
        true
    }

    async fn project(&self, event: &Recorded, changes: &mut Changes) -> Result<(), ProjectError> {
        let position = event.position;
        match event.decode()? {
            PeriodEvent::Closed { month, books, seal, closed_by, at, .. } => {
                let month = month.to_string();
                changes.put((month.clone(),), move |row: Option<PeriodRow>| {
                    let mut times = row.map_or(0, |row| row.times);
                    add(&mut times, 1)?;
                    Ok(PeriodRow {
                        month,
                        status: "closed".into(),
                        times,
                        closed_at: At(at),
                        closed_by,
                        closed_position: position,
                        counted_position: books.position,
                        balances_sha256: books.balances_sha256,
                        accounts: books.accounts,
                        seal,
                        reopened_at: None,
                        reopened_by: None,
                        reason: None,
                    })
                });
            }
            PeriodEvent::Reopened { month, reason, reopened_by, at } => {
                changes.change((month.to_string(),), move |row: &mut PeriodRow| {
                    (row.status, row.reopened_at) = ("reopened".into(), Some(At(at)));
                    (row.reopened_by, row.reason) = (Some(reopened_by), Some(reason));
                    Ok(())
                });
            }
        }
        Ok(())
    }
}

row! {
    /// A month.
    pub(crate) struct PeriodRow in "finance_periods" by (month: String) {
        month: String,
        status: String,
        times: i64,
        closed_at: At,
        closed_by: String,
        closed_position: i64,
        counted_position: i64,
        balances_sha256: String,
        accounts: i64,
        seal: String,
        reopened_at: Option<At>,
        reopened_by: Option<String>,
        reason: Option<String>,
    }
}

/// Every month that was ever closed, the last one first; or only one.
///
/// # Errors
/// [`QueryError`].
pub async fn list(pool: &PgPool, month: Option<&str>) -> Result<Vec<Period>, QueryError> {
    let rows = sqlx::query_as!(
        Period,
        r#"SELECT month, status, times, closed_at AS "closed_at: At", closed_by, closed_position, counted_position,
             balances_sha256, accounts, seal, reopened_at AS "reopened_at: At", reopened_by, reason
           FROM finance_periods WHERE $1::text IS NULL OR month = $1 ORDER BY month DESC"#,
        month,
    );
    Ok(rows.fetch_all(pool).await?)
}

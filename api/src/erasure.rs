//! Erasing whoever asked for it: what an operator types and what a server does by itself when the time is over are the same steps.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::privacy::{self, EraseError, Erased, Scan, Wish};
use cairn_commands::{CommandContext, Commands, ExecuteError};
use cairn_core::{OrganisationId, Subject, Timestamp, UserId};
use cairn_projections::identity::{organisations_query, wishes};
use cairn_projections::{At, EngineError, Projector, QueryError, Rebuild};
use cairn_tasks::{Panicked, caught};
use metrics::counter;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// What a server holds people to, and promises them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises {
    /// Seconds until somebody who wants to be forgotten is.
    pub erasure_secs: i64,
    /// How often it is looked whose time is over.
    pub erasures_every: Duration,
    /// The version of the terms that whoever registers must agree to; none must when absent.
    pub terms: Option<String>,
}

impl Default for Promises {
    fn default() -> Self {
        Self { erasure_secs: 14 * 24 * 3_600, erasures_every: Duration::from_secs(60), terms: None }
    }
}

/// Why an erasure did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It was refused, or something did not answer.
    #[error(transparent)]
    Erase(#[from] EraseError),
    /// A view could not be made anew.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The views did not answer.
    #[error(transparent)]
    View(#[from] QueryError),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A fault of ours.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// What a person belongs to, as the views have it.
///
/// # Errors
/// [`QueryError`].
pub async fn organisations(
    pool: &PgPool,
    subject: &Subject,
) -> Result<Vec<OrganisationId>, QueryError> {
    let rows = organisations_query::memberships(pool, subject.id()).await?;
    Ok(rows.iter().filter_map(|row| row.organisation_id.parse().ok()).collect())
}

/// Erases a subject; views that hold what the log no longer says are made anew. `owner` sees every table.
///
/// # Errors
/// [`Failed`].
pub async fn carry_out(
    (commands, projector): (&Commands, &Projector),
    context: &CommandContext,
    (owner, wish): (&mut PgConnection, Wish),
    say: &(dyn Fn(&str) + Sync),
) -> Result<Erased, Failed> {
    let mut erased = privacy::erase(commands, context, owner, wish.clone()).await?;
    if !erased.key_destroyed && rebuild(projector, &erased.scan, say).await? {
        erased = privacy::erase(commands, context, owner, wish).await?;
    }
    if erased.key_destroyed {
        // What an update leaves behind in the table's file goes with it.
        sqlx::query!("VACUUM FULL privacy_subject_keys").execute(owner).await?;
    }
    Ok(erased)
}

/// Makes the views anew in which something was found. Whether there were any.
async fn rebuild(
    projector: &Projector,
    scan: &Scan,
    say: &(dyn Fn(&str) + Sync),
) -> Result<bool, EngineError> {
    let views = scan
        .found
        .iter()
        .filter_map(|found| projector.of_table(found.table.strip_prefix("public.")?));
    let views: BTreeSet<_> = views.collect();
    for view in &views {
        say(&format!("{view} holds something readable: it is made anew from the log"));
        // Nothing of the old rows is kept for a rollback.
        let options = Rebuild { anew: true, keep: Duration::ZERO, ..Rebuild::default() };
        projector.rebuild(view, &options).await?;
    }
    Ok(!views.is_empty())
}

/// Only one process at a time carries out erasures.
const LEASE: i64 = 0x6361_6972_6e65_7261;
/// Erasures that a turn looks at, and those that it carries out.
const LOOKED_AT: i64 = 1_000;
const AT_ONCE: usize = 20;
/// Seconds until one that failed is tried again: each try reads every table.
const AGAIN_SECS: i64 = 3_600;
/// What the audit trail calls whoever carries it out.
const ACTOR: &str = "erase_due";

/// Carries out the erasures that people asked for, when their time is over. Clones share what they know.
#[derive(Clone)]
pub struct Erasures {
    commands: Commands,
    projector: Projector,
    every: Duration,
    /// Those that failed here, and when they are tried again.
    later: Arc<Mutex<HashMap<UserId, Timestamp>>>,
}

impl Erasures {
    /// Over a platform.
    #[must_use]
    pub fn new(commands: Commands, projector: Projector, every: Duration) -> Self {
        Self { commands, projector, every, later: Arc::default() }
    }

    /// Until the token is cancelled. What fails is said, counted, and tried again.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
            if let Err(error) = self.turn().await {
                counter!("cairn_erasure_failures_total").increment(1);
                tracing::warn!(%error, "nobody was erased who asked for it");
            }
        }
    }

    /// Carries out what is due. Answers how many were erased.
    ///
    /// # Errors
    /// [`Failed`], when nothing could be begun; one that fails does not stop the next.
    pub async fn turn(&self) -> Result<u64, Failed> {
        let (pool, now) = (self.commands.executor.log().pool(), self.commands.clock.now());
        let mut later = self.later.lock().await;
        later.retain(|_, at| *at > now);
        let due = wishes::due(pool, At(now), LOOKED_AT).await?;
        let due = due.iter().filter_map(|id| id.parse::<UserId>().ok());
        let due: Vec<_> = due.filter(|id| !later.contains_key(id)).take(AT_ONCE).collect();
        if due.is_empty() {
            return Ok(0);
        }
        let owner = pool.connect_options().as_ref().clone().disable_statement_logging();
        let mut owner = owner.connect().await?;
        let leased = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "leased!""#, LEASE);
        let mut erased = 0;
        if leased.fetch_one(&mut owner).await? {
            for user_id in due {
                let done = caught(self.one(&mut owner, user_id)).await;
                match done.unwrap_or_else(|panicked| Err(panicked.into())) {
                    Ok(()) => erased += 1,
                    Err(error) => {
                        later.insert(user_id, now.plus_secs(AGAIN_SECS));
                        counter!("cairn_erasure_failures_total").increment(1);
                        tracing::warn!(%error, %user_id, "an erasure that is due was not carried out");
                    }
                }
            }
        }
        owner.close().await?;
        counter!("cairn_erasures_total").increment(erased);
        Ok(erased)
    }

    async fn one(&self, owner: &mut PgConnection, user_id: UserId) -> Result<(), Failed> {
        let subject = Subject::user(user_id);
        let id = format!("{ACTOR}:{:032x}", self.commands.ids.next());
        let context = CommandContext::by_itself(ACTOR, id);
        let pool = self.commands.executor.log().pool();
        let wish = Wish {
            organisations: organisations(pool, &subject).await?,
            subject,
            reason: "asked for by the person".to_owned(),
            despite_findings: false,
            when_due: true,
        };
        let say = |text: &str| tracing::warn!("{text}");
        let parts = (&self.commands, &self.projector);
        let erased = carry_out(parts, &context, (owner, wish), &say).await?;
        if erased.key_destroyed {
            tracing::info!(%user_id, readable = erased.scan.found_rows(), "a person was erased");
            return Ok(());
        }
        let found =
            erased.scan.found.iter().map(|found| format!("{}.{}", found.table, found.column));
        let found = found.collect::<Vec<_>>().join(", ");
        let why = format!("something can be read in {found}: the key is not destroyed");
        Err(EraseError::Execute(ExecuteError::Internal(why)).into())
    }
}

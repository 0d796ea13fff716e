//! The teller: follows the log, and notes which endpoint is owed which public event. Place, endpoints and what is owed commit together.
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_core::{Decider, Timestamp};
use cairn_event_log::{LogError, Recorded};
use cairn_notify::{WebhookEndpoint, WebhookEndpointEvent};
use metrics::{counter, gauge};
use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::kinds::TESTED;
use super::owner::owner;
use super::targets::{self, Change, Targets};
use crate::processes::store::{self, Place, to_sql};
use crate::public::translate;
use crate::{Commands, ExecuteError};

/// Its name among those who follow the log.
pub const TELLER: &str = "tell_webhooks";
/// Facts that are taken in at once.
const BATCH: i64 = 256;

/// How a teller runs.
#[derive(Debug, Clone)]
pub struct TellConfig {
    /// Names this process in leases; unique among those alive.
    pub owner: String,
    /// Names this Cairn in its events.
    pub source: String,
    /// How long a lease lasts when its owner is gone.
    pub lease: Duration,
    /// Longest time before it looks without being woken.
    pub poll: Duration,
}

impl TellConfig {
    /// The defaults, under a name.
    #[must_use]
    pub fn new(owner: &str, source: &str) -> Self {
        Self {
            owner: format!("{owner}-{TELLER}"),
            source: source.to_owned(),
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(500),
        }
    }
}

/// Follows the log for all endpoints; one process at a time does.
#[derive(Clone)]
pub struct Teller {
    commands: Commands,
    config: TellConfig,
    /// Rung when something is owed.
    bell: Arc<Notify>,
}

/// What is held while it leads.
struct Held {
    place: Place,
    since: Instant,
    targets: Targets,
}

/// What a stretch of the log comes to.
#[derive(Default)]
struct Plan {
    /// Up to here.
    last: i64,
    changes: Vec<Change>,
    /// Endpoint, position, type.
    owed: Vec<(String, i64, String)>,
    /// Endpoint and position.
    again: Vec<(String, i64)>,
    /// The fact after it cannot be told, and is not passed over.
    stuck: Option<TellError>,
}

#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Load(#[from] ExecuteError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the lease was lost")]
    LeaseLost,
}

impl Teller {
    /// A teller; nothing runs yet.
    #[must_use]
    pub fn new(commands: Commands, config: TellConfig, bell: Arc<Notify>) -> Self {
        Self { commands, config, bell }
    }

    /// Leads or stands by until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let log = self.commands.executor.log();
        let mut grown = log.wake();
        let mut held = None;
        while !stop.is_cancelled() {
            grown.borrow_and_update();
            if let Err(error) = self.catch_up(&mut held, &stop).await {
                if !matches!(error, TellError::LeaseLost) {
                    tracing::warn!(%error, "webhooks wait: the log cannot be followed");
                    counter!("cairn_webhooks_tell_errors_total").increment(1);
                }
                held = None;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = grown.changed() => {}
                () = tokio::time::sleep(self.config.poll) => {}
            }
        }
        if let Err(error) = store::leave(log.pool(), &self.config.owner).await {
            tracing::debug!(%error, "the teller's lease runs out by itself");
        }
    }

    async fn catch_up(
        &self,
        held: &mut Option<Held>,
        stop: &CancellationToken,
    ) -> Result<(), TellError> {
        while !stop.is_cancelled() {
            let Some(held) = self.lease(held).await? else { return Ok(()) };
            let log = self.commands.executor.log();
            let facts = log.read(held.place.position, BATCH).await?;
            if facts.is_empty() {
                return Ok(());
            }
            let mut targets = held.targets.clone();
            let plan = self.plan(&facts, &mut targets, held.place.position).await?;
            if plan.last > held.place.position {
                self.keep(held.place, &plan).await?;
                (held.place.position, held.targets) = (plan.last, targets);
                gauge!("cairn_webhooks_position").set(plan.last as f64);
            }
            if let Some(stuck) = plan.stuck {
                return Err(stuck);
            }
        }
        Ok(())
    }

    /// The lease, renewed when a third of it is over; with a new one, the endpoints anew.
    async fn lease<'a>(
        &self,
        held: &'a mut Option<Held>,
    ) -> Result<Option<&'a mut Held>, TellError> {
        let TellConfig { owner, lease, .. } = &self.config;
        if held.as_ref().is_none_or(|held| held.since.elapsed() >= *lease / 3) {
            let pool = self.commands.executor.log().pool();
            let since = Instant::now();
            let place = store::lease_manager(pool, TELLER, owner, *lease).await?;
            *held = match (place, held.take()) {
                (None, _) => None,
                (Some(place), Some(known)) if known.place == place => Some(Held { since, ..known }),
                (Some(place), _) => {
                    let targets = Targets::load(pool).await?;
                    Some(Held { place, since, targets })
                }
            };
        }
        Ok(held.as_mut())
    }

    async fn plan(
        &self,
        facts: &[Recorded],
        targets: &mut Targets,
        last: i64,
    ) -> Result<Plan, TellError> {
        let mut plan = Plan { last, ..Plan::default() };
        for fact in facts {
            if let Err(stuck) = self.take_in(fact, targets, &mut plan).await {
                plan.stuck = Some(stuck);
                break;
            }
            plan.last = fact.position;
        }
        Ok(plan)
    }

    async fn take_in(
        &self,
        fact: &Recorded,
        targets: &mut Targets,
        plan: &mut Plan,
    ) -> Result<(), TellError> {
        let (endpoint_id, position) = (&fact.aggregate_id, fact.position);
        if fact.aggregate_type == WebhookEndpoint::TYPE {
            let event = fact.decode()?;
            if let WebhookEndpointEvent::ResendRequested { position, .. } = event {
                plan.again.push((endpoint_id.clone(), position));
            }
            if let Some(target) = targets.take_in(endpoint_id, &event) {
                let (endpoint_id, target) = (endpoint_id.clone(), target.clone());
                plan.changes.push(Change { endpoint_id, position, target });
            }
        }
        if targets.is_empty() {
            return Ok(());
        }
        let Some(event) = translate(fact, &self.config.source)? else { return Ok(()) };
        let mut owe = |to: &String| plan.owed.push((to.clone(), position, event.kind.clone()));
        if event.kind == TESTED {
            if targets.is_enabled(endpoint_id) {
                owe(endpoint_id);
            }
        } else if let Some(owner) = owner(&self.commands.executor, fact).await? {
            targets.of(&owner, &event.kind).for_each(&mut owe);
        }
        Ok(())
    }

    async fn keep(&self, place: Place, plan: &Plan) -> Result<(), TellError> {
        let now = self.commands.clock.now();
        let mut tx = self.commands.executor.log().pool().begin().await?;
        if !store::advance_in_tx(&mut tx, TELLER, place, plan.last).await? {
            return Err(TellError::LeaseLost);
        }
        // What is owed comes first: who was deleted later in this stretch is owed nothing any more.
        owe_in_tx(&mut tx, &plan.owed, now).await?;
        again_in_tx(&mut tx, &plan.again, now).await?;
        for change in &plan.changes {
            targets::keep_in_tx(&mut tx, change, now).await?;
        }
        tx.commit().await?;
        if !(plan.owed.is_empty() && plan.again.is_empty()) {
            self.bell.notify_one();
        }
        Ok(())
    }
}

async fn owe_in_tx(
    tx: &mut PgConnection,
    owed: &[(String, i64, String)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let endpoints: Vec<String> = owed.iter().map(|owed| owed.0.clone()).collect();
    let positions: Vec<i64> = owed.iter().map(|owed| owed.1).collect();
    let kinds: Vec<String> = owed.iter().map(|owed| owed.2.clone()).collect();
    sqlx::query!(
        r#"INSERT INTO notify_deliveries (endpoint_id, position, event_type, status, due_at, created_at)
           SELECT endpoint_id, position, event_type, 'pending', $4, $4
           FROM unnest($1::text[], $2::bigint[], $3::text[]) AS owed (endpoint_id, position, event_type)
           ON CONFLICT DO NOTHING"#,
        &endpoints,
        &positions,
        &kinds,
        to_sql(now),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What was wanted again is due now, whatever came of it.
async fn again_in_tx(
    tx: &mut PgConnection,
    again: &[(String, i64)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    for (endpoint_id, position) in again {
        sqlx::query!(
            r#"UPDATE notify_deliveries SET status = 'pending', due_at = $3, tries = 0, finished_at = NULL
               WHERE endpoint_id = $1 AND position = $2"#,
            endpoint_id,
            position,
            to_sql(now),
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

//! Asks the database how things stand, and publishes the answers.
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cairn_commands::ports::Clock as _;
use metrics::{Label, counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::table::{FIGURES, Figure, Kind};
use crate::system::SystemClock;

const TURN: Duration = Duration::from_secs(5);
/// Figures that walk whole tables are asked for in every so manieth turn.
const SELDOM: u64 = 12;
/// A question that takes longer is given up: the next turn asks again.
const PATIENCE: Duration = Duration::from_secs(4);

/// Values by their labels.
type Values = Vec<(Vec<String>, f64)>;

/// Watches over one database.
pub struct Watch {
    pool: PgPool,
    /// The pools of the server, by who uses them.
    pools: Vec<(&'static str, PgPool)>,
    recorder: PrometheusHandle,
    /// What was there before: what is gone from an answer is 0, not what it was.
    seen: HashMap<&'static str, HashSet<Vec<String>>>,
}

impl Watch {
    /// Over one of the pools that the server itself uses, whose connections it counts as well.
    #[must_use]
    pub fn new(
        pool: PgPool,
        pools: Vec<(&'static str, PgPool)>,
        recorder: PrometheusHandle,
    ) -> Self {
        Self { pool, pools, recorder, seen: HashMap::new() }
    }

    /// Until the token is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut every = tokio::time::interval(TURN);
        for number in 0.. {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => self.turn(number).await,
            }
        }
    }

    async fn turn(&mut self, number: u64) {
        self.recorder.run_upkeep();
        self.connections();
        let due = FIGURES.iter().filter(|figure| !figure.is_dear || number.is_multiple_of(SELDOM));
        for figure in due {
            match timeout(PATIENCE, ask(&self.pool, figure)).await {
                Ok(Ok(values)) => self.publish(figure, values),
                Ok(Err(error)) => return failed(figure, &error.to_string()),
                Err(_) => return failed(figure, "it takes too long"),
            }
        }
        let now = SystemClock.now().as_micros() / 1_000_000;
        let now = u32::try_from(now).unwrap_or(u32::MAX);
        gauge!("cairn_figures_updated_timestamp_seconds").set(now);
    }

    fn connections(&self) {
        for (name, pool) in &self.pools {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            let used = pool.size().saturating_sub(idle);
            for (state, count) in [("idle", idle), ("used", used)] {
                gauge!("cairn_database_pool_connections", "pool" => *name, "state" => state)
                    .set(count);
            }
            let most = pool.options().get_max_connections();
            gauge!("cairn_database_pool_connections_max", "pool" => *name).set(most);
        }
    }

    fn publish(&mut self, figure: &Figure, values: Values) {
        let seen = self.seen.entry(figure.name).or_default();
        let gone: Vec<_> =
            seen.iter().filter(|old| !values.iter().any(|(new, _)| new == *old)).cloned().collect();
        for labels in gone.into_iter().filter(|_| figure.kind == Kind::Gauge) {
            gauge!(figure.name, named(figure, &labels)).set(0.0);
        }
        for (labels, value) in values {
            match figure.kind {
                Kind::Gauge => gauge!(figure.name, named(figure, &labels)).set(value),
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "counts are whole and not negative"
                )]
                Kind::Counter => {
                    counter!(figure.name, named(figure, &labels)).absolute(value as u64)
                }
            }
            seen.insert(labels);
        }
    }
}

/// What the database answers.
///
/// # Errors
/// When it does not.
pub async fn ask(pool: &PgPool, figure: &Figure) -> Result<Values, sqlx::Error> {
    sqlx::query_as(figure.sql).fetch_all(pool).await
}

fn named(figure: &Figure, values: &[String]) -> Vec<Label> {
    let pairs = figure.labels.iter().zip(values);
    pairs.map(|(name, value)| Label::new(*name, value.clone())).collect()
}

fn failed(figure: &Figure, why: &str) {
    tracing::warn!(figure = figure.name, error = why, "figures stay as they were");
    counter!("cairn_figures_failures_total").increment(1);
}

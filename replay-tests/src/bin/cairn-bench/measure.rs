//! A closed loop of callers, counted for a while after a warm-up.
use std::future::Future;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Failure;

const WARM_UP: Duration = Duration::from_millis(500);

/// What one cell of the table says.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cell {
    pub callers: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    /// Done while it was counted.
    pub count: usize,
}

/// Runs `callers` loops of `step(caller, number)`, each of which settles `rows` rows.
pub async fn measure<F, S>(
    (callers, rows): (usize, usize),
    span: Duration,
    step: F,
) -> Result<Cell, Failure>
where
    F: Fn(usize, u64) -> S + Clone + Send + 'static,
    S: Future<Output = Result<(), Failure>> + Send,
{
    let from = Instant::now() + WARM_UP;
    let until = from + span;
    let mut loops = JoinSet::new();
    for caller in 0..callers {
        let step = step.clone();
        loops.spawn(async move {
            let mut latencies = vec![];
            for number in 0.. {
                let started = Instant::now();
                if started >= until {
                    break;
                }
                step(caller, number).await?;
                let ended = Instant::now();
                if ended >= from && ended < until {
                    latencies.push(ended - started);
                }
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut latencies = vec![];
    while let Some(of_one) = loops.join_next().await {
        latencies.extend(of_one??);
    }
    latencies.sort_unstable();
    let count = latencies.len() * rows;
    #[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    let per_second = count as f64 / span.as_secs_f64();
    let [p50_ms, p99_ms, p999_ms] = [500, 990, 999].map(|rank| percentile(&latencies, rank));
    Ok(Cell { callers, per_second, p50_ms, p99_ms, p999_ms, count })
}

/// The latency that so many of a thousand are within.
fn percentile(sorted: &[Duration], rank: usize) -> f64 {
    let index = (sorted.len() * rank / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
}

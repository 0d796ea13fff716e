//! Removes what is past its time, by the rules of [`cairn_commands::privacy::retention`], for as long as a server runs.
use std::time::Duration;

use cairn_commands::Commands;
use cairn_commands::privacy::retention;
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;

/// How often: what ends by the minute stays a small table.
const EVERY: Duration = Duration::from_secs(300);

/// Until the token is cancelled. What fails is said, counted, and tried again.
pub async fn keep_to_rules(commands: Commands, stop: CancellationToken) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => while !stop.is_cancelled() && turn(&commands).await {},
        }
    }
}

/// One run. Answers whether there is more.
async fn turn(commands: &Commands) -> bool {
    let now = commands.clock.now();
    match retention::run(commands.executor.log().pool(), now).await {
        Ok(Some(run)) => {
            for (rule, removed) in &run.removed {
                tracing::info!(rule, removed, "what is past its time was removed");
                let removed = u64::try_from(*removed).unwrap_or_default();
                counter!("cairn_retention_removed_total", "rule" => rule.clone())
                    .increment(removed);
            }
            let at = u32::try_from(now.as_micros() / 1_000_000).unwrap_or(u32::MAX);
            gauge!("cairn_retention_run_timestamp_seconds").set(at);
            run.goes_on()
        }
        Ok(None) => {
            tracing::debug!("another server removes what is past its time");
            false
        }
        Err(error) => {
            counter!("cairn_retention_failures_total").increment(1);
            tracing::warn!(%error, "what is past its time was not removed");
            false
        }
    }
}

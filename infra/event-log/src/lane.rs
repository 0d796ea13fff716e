//! Carries one batch at a time to the database, and the answers back.
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use tokio::sync::watch;

use crate::batch::{self, Verdict};
use crate::listener::hint;
use crate::queue::{Queued, answer_all};
use crate::session::Session;
use crate::{AppendRequest, LogError};

/// How often a batch that was rolled back by a timeout, a deadlock or the like is sent again, and after which pause.
const RETRIES: usize = 2;
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Lane {
    session: Session,
    grown: watch::Sender<i64>,
}

impl Lane {
    pub(crate) const fn new(session: Session, grown: watch::Sender<i64>) -> Self {
        Self { session, grown }
    }

    /// Appends a batch and answers each request. A batch that a constraint refused is halved until the culprit is alone.
    pub(crate) async fn settle(mut self, batch: Vec<Queued>) -> Self {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            let started = Instant::now();
            if let Some(oldest) = part.first() {
                histogram!("cairn_log_queue_seconds").record(started - oldest.queued_at);
            }
            let requests: Vec<_> = part.iter().map(|queued| &queued.request).collect();
            let appended = self.append(&requests).await;
            histogram!("cairn_log_append_seconds").record(started.elapsed());
            match appended {
                Ok((verdicts, head)) => {
                    #[allow(clippy::cast_precision_loss, reason = "a count below 2^52")]
                    histogram!("cairn_log_batch_requests").record(part.len() as f64);
                    hint(&self.grown, head);
                    answer_each(part, verdicts);
                }
                Err(error) if part.len() > 1 && is_one_requests_fault(&error) => {
                    counter!("cairn_log_batches_split_total").increment(1);
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(error) => {
                    counter!("cairn_log_batches_failed_total").increment(1);
                    tracing::warn!(%error, requests = part.len(), "a batch was not appended");
                    answer_all(part, &error);
                }
            }
        }
        self
    }

    async fn append(
        &mut self,
        requests: &[&AppendRequest],
    ) -> Result<(Vec<Verdict>, i64), LogError> {
        let mut retries = RETRIES;
        loop {
            let mut connection = self.session.connect().await?;
            let appended = batch::append(&self.session, &mut connection, requests).await;
            match &appended {
                Err(LogError::InDoubt(_)) => drop(connection.detach()),
                _ => self.session.keep(connection),
            }
            match appended {
                // Rolled back.
                Err(LogError::Unavailable(_)) if retries > 0 => retries -= 1,
                settled => return settled,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether the batch may succeed without one of its requests.
const fn is_one_requests_fault(error: &LogError) -> bool {
    matches!(error, LogError::Rejected { .. } | LogError::Corrupt(_) | LogError::Database(_))
}

fn answer_each(batch: Vec<Queued>, verdicts: Vec<Verdict>) {
    for (queued, verdict) in batch.into_iter().zip(verdicts) {
        let answer = match verdict {
            Verdict::Settled(appended) => Some(appended),
            Verdict::Known => None,
        };
        // Nobody may be waiting any more.
        let _ = queued.answer.send(Ok(answer));
    }
}

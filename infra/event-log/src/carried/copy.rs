//! Copies requests in the carrier's order, each once: the command id is the judge, as of every append.
use std::collections::HashSet;

use sqlx::PgPool;
use tokio::sync::watch;

use super::place;
use crate::batch::{self, Verdict};
use crate::listener::hint;
use crate::session::Session;
use crate::{AppendRequest, Appended, Carrier, LogError};

/// What a stream is parked for when its copy lacks what comes before.
const GAP: &str = "log_stream_gap";

#[derive(Debug)]
pub(super) struct Copier {
    pub(super) pool: PgPool,
    session: Session,
    grown: watch::Sender<i64>,
}

impl Copier {
    pub(super) const fn new(pool: PgPool, session: Session, grown: watch::Sender<i64>) -> Self {
        Self { pool, session, grown }
    }

    /// Copies all of them or parks their streams. After an error some may be copied; copying them again does no harm.
    pub(super) async fn copy(&mut self, requests: &[AppendRequest]) -> Result<(), LogError> {
        let mut rest = requests;
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(rest));
            rest = after;
            match self.append(&run.iter().collect::<Vec<_>>()).await {
                Ok(stale) => {
                    for number in stale {
                        self.stale(&run[number]).await?;
                    }
                }
                Err(LogError::Rejected { .. }) => {
                    for request in run {
                        self.copy_one(request).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tries once more what was parked.
    pub(super) async fn take_up(&mut self, carrier: &dyn Carrier) -> Result<usize, LogError> {
        let parked =
            place::all_parked(&self.pool).await.map_err(|error| LogError::reading(&error))?;
        let mut left = parked.len();
        for stream in parked {
            let stream = (stream.aggregate_type.as_str(), stream.aggregate_id.as_str());
            let length = place::length(&self.pool, stream).await;
            let length = length.map_err(|error| LogError::reading(&error))?;
            let mut copied = true;
            for request in carrier.carried_of(stream, length).await? {
                copied = copied && self.copy_one(&request).await?;
            }
            if copied {
                let unparked = place::unpark(&self.pool, stream).await;
                unparked.map_err(|error| LogError::reading(&error))?;
                tracing::info!(kind = stream.0, id = stream.1, "a parked stream is copied again");
                left -= 1;
            }
        }
        Ok(left)
    }

    /// Whether it is copied; else its stream is parked.
    async fn copy_one(&mut self, request: &AppendRequest) -> Result<bool, LogError> {
        match self.append(&[request]).await {
            Ok(stale) if stale.is_empty() => Ok(true),
            Ok(_) => self.stale(request).await,
            Err(LogError::Rejected { constraint, message }) => {
                self.park(request, (&constraint, &message)).await.map(|()| false)
            }
            Err(error) => Err(error),
        }
    }

    /// The copy of its stream is not as the carrier's was. An outcome alone is kept all the same.
    async fn stale(&mut self, request: &AppendRequest) -> Result<bool, LogError> {
        let stream = (request.aggregate_type, request.aggregate_id.as_str());
        let length = place::length(&self.pool, stream).await;
        let length = length.map_err(|error| LogError::reading(&error))?;
        if request.events.is_empty() {
            let here = AppendRequest { expected_sequence: length, ..request.clone() };
            return self.append(&[&here]).await.map(|stale| stale.is_empty());
        }
        let parked =
            place::all_parked(&self.pool).await.map_err(|error| LogError::reading(&error))?;
        if !parked.iter().any(|one| (&*one.aggregate_type, &*one.aggregate_id) == stream) {
            let message = format!(
                "the copy has {length} events, and the carrier had {} before this one",
                request.expected_sequence
            );
            self.park(request, (GAP, &message)).await?;
        }
        Ok(false)
    }

    async fn park(&self, request: &AppendRequest, why: (&str, &str)) -> Result<(), LogError> {
        let (kind, id) = (request.aggregate_type, &request.aggregate_id);
        tracing::error!(kind, %id, refused_by = why.0, "the copy of a stream is parked: {}", why.1);
        metrics::counter!("cairn_carrier_parked_total").increment(1);
        place::park(&self.pool, request, why).await.map_err(|error| LogError::reading(&error))
    }

    /// Which of them are stale. Those that are known were copied before.
    async fn append(&mut self, requests: &[&AppendRequest]) -> Result<Vec<usize>, LogError> {
        let mut connection = self.session.connect().await?;
        let appended = batch::append(&self.session, &mut connection, requests).await;
        match &appended {
            Err(LogError::InDoubt(_)) => drop(connection.detach()),
            _ => self.session.keep(connection),
        }
        let (verdicts, head) = appended?;
        hint(&self.grown, head);
        metrics::counter!("cairn_carrier_copied_total").increment(requests.len() as u64);
        let stale = |verdict: &Verdict| matches!(verdict, Verdict::Settled(Appended::Stale));
        let numbered = verdicts.iter().enumerate().filter(|(_, verdict)| stale(verdict));
        Ok(numbered.map(|(number, _)| number).collect())
    }
}

/// How many of the first share no stream and no command: one statement takes them, and their order stays.
fn run_length(requests: &[AppendRequest]) -> usize {
    let (mut streams, mut commands) = (HashSet::new(), HashSet::new());
    let mut length = 0;
    for request in requests {
        let stream = (request.aggregate_type, request.aggregate_id.as_str());
        if !streams.insert(stream) || !commands.insert(request.command_id.as_str()) {
            break;
        }
        length += 1;
    }
    length
}

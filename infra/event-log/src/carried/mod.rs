//! The log in another system, with its copy in PostgreSQL: whoever acts does so there, whoever reads all reads here.
//!
//! What is acknowledged is copied, so that a position is the copy's, and whoever was answered finds what he wrote.
mod copy;
mod ingest;
mod open;
mod place;
mod wait;

use std::sync::Arc;

use crate::types::{AppendRequest, Appended, StoredOutcome};
use crate::{Carrier, EventLog, LogError};

pub use place::{CarrierStatus, ParkedStream};

/// The carrier of a log that is open.
#[derive(Debug)]
pub(crate) struct Carrying {
    carrier: Arc<dyn Carrier>,
    waiter: wait::Waiter,
}

impl Carrying {
    /// Appends to the carrier and waits for the copy.
    pub(crate) async fn append(
        &self,
        log: &EventLog,
        request: AppendRequest,
    ) -> Result<Appended, LogError> {
        let id = request.command_id.clone();
        let stream = (request.aggregate_type, request.aggregate_id.as_str());
        if let Some(parked) = place::parked(log, stream).await? {
            // The copy knows all that was answered before it was parked.
            return match log.copied_outcome(&id).await? {
                Some((stored, hash)) if hash == request.command_hash => {
                    Ok(Appended::Repeated(stored))
                }
                Some(_) => Ok(Appended::KeyReused),
                None => Err(parked.into()),
            };
        }
        match self.carrier.append(request).await? {
            Appended::Done { .. } => {
                let (stored, _) = self.copied(log, &id).await?;
                Ok(Appended::Done { position: stored.position, sequence: stored.sequence })
            }
            Appended::Repeated(_) => Ok(Appended::Repeated(self.copied(log, &id).await?.0)),
            nothing @ (Appended::KeyReused | Appended::Stale) => Ok(nothing),
        }
    }

    pub(crate) async fn outcome(
        &self,
        log: &EventLog,
        command_id: &str,
    ) -> Result<Option<(StoredOutcome, [u8; 32])>, LogError> {
        match self.carrier.outcome(command_id).await? {
            None => Ok(None),
            Some(_) => self.copied(log, command_id).await.map(Some).map_err(LogError::not_in_doubt),
        }
    }

    /// Streams are as the carrier has them.
    pub(crate) fn carrier(&self) -> &dyn Carrier {
        self.carrier.as_ref()
    }

    async fn copied(
        &self,
        log: &EventLog,
        command_id: &str,
    ) -> Result<(StoredOutcome, [u8; 32]), LogError> {
        self.waiter.copied(command_id).await?;
        let missing = || LogError::Corrupt(format!("command {command_id} has no copy"));
        log.copied_outcome(command_id).await?.ok_or_else(missing)
    }
}

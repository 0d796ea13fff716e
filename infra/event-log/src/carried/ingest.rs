//! The task that copies while it has the lease.
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::copy::Copier;
use super::place::{self, Place};
use crate::session::Session;
use crate::{Carried, Carrier, LogError};

/// Requests that are copied between two looks at the lease.
const CHUNK: usize = 256;
/// Without a sign of life for so long, another process takes over.
const LEASE: Duration = Duration::from_secs(3);
const RENEW: Duration = Duration::from_secs(1);
/// How long it waits for the lease, or after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// How often what is parked is tried again.
const TAKE_UP: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Ingester {
    copier: Copier,
    carrier: Arc<dyn Carrier>,
    owner: String,
    parked: usize,
}

impl Ingester {
    pub(super) fn new(
        (pool, session, grown): (PgPool, Session, watch::Sender<i64>),
        carrier: Arc<dyn Carrier>,
        owner: String,
    ) -> Self {
        Self { copier: Copier::new(pool, session, grown), carrier, owner, parked: 0 }
    }

    /// Until the token is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let pool = self.copier.pool.clone();
        while !stop.is_cancelled() {
            match place::lease(&pool, &self.owner, LEASE).await {
                Ok(None) => {}
                Ok(Some(place)) => {
                    if let Err(error) = self.lead(place, &stop).await {
                        tracing::warn!(%error, "the log is not copied; it is tried again");
                        let _ = place::fail(&pool, &self.owner, &error.to_string()).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "no lease on the copy of the log"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        // Else it runs out by itself.
        let _ = place::release(&pool, &self.owner).await;
    }

    /// Copies until the lease is lost or it is told to stop; both only between two chunks.
    async fn lead(&mut self, place: Place, stop: &CancellationToken) -> Result<(), LogError> {
        let mut requests = self.carrier.carried(place.position).ready_chunks(CHUNK);
        let mut renew = tokio::time::interval(RENEW);
        let mut looked: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = renew.tick() => {
                    let kept = place::lease(&self.copier.pool, &self.owner, LEASE).await;
                    let kept = kept.map_err(|error| LogError::reading(&error))?;
                    if kept.is_none_or(|kept| kept.token != place.token) {
                        return Ok(());
                    }
                    if looked.is_none_or(|looked| looked.elapsed() > TAKE_UP) {
                        self.parked = self.copier.take_up(self.carrier.as_ref()).await?;
                        looked = Some(Instant::now());
                    }
                }
                Some(chunk) = requests.next() => {
                    if !self.copy(place, chunk).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Copies a chunk up to its first error that time does not heal, and moves the checkpoint. False when the lease is lost.
    async fn copy(
        &mut self,
        place: Place,
        chunk: Vec<Result<Carried, LogError>>,
    ) -> Result<bool, LogError> {
        let (mut requests, mut position, mut fault) = (vec![], None, None);
        for carried in chunk {
            match carried {
                Ok(carried) => {
                    position = Some(carried.position);
                    requests.extend(carried.request);
                }
                // The next item is the next request.
                Err(error) if error.is_transient() => {
                    let _ = place::fail(&self.copier.pool, &self.owner, &error.to_string()).await;
                }
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        self.copier.copy(&requests).await?;
        let Some(position) = position else { return fault.map_or(Ok(true), Err) };
        let kept = place::advance(&self.copier.pool, place.token, position).await;
        let kept = kept.map_err(|error| LogError::reading(&error))?;
        fault.map_or(Ok(kept), Err)
    }
}

//! Whether those who read may still: asked of all at once, so that it costs one query however many there are.
use std::collections::HashMap;
use std::time::{Duration, Instant};

use cairn_projections::identity::api_keys;
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::auth::ticket;

/// Nobody reads on for longer than this without it being known that they may.
const UNKNOWN_MAX: Duration = Duration::from_secs(30);

impl Hub {
    pub(super) async fn recheck(&self, stop: &CancellationToken) {
        let mut known = Instant::now();
        while !stop.is_cancelled() {
            match self.recheck_once().await {
                Ok(()) => known = Instant::now(),
                Err(error) => {
                    tracing::warn!(%error, "it is not known who may still read");
                    if known.elapsed() > UNKNOWN_MAX {
                        self.end_where("database_unavailable", |_| true);
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.pace().recheck) => {}
            }
        }
    }

    async fn recheck_once(&self) -> Result<(), cairn_projections::QueryError> {
        let pool = self.source().log.pool();
        ticket::sweep(pool).await?;
        let actors = self.actors();
        if actors.is_empty() {
            return Ok(());
        }
        let living: HashMap<_, _> = api_keys::living(pool, &actors).await?.into_iter().collect();
        self.keep_only(&living, &actors);
        Ok(())
    }
}

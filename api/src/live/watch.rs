//! Whether those who read may still: asked of all at once, so that it costs a few queries however many there are.
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::auth::standing;

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
        let standings = self.standings();
        if standings.is_empty() {
            return Ok(());
        }
        let living = standing::living(pool, &standings).await?;
        self.keep_only(&living, &standings);
        Ok(())
    }
}

//! Begins to carry, and says how it stands.
use std::sync::Arc;

use cairn_tasks::kept_up;

use super::Carrying;
use super::ingest::Ingester;
use super::place::{self, CarrierStatus};
use super::wait::Waiter;
use crate::session::Session;
use crate::{Carrier, EventLog, LogError};

/// Events that are counted as not copied yet; beyond that there are more.
const BEHIND_MAX: i64 = 1_000;

impl EventLog {
    /// Lets another system carry the log, from now on and for every clone: commands act there, and this process helps to copy
    /// what is written there into the database, which every reader of the whole log goes on reading.
    ///
    /// # Errors
    /// [`LogError::Carrier`] when the database has another log than the carrier; [`LogError::Unavailable`] when one of them does not
    /// answer.
    pub async fn carried_by(&self, carrier: Arc<dyn Carrier>) -> Result<(), LogError> {
        place::agree(self, carrier.as_ref()).await?;
        let owner = place::owner(self).await?;
        let (pool, grown) = (self.pool().clone(), self.grown());
        let waiter = Waiter::start(pool.clone(), self.wake(), self.tasks());
        let (limit, stop, source) = (self.limit(), self.stopped(), Arc::clone(&carrier));
        let copy = move || {
            let session = Session::new(pool.clone(), limit);
            let place = (pool.clone(), session, grown.clone());
            Ingester::new(place, Arc::clone(&source), owner.clone()).run(stop.clone())
        };
        if self.carry(Carrying { carrier, waiter }) {
            self.copying().spawn(kept_up("log", self.stopped(), copy));
        }
        Ok(())
    }

    /// How the copy stands; `None` when this database itself carries the log.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    pub async fn carrier_status(&self) -> Result<Option<CarrierStatus>, LogError> {
        let Some(mut status) = place::status(self).await? else { return Ok(None) };
        if let Some(carrying) = self.carrying() {
            let behind = carrying.carrier().read(status.position, BEHIND_MAX).await?;
            status.behind = i64::try_from(behind.len()).ok();
        }
        Ok(Some(status))
    }
}

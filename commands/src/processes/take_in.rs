//! Taking an event in: for a follower when it comes to it, for a worker when it could not be read then.
use cairn_core::Timestamp;
use cairn_event_log::{EventLog, LogError};
use cairn_spans::Spans;
use cairn_tasks::caught_now;

use crate::effects::Origin;
use crate::ports::PortError;
use crate::traced;

use super::fact::Occurrence;
use super::gate::Leased;
use super::manager::{AnyManager, Settings};
use super::store::{self, Instance, NewIntent, StoreError};

/// Who takes it in.
pub(super) struct Reader<'a> {
    pub manager: &'a dyn AnyManager,
    pub settings: &'a Settings,
    pub now: Timestamp,
    pub spans: &'a Spans,
}

impl Reader<'_> {
    /// One event of one instance. Answers how many intents it leads to. A manager that panics has written nothing yet.
    pub async fn step(
        &self,
        tx: &mut sqlx::PgConnection,
        key: &str,
        happened: &Occurrence,
    ) -> Result<u64, StoreError> {
        let instance = Instance { process: self.manager.name(), key };
        let before = store::state_in_tx(tx, instance.process, key).await?;
        let state = match before {
            Some((_, status)) if status == "abandoned" => return Ok(0),
            before => before.map(|(state, _)| state),
        };
        let stepped = caught_now(|| self.manager.step(state, happened, self.settings))?;
        let Some(reaction) = stepped? else { return Ok(0) };
        let work = traced::step(self.spans, instance.process, happened);
        let status = (reaction.status.name(), happened.position);
        store::keep_state_in_tx(tx, instance, &reaction.state, status).await?;
        let origin = Origin::of(&happened.metadata, happened.recorded_at).through(&work, self.now);
        for (ordinal, intent) in (0_u64..).zip(&reaction.intents) {
            let id = format!("{}:{}:{ordinal}", instance.process, happened.position);
            let new = NewIntent { id, intent, origin: &origin, now: self.now };
            store::intend_in_tx(tx, instance, new).await?;
        }
        Ok(reaction.intents.len().try_into().unwrap_or(u64::MAX))
    }

    /// An event that was left for later: each in its turn.
    pub async fn step_late(
        &self,
        log: &EventLog,
        leased: &Leased,
        position: i64,
    ) -> Result<(), PortError> {
        let unavailable =
            |error: StoreError| PortError::transient("unavailable", error.to_string());
        let pool = log.pool();
        if store::has_earlier_unread(pool, leased).await.map_err(|e| unavailable(e.into()))? {
            return Err(PortError::transient("out_of_turn", "an earlier event is not read yet"));
        }
        let unreadable = |error: LogError| match error.is_transient() {
            true => PortError::transient("unavailable", error.to_string()),
            false => PortError::permanent("event_unreadable", error.to_string()),
        };
        let recorded = log.read(position - 1, 1).await.map_err(unreadable)?.pop();
        let happened = recorded.as_ref().map(Occurrence::read).transpose().map_err(unreadable)?;
        let Some(happened) = happened.filter(|happened| happened.position == position) else {
            return Err(PortError::permanent("event_unreadable", "there is no such event"));
        };
        let Some(key) = self.manager.correlate(&happened) else { return Ok(()) };
        let mut tx = pool.begin().await.map_err(|e| unavailable(e.into()))?;
        let process = self.manager.name();
        let seen = store::position_in_tx(&mut tx, process, &key).await;
        match seen.map_err(|e| unavailable(e.into()))? {
            Some(seen) if seen == position => return Ok(()),
            Some(seen) if seen > position => {
                let message = format!("{key} has gone on without it, to position {seen}");
                return Err(PortError::permanent("event_too_late", message));
            }
            Some(_) | None => {}
        }
        self.step(&mut tx, &key, &happened).await.map_err(unavailable)?;
        tx.commit().await.map_err(|e| unavailable(e.into()))
    }
}

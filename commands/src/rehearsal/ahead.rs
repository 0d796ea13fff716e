//! Looking ahead in a rehearsal: the clock is set on, and the timers ring that the wish is about. The deadline of a drained node, and the meters
//! of a wallet whose spending limits are others, its own or those of a project.
use cairn_core::Timestamp;
use cairn_event_log::Metadata;
use cairn_ledger::{HoldStatus, Wallet, WalletEvent};

use super::play::{Cause, Deadline, Rehearsal, unreadable};
use crate::ExecuteError;
use crate::effects::Origin;
use crate::processes::meter_usage::{self, MeterUsage};
use crate::processes::{Alarm, Fact, Occurrence, ProcessManager as _, Timer};

/// The most ticks of all meters together; more rentals are looked at in longer steps.
const TICKS_MAX: i64 = 1_000;

impl Rehearsal {
    pub(super) async fn look_ahead(&mut self) -> Result<(), ExecuteError> {
        let mut limited = vec![];
        for number in 0..self.imagined.count() {
            let Some(recorded) = self.imagined.get(number) else { continue };
            let happened = Occurrence::read(&recorded)?;
            if let Fact::Wallet(
                WalletEvent::SpendingLimitsSet { .. } | WalletEvent::ProjectLimitsSet { .. },
            ) = happened.fact
            {
                limited.push((happened.stream, happened.metadata));
            }
        }
        for (wallet_id, metadata) in limited {
            self.tick(&wallet_id, &metadata).await?;
        }
        self.ring().await
    }

    /// A node that is to be drained: what is still there when the time is over.
    async fn ring(&mut self) -> Result<(), ExecuteError> {
        for deadline in std::mem::take(&mut self.deadlines) {
            let Deadline { manager, key, timer, due_at, origin } = deadline;
            if !matches!(timer, Timer::DrainDeadline { .. }) {
                continue;
            }
            let Some(state) = self.state(manager.name(), &key).await? else { continue };
            self.clock.set(due_at);
            let alarm = Alarm { timer, at: due_at, due_at, run: 0 };
            let awoken = manager.due(state, alarm, &self.settings).map_err(unreadable)?;
            for (ordinal, intent) in awoken.intents.into_iter().enumerate() {
                let id = format!("rehearsal:{key}:{ordinal}");
                let cause = Cause { process: manager.name(), id, origin: &origin };
                self.carry_out(cause, intent).await?;
            }
            self.follow().await?;
        }
        Ok(())
    }

    /// Each meter of a wallet ticks until what is set aside for its rental now is used, whatever is refused meanwhile.
    async fn tick(&mut self, wallet_id: &str, metadata: &Metadata) -> Result<(), ExecuteError> {
        let (wallet, _) = self.commands.executor.load::<Wallet>(wallet_id).await?;
        let open = wallet.holds.into_values().filter(|hold| hold.status != HoldStatus::Released);
        let rentals: Vec<_> = open.map(|hold| hold.purpose).collect();
        let from = self.imagined.now();
        let settings = self.settings;
        let whole = settings.runway_seconds + settings.tick_lag_seconds + settings.tick_seconds;
        let many = i64::try_from(rentals.len()).unwrap_or(i64::MAX);
        let step = settings.tick_seconds.max(1).max(whole.saturating_mul(many) / TICKS_MAX);
        let origin = Origin::of(metadata, from);
        for run in 1..=(whole + step) / step {
            let at = from.plus_secs(run * step);
            self.clock.set(at);
            for rental in &rentals {
                self.tick_one(rental, at, &origin).await?;
            }
            self.follow().await?;
        }
        self.clock.set(from);
        Ok(())
    }

    async fn tick_one(
        &mut self,
        rental: &str,
        at: Timestamp,
        origin: &Origin,
    ) -> Result<(), ExecuteError> {
        let Some(state) = self.state(MeterUsage::NAME, rental).await? else { return Ok(()) };
        let state: meter_usage::State = serde_json::from_value(state).map_err(unreadable)?;
        let timer = Timer::MeterTick { since: state.since };
        let alarm = Alarm { timer, at, due_at: at, run: 0 };
        for intent in MeterUsage::due(&state, alarm, &self.settings).intents {
            let id = format!("rehearsal:{rental}:{at}");
            let cause = Cause { process: MeterUsage::NAME, id, origin };
            self.carry_out(cause, intent).await?;
        }
        Ok(())
    }
}

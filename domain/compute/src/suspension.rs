//! Suspending what is not paid for or is to be resized, and resuming it. The meter stands still from the request until the login is proven again.
use cairn_core::Timestamp;

use crate::allocation::{Allocation, AllocationCommand as Command, AllocationStatus as Status};
use crate::decisions::Decision;
use crate::events::AllocationEvent as Event;

impl Allocation {
    pub(crate) fn decide_suspension(&self, command: Command) -> Decision {
        match command {
            Command::RequestSuspension { reason, at } => {
                let at = self.metered_at.or(self.activated_at).map_or(at, |last| at.max(last));
                let done = [Status::Suspending, Status::Suspended];
                self.step(&[Status::Active], &done, Event::SuspensionRequested { reason, at })
            }
            Command::ConfirmSuspended { evidence, at } => {
                let suspended = Event::Suspended { evidence, at };
                self.step(&[Status::Suspending], &[Status::Suspended], suspended)
            }
            Command::RequestResume { at } => {
                let done = [Status::Resuming, Status::Active];
                self.step(&[Status::Suspended], &done, Event::ResumeRequested { at })
            }
            Command::ConfirmResumed { proof, at } => {
                let at = self.stopped_at.map_or(at, |stopped_at| at.max(stopped_at));
                let resumed = Event::Resumed { proof, at };
                let resumed = self.step(&[Status::Resuming], &[Status::Active], resumed)?;
                if resumed.is_empty() {
                    return Ok(resumed);
                }
                Ok(self.resized(at)?.into_iter().chain(resumed).collect())
            }
            Command::Request { .. }
            | Command::Reprice { .. }
            | Command::RequestResize { .. }
            | Command::StartResize { .. }
            | Command::FailResize { .. }
            | Command::SettleResize { .. }
            | Command::ConfirmReserved { .. }
            | Command::Reject { .. }
            | Command::StartProvisioning { .. }
            | Command::CompleteStep { .. }
            | Command::FailProvisioning { .. }
            | Command::Activate { .. }
            | Command::ConfirmFailed { .. }
            | Command::Meter { .. }
            | Command::ProveLate { .. }
            | Command::CorrectUsage { .. }
            | Command::RequestRelease { .. }
            | Command::VerifyTeardown { .. }
            | Command::ConfirmReleased { .. }
            | Command::CallOperator { .. } => Err(self.wrong()),
        }
    }

    pub(crate) fn stop(&mut self, at: Timestamp) {
        self.stopped_at = Some(at);
        self.turn(Status::Suspending);
    }

    pub(crate) fn turn(&mut self, status: Status) {
        self.turns += 1;
        self.status = status;
    }

    /// The meter goes on from here. What was not metered until now never will be.
    pub(crate) fn resume(&mut self, at: Timestamp) {
        let unbilled = self.unproven_seconds + self.corrected_seconds;
        let idle_seconds = self.elapsed(at) - unbilled - self.metered_seconds();
        self.idle_seconds += idle_seconds;
        self.metered_at = Some(at);
        self.stopped_at = None;
        self.stand_at(Status::Active);
    }

    /// What was stuck, if anything was, has come to its end.
    pub(crate) const fn stand_at(&mut self, status: Status) {
        self.status = status;
        self.needs_operator = false;
    }

    /// Where its meter stands still or has stopped; none while it runs.
    #[must_use]
    pub fn meter_ends_at(&self) -> Option<Timestamp> {
        self.released_at.or(self.stopped_at)
    }

    /// The generation of the wish that is in force: a node refuses an older one. The wish to have it gone is one more.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        1 + self.turns
    }
}

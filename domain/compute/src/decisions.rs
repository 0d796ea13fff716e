//! What an allocation decides.
use cairn_core::{Nanos, Timestamp};

use crate::allocation::{
    Allocation, AllocationCommand as Command, AllocationError as Error, AllocationStatus as Status,
};
use crate::events::{AllocationEvent as Event, ReleaseReason, Step};

pub(crate) type Decision = Result<Vec<Event>, Error>;

/// One line, a known key type, base 64, and nothing that could end a line or begin an option. Whether it is a whole key is asked before
/// ([`crate::check_public_key`]): histories hold keys that were taken by their shape.
fn check_shape(key: &str) -> Result<(), Error> {
    let mut parts = key.split(' ');
    let (kind, body, end) = (parts.next(), parts.next(), parts.next());
    let known = matches!(
        kind,
        Some(
            "ssh-ed25519"
                | "ecdsa-sha2-nistp256"
                | "ecdsa-sha2-nistp384"
                | "ecdsa-sha2-nistp521"
                | "ssh-rsa"
                | "sk-ssh-ed25519@openssh.com"
                | "sk-ecdsa-sha2-nistp256@openssh.com"
        )
    );
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let whole = body.is_some_and(|b| b.starts_with("AAAA") && b.bytes().all(base64));
    let fits = key.len() <= 2_048 && end.is_none();
    if known && whole && fits { Ok(()) } else { Err(Error::BadPublicKey) }
}

impl Allocation {
    /// Whole seconds that are metered, and so billed: what is proven of the time from readiness to the release request.
    #[must_use]
    pub fn metered_seconds(&self) -> i64 {
        let unbilled = self.unproven_seconds + self.corrected_seconds;
        self.metered_at.map_or(0, |through| self.elapsed(through) - unbilled)
    }

    /// Whole seconds from readiness to an instant in which it was not suspended.
    pub(crate) fn elapsed(&self, through: Timestamp) -> i64 {
        self.activated_at.map_or(0, |since| through.secs_since(since) - self.idle_seconds)
    }

    /// Goes on from what is metered. Seconds that are found unproven after they were metered stay billed, so that the charge and the
    /// seconds always agree.
    fn meter(
        &self,
        through: Timestamp,
        (unproven_seconds, late_seconds): (i64, i64),
        at: Timestamp,
    ) -> Decision {
        let Some(activated_at) = self.activated_at else { return Err(self.wrong()) };
        let through = self.meter_ends_at().map_or(through, |ends_at| through.min(ends_at));
        let open = matches!(
            self.status,
            Status::Active
                | Status::Suspending
                | Status::Suspended
                | Status::Releasing
                | Status::Settling
        );
        if !open || through <= self.metered_at.unwrap_or(activated_at) {
            return Ok(vec![]);
        }
        let unproven_max = self.elapsed(through) - self.corrected_seconds - self.metered_seconds();
        let unproven_seconds = unproven_seconds.max(self.unproven_seconds).min(unproven_max);
        let late_seconds = late_seconds.max(self.late_seconds);
        Ok(vec![Event::Metered { through, unproven_seconds, late_seconds, at }])
    }

    /// Rentals that were settled before they were metered are billed in full.
    fn confirm_released(&self, charged_nanos: Nanos, at: Timestamp) -> Decision {
        let active_seconds = match (self.metered_at, self.released_at) {
            (None, Some(released_at)) => self.elapsed(released_at),
            _ => self.metered_seconds(),
        };
        let released = Event::Released { active_seconds, charged_nanos, at };
        self.step(&[Status::Settling], &[Status::Released], released)
    }

    pub(crate) fn decide_command(&self, command: Command) -> Decision {
        let request = matches!(command, Command::Request { .. });
        if !request && self.status == Status::Unknown {
            return Err(Error::Unknown);
        }
        match command {
            Command::Request { .. } => self.request(command),
            Command::Reprice { price, tax, at } => self.reprice(price, tax, at),
            Command::RequestResize { size, at } => self.request_resize(size, at),
            Command::StartResize { at } => self.start_resize(at),
            Command::FailResize { code, message, at } => Ok(self.fail_resize(code, message, at)),
            Command::SettleResize { at } => Ok(self.settle_resize(at)),
            Command::ConfirmReserved { placement, at } => match self.placement {
                Some(known) if known == placement => Ok(vec![]),
                Some(_) => Err(self.wrong()),
                None => self.step(&[Status::Requested], &[], Event::Reserved { placement, at }),
            },
            Command::Reject { code, message, at } => self.step(
                &[Status::Requested],
                &[Status::Rejected],
                Event::Rejected { code, message, at },
            ),
            Command::StartProvisioning { login, at } => {
                if !self.login.is_empty() && self.login == login {
                    return Ok(vec![]);
                }
                self.step(&[Status::Reserved], &[], Event::ProvisioningStarted { login, at })
            }
            Command::CompleteStep { step, observed, at } => self.complete_step(step, observed, at),
            Command::FailProvisioning { step, code, message, at } => self.step(
                &[Status::Reserved, Status::Provisioning],
                &[Status::Compensating, Status::Failed],
                Event::ProvisioningFailed { step, code, message, at },
            ),
            Command::Activate { proof, at } => self.activate(proof, at),
            Command::ConfirmFailed { at } => {
                self.step(&[Status::Compensating], &[Status::Failed], Event::Failed { at })
            }
            Command::Meter { through, unproven_seconds, late_seconds, at } => {
                self.meter(through, (unproven_seconds, late_seconds), at)
            }
            Command::ProveLate { since, until, paused_seconds, at } => {
                self.prove_late((since, until), paused_seconds, at)
            }
            Command::CorrectUsage { seconds, reason, at } => {
                self.correct_usage(seconds, reason, at)
            }
            Command::RequestSuspension { .. }
            | Command::ConfirmSuspended { .. }
            | Command::RequestResume { .. }
            | Command::ConfirmResumed { .. } => self.decide_suspension(command),
            Command::RequestRelease { reason, at } => self.request_release(reason, at),
            Command::VerifyTeardown { evidence, at } => self.step(
                &[Status::Releasing],
                &[Status::Settling, Status::Released],
                Event::TeardownVerified { evidence, at },
            ),
            Command::ConfirmReleased { charged_nanos, at } => {
                self.confirm_released(charged_nanos, at)
            }
            Command::CallOperator { doing, message, at } => {
                let waits =
                    [Status::Compensating, Status::Suspending, Status::Resuming, Status::Releasing];
                let called = if self.needs_operator { &waits[..] } else { &[] };
                self.step(&waits, called, Event::NeedsOperator { doing, message, at })
            }
        }
    }

    /// One row of the lifecycle: the fact happens in the states `from`, has happened in `done`, and in no other.
    pub(crate) fn step(&self, from: &[Status], done: &[Status], event: Event) -> Decision {
        if done.contains(&self.status) {
            Ok(vec![])
        } else if from.contains(&self.status) {
            Ok(vec![event])
        } else {
            Err(self.wrong())
        }
    }

    pub(crate) const fn wrong(&self) -> Error {
        Error::WrongState(self.status)
    }

    fn request(&self, command: Command) -> Decision {
        let Command::Request {
            allocation_id,
            organisation_id,
            sku_id,
            resources,
            price,
            tax,
            project_id,
            ssh_public_key,
            node_id,
            at,
        } = command
        else {
            return Err(self.wrong());
        };
        check_shape(&ssh_public_key)?;
        if self.status != Status::Unknown {
            let same = self.organisation_id == Some(organisation_id)
                && self.sku_id == sku_id
                && self.ssh_public_key == ssh_public_key;
            return if same { Ok(vec![]) } else { Err(Error::IdReused) };
        }
        let requested = Event::Requested {
            allocation_id,
            organisation_id,
            sku_id,
            resources,
            price,
            ssh_public_key,
            node_id,
            at,
        };
        let taxed = tax.map(|tax| Event::Taxed { tax, at });
        let assigned = project_id.map(|project_id| Event::Assigned { project_id, at });
        Ok([requested].into_iter().chain(taxed).chain(assigned).collect())
    }

    fn request_release(&self, reason: ReleaseReason, at: Timestamp) -> Decision {
        let at = self.metered_at.map_or(at, |metered_at| at.max(metered_at));
        self.step(
            &[Status::Active, Status::Suspending, Status::Suspended, Status::Resuming],
            &[Status::Releasing, Status::Settling, Status::Released],
            Event::ReleaseRequested { reason, at },
        )
    }

    fn activate(&self, proof: String, at: Timestamp) -> Decision {
        if self.activated_at.is_some() {
            return Ok(vec![]);
        }
        let proven = self.steps.len() == Step::ALL.len();
        let from: &[Status] = if proven { &[Status::Provisioning] } else { &[] };
        self.step(from, &[], Event::Activated { proof, at })
    }

    fn complete_step(&self, step: Step, observed: String, at: Timestamp) -> Decision {
        if self.steps.contains(&step) {
            return Ok(vec![]);
        }
        if self.status != Status::Provisioning {
            return Err(self.wrong());
        }
        match Step::ALL.get(self.steps.len()) {
            Some(next) if *next == step => Ok(vec![Event::StepCompleted { step, observed, at }]),
            _ => Err(Error::StepOutOfOrder(step)),
        }
    }
}

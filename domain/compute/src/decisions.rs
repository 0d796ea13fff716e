//! What an allocation decides.
use cairn_core::Timestamp;

use crate::allocation::{
    Allocation, AllocationCommand as Command, AllocationError as Error, AllocationEvent as Event,
    AllocationStatus as Status, Step,
};

type Decision = Result<Vec<Event>, Error>;

/// One line, a known key type, base 64, and nothing that could end a line or begin an option.
fn check_public_key(key: &str) -> Result<(), Error> {
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
        )
    );
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let whole = body.is_some_and(|b| b.starts_with("AAAA") && b.bytes().all(base64));
    let fits = key.len() <= 2_048 && end.is_none();
    if known && whole && fits { Ok(()) } else { Err(Error::BadPublicKey) }
}

impl Allocation {
    /// Whole seconds that are billed by `at`: from proven readiness to the release request.
    #[must_use]
    pub fn billable_seconds(&self, at: Timestamp) -> i64 {
        let until = self.released_at.unwrap_or(at);
        self.activated_at.map_or(0, |since| until.secs_since(since))
    }

    pub(crate) fn decide_command(&self, command: Command) -> Decision {
        let request = matches!(command, Command::Request { .. });
        if !request && self.status == Status::Unknown {
            return Err(Error::Unknown);
        }
        match command {
            Command::Request {
                allocation_id,
                organisation_id,
                sku_id,
                resources,
                price,
                ssh_public_key,
                node_id,
                at,
            } => {
                check_public_key(&ssh_public_key)?;
                if self.status != Status::Unknown {
                    let same = self.organisation_id == Some(organisation_id)
                        && self.sku_id == sku_id
                        && self.ssh_public_key == ssh_public_key;
                    return if same { Ok(vec![]) } else { Err(Error::IdReused) };
                }
                Ok(vec![Event::Requested {
                    allocation_id,
                    organisation_id,
                    sku_id,
                    resources,
                    price,
                    ssh_public_key,
                    node_id,
                    at,
                }])
            }
            Command::ConfirmReserved { placement, at } => match (self.status, self.placement) {
                (Status::Requested, _) => Ok(vec![Event::Reserved { placement, at }]),
                (_, Some(known)) if known == placement => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::Reject { code, message, at } => match self.status {
                Status::Requested => Ok(vec![Event::Rejected { code, message, at }]),
                Status::Rejected => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::StartProvisioning { login, at } => match self.status {
                Status::Reserved => Ok(vec![Event::ProvisioningStarted { login, at }]),
                Status::Provisioning if self.login == login => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::CompleteStep { step, observed, at } => self.complete_step(step, observed, at),
            Command::FailProvisioning { step, code, message, at } => match self.status {
                Status::Reserved | Status::Provisioning => {
                    Ok(vec![Event::ProvisioningFailed { step, code, message, at }])
                }
                Status::Compensating | Status::Failed => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::Activate { proof, at } => match self.status {
                Status::Provisioning if self.steps.len() == Step::ALL.len() => {
                    Ok(vec![Event::Activated { proof, at }])
                }
                _ if self.activated_at.is_some() => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::ConfirmFailed { at } => match self.status {
                Status::Compensating => Ok(vec![Event::Failed { at }]),
                Status::Failed => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::RequestRelease { reason, at } => match self.status {
                Status::Active => Ok(vec![Event::ReleaseRequested { reason, at }]),
                Status::Releasing | Status::Settling | Status::Released => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::VerifyTeardown { evidence, at } => match self.status {
                Status::Releasing => Ok(vec![Event::TeardownVerified { evidence, at }]),
                Status::Settling | Status::Released => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::ConfirmReleased { charged_nanos, at } => match self.status {
                Status::Settling => {
                    let active_seconds = self.billable_seconds(at);
                    Ok(vec![Event::Released { active_seconds, charged_nanos, at }])
                }
                Status::Released => Ok(vec![]),
                _ => Err(self.wrong()),
            },
            Command::CallOperator { doing, message, at } => match self.status {
                Status::Compensating | Status::Releasing if !self.needs_operator => {
                    Ok(vec![Event::NeedsOperator { doing, message, at }])
                }
                Status::Compensating | Status::Releasing => Ok(vec![]),
                _ => Err(self.wrong()),
            },
        }
    }

    const fn wrong(&self) -> Error {
        Error::WrongState(self.status)
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

//! The steps of provisioning. Each one can be inspected, brought about and undone, any number of times.
pub mod access;
pub mod home;
pub mod limits;
pub mod uid;
pub mod user;

use std::path::PathBuf;

use cairn_node::{Step, TenantArguments};

use crate::config::Config;
use crate::fault::{Fault, Outcome};

/// One allocation on this node.
#[derive(Clone, Copy)]
pub struct Allocation<'a> {
    pub config: &'a Config,
    pub id: &'a str,
    pub tenant: &'a TenantArguments,
}

impl Allocation<'_> {
    pub fn home(&self) -> PathBuf {
        self.config.homes_dir.join(&self.tenant.login)
    }

    pub fn image(&self) -> PathBuf {
        self.config.images().join(format!("{}.img", self.id))
    }

    /// Refuses values that could not come from an honest control plane.
    pub fn check(&self) -> Outcome<()> {
        let TenantArguments { login, uid, ssh_public_key, resources } = self.tenant;
        if *login != format!("t{uid}") {
            return Err(Fault::permanent("login_invalid", "a tenant's login is t and its uid"));
        }
        if *uid < self.config.uid_min || *uid > 2_000_000_000 || *uid == 65_534 {
            return Err(Fault::permanent("uid_invalid", format!("uid {uid} is not for tenants")));
        }
        if !access::is_public_key(ssh_public_key) {
            return Err(Fault::permanent("key_invalid", "not one line of an OpenSSH public key"));
        }
        if resources.cpu_millis == 0 || resources.pids_max == 0 || resources.memory_bytes < 1 << 20
        {
            return Err(Fault::permanent("resources_invalid", "an allocation needs some of each"));
        }
        Ok(())
    }
}

/// What there is of a step; `None` when it is not as it must be.
pub fn inspect(allocation: Allocation<'_>, step: Step) -> Outcome<Option<String>> {
    match step {
        Step::Uid => uid::inspect(allocation),
        Step::Home => home::inspect(allocation),
        Step::User => user::inspect(allocation),
        Step::Limits => limits::inspect(allocation),
        Step::Access => access::inspect(allocation),
    }
}

/// Inspects, acts if need be, and verifies.
pub fn ensure(allocation: Allocation<'_>, step: Step) -> Outcome<String> {
    if let Some(observed) = inspect(allocation, step)? {
        return Ok(observed);
    }
    if step != Step::Uid && uid::inspect(allocation)?.is_none() {
        return Err(Fault::permanent("uid_not_taken", "the uid must be taken first"));
    }
    match step {
        Step::Uid => uid::act(allocation)?,
        Step::Home => home::act(allocation)?,
        Step::User => user::act(allocation)?,
        Step::Limits => limits::act(allocation)?,
        Step::Access => access::act(allocation)?,
    }
    inspect(allocation, step)?.ok_or_else(|| {
        let message = format!("step {} did not hold after it was done", step.name());
        Fault::permanent("not_verified", message)
    })
}

/// Takes a step back; nothing of it may be there.
pub fn undo(allocation: Allocation<'_>, step: Step) -> Outcome<()> {
    if uid::inspect(allocation)?.is_none() {
        return Ok(());
    }
    match step {
        Step::Uid => uid::undo(allocation),
        Step::Home => home::undo(allocation),
        Step::User => user::undo(allocation),
        Step::Limits => limits::undo(allocation),
        Step::Access => access::undo(allocation),
    }
}

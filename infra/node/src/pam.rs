//! A tenant's session joins its cgroup before it may begin.
//!
//! sshd asks PAM for leave to log in from the root process that will be the parent of everything the session runs. PAM runs
//! `cairn-node pam-join` from there, which moves that process into the allocation's cgroup. It is in the *account* stack because
//! a failure there refuses the login, whereas sshd goes on after a failing *session* module.
//! What a reboot took away (mounts, cgroups) is built again from the record at the same time.
use cairn_node::Step;

use crate::config::Config;
use crate::fault::{Fault, Outcome};
use crate::steps::{self, Allocation};
use crate::{cgroup, journal};

/// Lets a tenant in, within its limits.
pub fn join(login: &str) -> Outcome<()> {
    let config = Config::load()?;
    let stranger = || Fault::permanent("not_a_tenant", format!("{login} has no allocation here"));
    let uid: u32 = login.strip_prefix('t').and_then(|uid| uid.parse().ok()).ok_or_else(stranger)?;
    let id = journal::owner_of(&config, uid)?.ok_or_else(stranger)?;
    let held = journal::hold(&config, &id)?;
    if held.record.suspended {
        return Err(Fault::permanent("suspended", format!("{id} is suspended")));
    }
    let tenant = held.record.tenant.as_ref().filter(|_| held.record.is_live());
    let tenant = tenant.filter(|tenant| tenant.login == login).ok_or_else(stranger)?;
    let allocation = Allocation { config: &config, id: &id, tenant };
    steps::ensure(allocation, Step::Home)?;
    steps::ensure(allocation, Step::Limits)?;
    match cgroup::find(&config.cgroup_root) {
        Some(limiter) => limiter.join(&id, std::os::unix::process::parent_id()),
        None if config.allow_unlimited_processes => Ok(()),
        None => Err(Fault::permanent("no_cgroups", "nothing limits the session")),
    }
}

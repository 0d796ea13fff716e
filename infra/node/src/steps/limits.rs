//! Step 4: CPU, memory and process limits are in force on the allocation's cgroup.
//!
//! Sessions land in it before they can run anything: see [`crate::pam`]. Nothing else may run in the tenant's name: see
//! [`crate::user_manager`].
use super::Allocation;
use crate::cgroup::{self, Limits};
use crate::fault::{Fault, Outcome};
use crate::user_manager::Units;

pub fn inspect(allocation: Allocation<'_>) -> Outcome<Option<String>> {
    if !Units::default().is_denied(allocation.tenant.uid) {
        return Ok(None);
    }
    let Some(limiter) = cgroup::find(&allocation.config.cgroup_root) else {
        let allowed = allocation.config.allow_unlimited_processes;
        return Ok(allowed.then(|| "no cgroups here: not limited".to_owned()));
    };
    let wanted = Limits::from(allocation.tenant.resources);
    Ok((limiter.read(allocation.id)? == Some(wanted)).then(|| {
        format!(
            "cgroup {}: {} millicores, {} bytes, {} processes",
            limiter.version(),
            wanted.cpu_millis,
            wanted.memory_bytes,
            wanted.pids_max
        )
    }))
}

pub fn act(allocation: Allocation<'_>) -> Outcome<()> {
    Units::default().deny(allocation.tenant.uid)?;
    if cgroup::find(&allocation.config.cgroup_root).is_none()
        && allocation.config.allow_unlimited_processes
    {
        return Ok(());
    }
    let limiter = cgroup::require(&allocation.config.cgroup_root)?;
    limiter.apply(allocation.id, Limits::from(allocation.tenant.resources))
}

pub fn undo(allocation: Allocation<'_>) -> Outcome<()> {
    Units::default().allow(allocation.tenant.uid)?;
    let Some(limiter) = cgroup::find(&allocation.config.cgroup_root) else {
        return Ok(());
    };
    if limiter.present(allocation.id).is_empty() {
        return Ok(());
    }
    if !cgroup::kill_all(&*limiter, allocation.id)? {
        let message = "processes of the allocation survive SIGKILL";
        return Err(Fault::transient("processes_left", message));
    }
    limiter.remove(allocation.id)
}

//! Stops an allocation and keeps it: nobody logs in, nothing runs, and what the tenant has stays where it is.
//!
//! Order: close the login → end every process → look. Whatever starts a process in a tenant's name goes through a login, so nothing comes
//! back by itself; a login that was let in a moment before is turned away by PAM, which asks the journal. It is resumed by bringing the
//! login about again.
use cairn_node::{Answer, Step};

use crate::cgroup;
use crate::fault::{Fault, Outcome};
use crate::processes::{self, Zombies};
use crate::steps::{self, Allocation};
use crate::teardown;

/// Suspends. Safe to repeat. Fails when anything is still there afterwards.
pub fn run(allocation: Allocation<'_>) -> Outcome<Answer> {
    let uid = allocation.tenant.uid;
    if steps::inspect(allocation, Step::Uid)?.is_none() {
        return Err(Fault::permanent("uid_not_taken", "there is no such allocation here"));
    }
    steps::undo(allocation, Step::Access)?;
    teardown::kill_everything(allocation)?;
    let mut running = processes::of_uid(uid, Zombies::Ignore)?;
    if let Some(limiter) = cgroup::find(&allocation.config.cgroup_root) {
        running.extend(limiter.members(allocation.id)?);
    }
    let open = steps::remains::is_there(allocation, Step::Access)?;
    if open || !running.is_empty() {
        let message = format!("login open: {open}, processes: {running:?}");
        return Err(Fault::transient("not_suspended", message));
    }
    // A fork bomb is ended by forbidding new processes: what is resumed may have as many as it was sold.
    if steps::remains::is_there(allocation, Step::Limits)? {
        steps::ensure(allocation, Step::Limits)?;
    }
    let home = steps::inspect(allocation, Step::Home)?;
    let observed = format!(
        "looked for keys, principals and processes of uid {uid}: none; home: {}",
        home.as_deref().unwrap_or("not mounted")
    );
    Ok(Answer::Done { observed, replayed: false })
}

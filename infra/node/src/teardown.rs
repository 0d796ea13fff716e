//! Takes everything of an allocation away, in an order that lets nothing back in, and looks whether anything is left.
//!
//! Order: stop accepting → no new processes → kill the cgroup → kill by uid → jobs, IPC, stray files → unmount and delete the
//! home → account → cgroup → uid. A failure on the way does not stop the rest; what is left is found by looking, not by remembering.
use std::fs;
use std::path::{Path, PathBuf};

use cairn_node::{Answer, Observed, Step};

use crate::fault::{Fault, Outcome};
use crate::processes::{self, Zombies};
use crate::steps::{self, Allocation, remains};
use crate::{cgroup, ipc, sweep, system};

/// Tears down. Safe to repeat.
///
/// Every step but the first asks for a claim on the uid, so an allocation without one has nothing here, unless the claim was lost. What bears
/// its id tells: then the claim is taken anew, and with it the right to what bears only the uid or the login. If another allocation has the
/// uid by now, what bears the id is named and left to the owner of the machine.
pub fn run(allocation: Allocation<'_>) -> Outcome<Answer> {
    let uid = allocation.tenant.uid;
    if steps::inspect(allocation, Step::Uid)?.is_none() {
        let left = remains::of_id(allocation)?;
        if left.is_empty() || !steps::uid::reclaim(allocation)? {
            let evidence = format!(
                "uid {uid} is not taken for it; looked for its cgroup, image and principal: {} left",
                left.len()
            );
            return Ok(Answer::TornDown { left, evidence, replayed: false });
        }
    }
    let mut failures = Vec::new();
    let mut attempt = |what: &str, outcome: Outcome<()>| {
        if let Err(fault) = outcome {
            failures.push(format!("{what}: {fault}"));
        }
    };
    attempt("access", steps::undo(allocation, Step::Access));
    attempt("processes", kill_everything(allocation));
    attempt("jobs", remove_jobs(&allocation.tenant.login));
    attempt("ipc", ipc::remove(uid));
    attempt("home", steps::undo(allocation, Step::Home));
    attempt("files", sweep::remove_owned(uid));
    attempt("user", steps::undo(allocation, Step::User));
    attempt("limits", steps::undo(allocation, Step::Limits));
    let mut left = leftovers(allocation)?;
    if left.is_empty() {
        // Only now may the uid be given to somebody else.
        steps::undo(allocation, Step::Uid)?;
    } else {
        left.append(&mut failures);
    }
    let evidence = format!(
        "looked for processes, account {}, files of uid {uid}, home, cgroup, keys, ipc: {} left",
        allocation.tenant.login,
        left.len()
    );
    Ok(Answer::TornDown { left, evidence, replayed: false })
}

pub fn kill_everything(allocation: Allocation<'_>) -> Outcome<()> {
    if let Some(limiter) = cgroup::find(&allocation.config.cgroup_root)
        && !limiter.present(allocation.id).is_empty()
    {
        cgroup::kill_all(&*limiter, allocation.id)?;
    }
    let uid = allocation.tenant.uid;
    let gone = processes::until(|| {
        let running = processes::of_uid(uid, Zombies::Count)?;
        running.iter().copied().for_each(processes::kill);
        Ok(running.is_empty())
    })?;
    if gone || processes::of_uid(uid, Zombies::Ignore)?.is_empty() {
        Ok(())
    } else {
        Err(Fault::transient("processes_left", "processes survive SIGKILL"))
    }
}

/// What bears the tenant's name rather than its uid.
fn job_files(login: &str) -> [PathBuf; 4] {
    ["/var/spool/cron/crontabs", "/var/spool/cron", "/var/mail", "/var/lib/systemd/linger"]
        .map(|directory| Path::new(directory).join(login))
}

fn remove_jobs(login: &str) -> Outcome<()> {
    for path in job_files(login).iter().filter(|path| path.is_file()) {
        system::remove_file(path)?;
    }
    Ok(())
}

/// What there is of an allocation.
pub fn observe(allocation: Allocation<'_>) -> Outcome<Observed> {
    let mut running = processes::of_uid(allocation.tenant.uid, Zombies::Ignore)?;
    if let Some(limiter) = cgroup::find(&allocation.config.cgroup_root) {
        running.extend(limiter.members(allocation.id)?);
    }
    running.sort_unstable();
    running.dedup();
    Ok(Observed {
        uid: steps::inspect(allocation, Step::Uid)?,
        home: steps::inspect(allocation, Step::Home)?,
        user: steps::inspect(allocation, Step::User)?,
        limits: steps::inspect(allocation, Step::Limits)?,
        access: steps::inspect(allocation, Step::Access)?,
        processes: running,
    })
}

/// Everything that can still be found of an allocation, whole or in part; its claim on the uid aside.
pub fn leftovers(allocation: Allocation<'_>) -> Outcome<Vec<String>> {
    let tenant = allocation.tenant;
    let mut left = Vec::new();
    let running = processes::of_uid(tenant.uid, Zombies::Ignore)?;
    left.extend(running.iter().map(|pid| format!("process {pid}")));
    left.extend(remains::of_steps(allocation)?);
    let jobs = job_files(&tenant.login);
    left.extend(
        jobs.iter().filter(|path| path.is_file()).map(|path| format!("file {}", path.display())),
    );
    left.extend(ipc::of_uid(tenant.uid).into_iter().map(|object| format!("ipc {object}")));
    let files = sweep::owned(tenant.uid)?;
    left.extend(files.iter().take(20).map(|path| format!("file {}", path.display())));
    if fs::exists(format!("/run/user/{}", tenant.uid)).unwrap_or(false) {
        left.push(format!("directory /run/user/{}", tenant.uid));
    }
    Ok(left)
}

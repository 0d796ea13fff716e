//! Limits on CPU, memory and processes: one trait, two kernels' interfaces.
mod files;
mod limiter;
mod v1;
mod v2;

use std::fs;

use crate::fault::{Fault, Outcome};
use crate::processes;

pub use limiter::{Limiter, Limits};
use v1::V1;
use v2::V2;

/// Finds the kernel's interface; `None` when there is none that works.
pub fn find(root: &str) -> Option<Box<dyn Limiter>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let v2 = V2::find(&mounts, root).map(|found| Box::new(found) as Box<dyn Limiter>);
    v2.or_else(|| V1::find(&mounts, root).map(|found| Box::new(found) as Box<dyn Limiter>))
}

/// As [`find`], as an obligation.
pub fn require(root: &str) -> Outcome<Box<dyn Limiter>> {
    find(root).ok_or_else(|| {
        Fault::permanent("no_cgroups", "no writable cgroup hierarchy with cpu, memory and pids")
    })
}

/// Kills until nothing is left in the group; answers whether that succeeded.
pub fn kill_all(limiter: &dyn Limiter, group: &str) -> Outcome<bool> {
    processes::until(|| {
        limiter.kill(group)?;
        Ok(limiter.members(group)?.is_empty())
    })
}

//! What every kernel that limits groups of processes can do.
use std::path::PathBuf;

use cairn_node::Resources;

use super::files::{collect_members, names_of, remove_tree, set};
use crate::fault::Outcome;

/// Bytes that memory limits are rounded down to by the kernel.
const PAGE: u64 = 4_096;

/// What is enforced on a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub cpu_millis: u32,
    pub memory_bytes: u64,
    pub pids_max: u32,
}

impl From<Resources> for Limits {
    fn from(resources: Resources) -> Self {
        Self {
            cpu_millis: resources.cpu_millis.max(10),
            memory_bytes: resources.memory_bytes / PAGE * PAGE,
            pids_max: resources.pids_max,
        }
    }
}

/// A kernel that limits groups of processes.
pub trait Limiter {
    /// `v1` or `v2`.
    fn version(&self) -> &'static str;
    /// Directories that are this group, one per hierarchy.
    fn directories(&self, group: &str) -> Vec<PathBuf>;
    /// Makes what all groups need; fails where limits cannot be enforced.
    fn prepare(&self) -> Outcome<()>;
    /// Makes the group and sets its limits.
    fn apply(&self, group: &str, limits: Limits) -> Outcome<()>;
    /// The limits in force; `None` when the group is not, or not wholly, there.
    fn read(&self, group: &str) -> Outcome<Option<Limits>>;
    /// Kills every process of the group, once.
    fn kill(&self, group: &str) -> Outcome<()>;

    /// Puts a process into the group, in every hierarchy.
    fn join(&self, group: &str, pid: u32) -> Outcome<()> {
        for directory in self.directories(group) {
            set(&directory, "cgroup.procs", &pid.to_string())?;
        }
        Ok(())
    }

    /// Processes in the group or below it, in any hierarchy.
    fn members(&self, group: &str) -> Outcome<Vec<u32>> {
        let mut members = Vec::new();
        for directory in self.directories(group) {
            collect_members(&directory, &mut members)?;
        }
        members.sort_unstable();
        members.dedup();
        Ok(members)
    }

    /// Names of all groups, in any hierarchy.
    fn groups(&self) -> Vec<String> {
        let roots = self.directories("");
        let mut names: Vec<String> = roots.iter().flat_map(|root| names_of(root)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Hierarchies in which the group exists.
    fn present(&self, group: &str) -> Vec<PathBuf> {
        self.directories(group).into_iter().filter(|directory| directory.exists()).collect()
    }

    /// Removes the empty group.
    fn remove(&self, group: &str) -> Outcome<()> {
        for directory in self.present(group) {
            remove_tree(&directory)?;
        }
        Ok(())
    }
}

//! Limits on CPU, memory and processes: one trait, two kernels' interfaces.
mod v1;
mod v2;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cairn_node::Resources;

use crate::fault::{Fault, Outcome, While};
use crate::processes;

pub use v1::V1;
pub use v2::V2;

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

fn set(directory: &Path, file: &str, value: &str) -> Outcome<()> {
    let path = directory.join(file);
    fs::write(&path, value).doing(format_args!("writing {value} to {}", path.display()))
}

fn get(directory: &Path, file: &str) -> Outcome<Option<String>> {
    match fs::read_to_string(directory.join(file)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A group that vanishes while it is read.
        Err(error) if error.raw_os_error() == Some(19) => Ok(None),
        Err(error) => Err(error).doing(format_args!("reading {file} of {}", directory.display())),
    }
}

fn make(directory: &Path) -> Outcome<()> {
    fs::create_dir_all(directory).doing(format_args!("making {}", directory.display()))
}

fn collect_members(directory: &Path, members: &mut Vec<u32>) -> Outcome<()> {
    if let Some(text) = get(directory, "cgroup.procs")? {
        members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    for child in subdirectories(directory) {
        collect_members(&child, members)?;
    }
    Ok(())
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

fn remove_tree(directory: &Path) -> Outcome<()> {
    for child in subdirectories(directory) {
        remove_tree(&child)?;
    }
    let gone = processes::until(|| match fs::remove_dir(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(error).doing(format_args!("removing {}", directory.display())),
    })?;
    if gone {
        Ok(())
    } else {
        Err(Fault::transient("cgroup_busy", format!("{} is still in use", directory.display())))
    }
}

/// Mount point and super options of every mount of a file system type.
fn mounts_of<'a>(mountinfo: &'a str, fstype: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    mountinfo.lines().filter_map(move |line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let mount_point = before.split(' ').nth(4)?;
        (after.next()? == fstype).then_some(())?;
        Some((mount_point, after.nth(1)?))
    })
}

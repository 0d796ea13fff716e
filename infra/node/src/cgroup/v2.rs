//! Version 2: one hierarchy for all controllers.
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{get, make, mounts_of, set};
use super::{Limiter, Limits};
use crate::fault::Outcome;
use crate::processes;

const PERIOD_MICROS: u64 = 100_000;
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// The unified hierarchy.
pub struct V2 {
    mount: PathBuf,
    root: PathBuf,
}

impl V2 {
    /// Finds the hierarchy among the mounts, if it has the controllers.
    pub fn find(mountinfo: &str, root: &str) -> Option<Self> {
        mounts_of(mountinfo, "cgroup2").find_map(|(mount_point, _)| Self::at(mount_point, root))
    }

    /// The hierarchy at a mount point, if it has the controllers.
    pub fn at(mount: impl AsRef<Path>, root: &str) -> Option<Self> {
        let mount = mount.as_ref().to_owned();
        let available = fs::read_to_string(mount.join("cgroup.controllers")).ok()?;
        let has = |wanted: &&str| available.split_whitespace().any(|name| name == *wanted);
        CONTROLLERS.iter().all(has).then(|| Self { root: mount.join(root), mount })
    }

    /// Hands the controllers down to the children of a directory. Refused inside a container whose own root has processes.
    fn delegate(directory: &Path) -> Outcome<()> {
        let enabled = get(directory, "cgroup.subtree_control")?.unwrap_or_default();
        for controller in CONTROLLERS {
            if !enabled.split_whitespace().any(|name| name == controller) {
                set(directory, "cgroup.subtree_control", &format!("+{controller}"))?;
            }
        }
        Ok(())
    }
}

impl Limiter for V2 {
    fn version(&self) -> &'static str {
        "v2"
    }

    fn directories(&self, group: &str) -> Vec<PathBuf> {
        vec![self.root.join(group)]
    }

    fn prepare(&self) -> Outcome<()> {
        Self::delegate(&self.mount)?;
        make(&self.root)?;
        Self::delegate(&self.root)
    }

    fn apply(&self, group: &str, limits: Limits) -> Outcome<()> {
        self.prepare()?;
        let directory = self.root.join(group);
        make(&directory)?;
        let quota = u64::from(limits.cpu_millis) * PERIOD_MICROS / 1_000;
        set(&directory, "cpu.max", &format!("{quota} {PERIOD_MICROS}"))?;
        set(&directory, "memory.max", &limits.memory_bytes.to_string())?;
        if directory.join("memory.swap.max").exists() {
            set(&directory, "memory.swap.max", "0")?;
        }
        set(&directory, "pids.max", &limits.pids_max.to_string())
    }

    fn read(&self, group: &str) -> Outcome<Option<Limits>> {
        let directory = self.root.join(group);
        let cpu = get(&directory, "cpu.max")?;
        let memory = get(&directory, "memory.max")?;
        let pids = get(&directory, "pids.max")?;
        let limits = (|| {
            let cpu = cpu?;
            let (quota, period) = cpu.split_once(' ')?;
            let cpu_millis =
                quota.parse::<u64>().ok()? * 1_000 / period.parse::<u64>().ok()?.max(1);
            Some(Limits {
                cpu_millis: u32::try_from(cpu_millis).ok()?,
                memory_bytes: memory?.parse().ok()?,
                pids_max: pids?.parse().ok()?,
            })
        })();
        Ok(limits)
    }

    fn kill(&self, group: &str) -> Outcome<()> {
        let directory = self.root.join(group);
        if directory.join("cgroup.kill").exists() {
            return set(&directory, "cgroup.kill", "1");
        }
        if directory.exists() {
            set(&directory, "pids.max", "0")?;
        }
        for pid in self.members(group)? {
            processes::kill(pid);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{Limiter, Limits};
    use super::V2;

    const LIMITS: Limits = Limits { cpu_millis: 500, memory_bytes: 64 << 20, pids_max: 32 };

    #[test]
    fn a_hierarchy_without_the_controllers_is_not_used() {
        let mount = tempfile::tempdir().unwrap();
        fs::write(mount.path().join("cgroup.controllers"), "cpuset io").unwrap();
        assert!(V2::at(mount.path(), "cairn").is_none());
    }

    #[test]
    fn limits_read_back_as_they_were_written() {
        let mount = tempfile::tempdir().unwrap();
        fs::write(mount.path().join("cgroup.controllers"), "cpu io memory pids").unwrap();
        let v2 = V2::at(mount.path(), "cairn").unwrap();
        assert_eq!(v2.read("alloc_1").unwrap(), None);
        v2.apply("alloc_1", LIMITS).unwrap();
        let directory = mount.path().join("cairn/alloc_1");
        assert_eq!(fs::read_to_string(directory.join("cpu.max")).unwrap(), "50000 100000");
        assert_eq!(v2.read("alloc_1").unwrap(), Some(LIMITS));
    }
}

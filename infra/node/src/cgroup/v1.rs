//! Version 1: one hierarchy per controller.
use std::path::PathBuf;

use super::files::{get, make, mounts_of, set};
use super::{Limiter, Limits};
use crate::fault::Outcome;
use crate::processes;

const PERIOD_MICROS: u64 = 100_000;

/// The three hierarchies we need.
pub struct V1 {
    cpu: PathBuf,
    memory: PathBuf,
    pids: PathBuf,
}

impl V1 {
    /// Finds the hierarchies among the mounts.
    pub fn find(mountinfo: &str, root: &str) -> Option<Self> {
        let mounted = |controller: &str| {
            mounts_of(mountinfo, "cgroup")
                .find(|(_, options)| options.split(',').any(|option| option == controller))
                .map(|(mount_point, _)| PathBuf::from(mount_point).join(root))
        };
        Some(Self { cpu: mounted("cpu")?, memory: mounted("memory")?, pids: mounted("pids")? })
    }
}

impl Limiter for V1 {
    fn version(&self) -> &'static str {
        "v1"
    }

    fn directories(&self, group: &str) -> Vec<PathBuf> {
        let mut directories: Vec<PathBuf> =
            [&self.pids, &self.memory, &self.cpu].map(|root| root.join(group)).into();
        directories.dedup();
        directories
    }

    fn prepare(&self) -> Outcome<()> {
        [&self.cpu, &self.memory, &self.pids].into_iter().try_for_each(|root| make(root))
    }

    fn apply(&self, group: &str, limits: Limits) -> Outcome<()> {
        for directory in self.directories(group) {
            make(&directory)?;
        }
        let (cpu, memory) = (self.cpu.join(group), self.memory.join(group));
        let quota = u64::from(limits.cpu_millis) * PERIOD_MICROS / 1_000;
        set(&cpu, "cpu.cfs_period_us", &PERIOD_MICROS.to_string())?;
        set(&cpu, "cpu.cfs_quota_us", &quota.to_string())?;
        // Memory and swap together must never be below memory: lift the one, set the other, lower the one.
        let bytes = limits.memory_bytes.to_string();
        let swap = "memory.memsw.limit_in_bytes";
        let counts_swap = memory.join(swap).exists();
        if counts_swap {
            set(&memory, swap, "-1")?;
        }
        set(&memory, "memory.limit_in_bytes", &bytes)?;
        if counts_swap {
            set(&memory, swap, &bytes)?;
        }
        set(&self.pids.join(group), "pids.max", &limits.pids_max.to_string())
    }

    fn read(&self, group: &str) -> Outcome<Option<Limits>> {
        let quota = get(&self.cpu.join(group), "cpu.cfs_quota_us")?;
        let period = get(&self.cpu.join(group), "cpu.cfs_period_us")?;
        let memory = get(&self.memory.join(group), "memory.limit_in_bytes")?;
        let pids = get(&self.pids.join(group), "pids.max")?;
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u64>().ok());
        let limits = (|| {
            let cpu_millis = number(quota)? * 1_000 / number(period)?.max(1);
            Some(Limits {
                cpu_millis: u32::try_from(cpu_millis).ok()?,
                memory_bytes: number(memory)?,
                pids_max: u32::try_from(number(pids)?).ok()?,
            })
        })();
        Ok(limits)
    }

    fn kill(&self, group: &str) -> Outcome<()> {
        // No new processes while the old ones are killed: a fork bomb cannot outrun this.
        let pids = self.pids.join(group);
        if pids.exists() {
            set(&pids, "pids.max", "0")?;
        }
        for pid in self.members(group)? {
            processes::kill(pid);
        }
        Ok(())
    }
}

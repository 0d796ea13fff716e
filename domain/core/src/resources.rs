//! An amount of compute in base units: what a SKU sells, a node has and an allocation gets.
use serde::{Deserialize, Serialize};

/// An amount of compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a CPU core.
    pub cpu_millis: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Disk in bytes.
    pub disk_bytes: u64,
    /// Processes and threads at once.
    pub pids_max: u32,
}

const SMALLEST_BYTES: u64 = 16 << 20;

impl Resources {
    /// Whether one can rent this much: nothing is zero, memory and disk are at least 16 MiB.
    #[must_use]
    pub const fn is_sellable(self) -> bool {
        self.cpu_millis > 0
            && self.pids_max > 0
            && self.memory_bytes >= SMALLEST_BYTES
            && self.disk_bytes >= SMALLEST_BYTES
    }

    /// What is left after taking `other`; `None` when it does not fit.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        Some(Self {
            cpu_millis: self.cpu_millis.checked_sub(other.cpu_millis)?,
            memory_bytes: self.memory_bytes.checked_sub(other.memory_bytes)?,
            disk_bytes: self.disk_bytes.checked_sub(other.disk_bytes)?,
            pids_max: self.pids_max.checked_sub(other.pids_max)?,
        })
    }

    /// Of each as much as either has.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            disk_bytes: self.disk_bytes.max(other.disk_bytes),
            pids_max: self.pids_max.max(other.pids_max),
        }
    }

    /// Both together, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            disk_bytes: self.disk_bytes.saturating_add(other.disk_bytes),
            pids_max: self.pids_max.saturating_add(other.pids_max),
        }
    }
}

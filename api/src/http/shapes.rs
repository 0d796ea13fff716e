//! Shapes that the bodies of several contexts share.
use cairn_core::Resources;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A body without members.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// An amount of compute.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcesDto {
    /// Thousandths of a CPU core.
    #[schema(example = 500)]
    pub cpu_millis: u32,
    /// Bytes of memory.
    #[schema(example = 268435456)]
    pub memory_bytes: u64,
    /// Bytes of disk.
    #[schema(example = 268435456)]
    pub disk_bytes: u64,
    /// Processes and threads at once.
    #[schema(example = 128)]
    pub pids_max: u32,
}

impl From<ResourcesDto> for Resources {
    fn from(dto: ResourcesDto) -> Self {
        let ResourcesDto { cpu_millis, memory_bytes, disk_bytes, pids_max } = dto;
        Self { cpu_millis, memory_bytes, disk_bytes, pids_max }
    }
}

impl ResourcesDto {
    /// From the columns of a row.
    #[must_use]
    pub fn of(cpu_millis: i64, memory_bytes: i64, disk_bytes: i64, pids_max: i64) -> Self {
        Self {
            cpu_millis: u32::try_from(cpu_millis).unwrap_or(u32::MAX),
            memory_bytes: memory_bytes.unsigned_abs(),
            disk_bytes: disk_bytes.unsigned_abs(),
            pids_max: u32::try_from(pids_max).unwrap_or(u32::MAX),
        }
    }
}

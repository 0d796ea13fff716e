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

/// What a node posts of itself; `cairn-node enrol` makes it.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes what infra/node reads and writes")]
pub struct EnrolBody {
    /// From the invitation; shown once, good for one node.
    token: String,
    /// How the node calls itself.
    hostname: String,
    /// Where its SSH server is; where the request came from when absent.
    address: Option<String>,
    /// Port of its SSH server.
    port: u16,
    /// Its public host keys, `type base64`.
    host_keys: Vec<String>,
    /// What it is and has, as its helper saw it.
    facts: serde_json::Value,
}

/// What a node is answered: text, and the signature by which it knows who says so.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes what infra/node reads and writes")]
pub struct EnrolAnswer {
    /// JSON text: the keys that the node is to trust, and its certificates.
    answer: String,
    /// Armoured SSH signature over the text by the authority named in the invitation.
    signature: String,
}

//! One JSON document in, one JSON document out.
use serde::{Deserialize, Serialize};

/// The closed list of verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// What the machine is and has. Changes nothing.
    Facts,
    /// Brings one step about.
    Ensure,
    /// Takes one step back.
    Undo,
    /// Closes the login, ends every process and looks whether any is left. Account, home and limits stay.
    Suspend,
    /// Takes everything of an allocation away and looks whether anything is left.
    Teardown,
    /// What there is of an allocation. Changes nothing.
    Inspect,
    /// Takes renewed host certificates into use.
    Certify,
    /// What there is of every allocation, and what belongs to none. Changes nothing.
    Inventory,
}

/// A step of provisioning, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Step {
    Uid,
    Home,
    User,
    Limits,
    Access,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 5] = [Self::Uid, Self::Home, Self::User, Self::Limits, Self::Access];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Home => "home",
            Self::User => "user",
            Self::Limits => "limits",
            Self::Access => "access",
        }
    }
}

/// An amount of compute, as in `cairn-core`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Resources {
    /// Thousandths of a CPU core.
    pub cpu_millis: u32,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    /// Processes and threads at once.
    pub pids_max: u32,
}

/// What an allocation is on its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct TenantArguments {
    pub login: String,
    pub uid: u32,
    pub resources: Resources,
    /// The customer's own key, `type base64`.
    pub ssh_public_key: String,
}

/// What a verb needs beside the allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Arguments {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantArguments>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<HostCertificates>,
}

/// Certificates for a node's host keys, in OpenSSH's format, and when they end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct HostCertificates {
    pub certificates: Vec<String>,
    pub serial: u64,
    /// Microseconds since the epoch.
    pub until_micros: i64,
}

/// What is asked of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The verb.
    pub op: Operation,
    /// The allocation; every verb but `facts` has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub allocation_id: String,
    /// Grows with each new wish for the same allocation; an older one is refused.
    #[serde(default)]
    pub generation: u64,
    /// The same key answers the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What the verb needs.
    #[serde(default)]
    pub args: Arguments,
}

/// What a node is and has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Host name.
    pub hostname: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os: String,
    /// Version of `cairn-node`.
    pub helper_version: String,
    /// `v1`, `v2` or `none`.
    pub cgroup: String,
    /// How homes are limited in size: `loop` or `none`.
    pub home_limit: String,
    /// The node's clock, microseconds since the epoch.
    pub clock_micros: i64,
    /// Which boot it runs: the kernel's `boot_id`. Empty when the machine does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// How long it is up, milliseconds.
    #[serde(default)]
    pub uptime_millis: u64,
    /// When its host certificates end, microseconds since the epoch; absent before enrolment.
    #[serde(default)]
    pub certified_until_micros: Option<i64>,
    /// All it has; of the disk what is free, and what the homes of tenants have of it.
    pub total: Resources,
    /// Highest uid that its tenants have, or had a short time ago; 0 when there was none.
    #[serde(default)]
    pub last_uid: u32,
    /// What of it is in use; absent when the machine does not say.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// What the node's owner must still do before it can run allocations; empty when ready.
    pub missing: Vec<String>,
}

/// What is in use, in thousandths. Load may exceed a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Usage {
    /// Of all cores, on average over the last minute: processes that run or wait for a disk.
    pub cpu_permille: u16,
    /// Of all memory, what is not available without swapping.
    pub memory_permille: u16,
    /// Of the file system that holds the homes' images.
    pub disk_permille: u16,
}

/// What there is of an allocation. An absent field means: nothing of it is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Observed {
    pub uid: Option<String>,
    pub home: Option<String>,
    pub user: Option<String>,
    pub limits: Option<String>,
    pub access: Option<String>,
    /// Processes in the allocation's cgroup or under its uid.
    pub processes: Vec<u32>,
}

/// Everything on a node that is an allocation's, or looks like one's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// By allocation, in the order of their ids.
    pub allocations: Vec<Held>,
    /// What is in the name space of allocations and belongs to none of them; the first [`STRAYS_MAX`].
    pub strays: Vec<String>,
}

/// Strays that an inventory names.
pub const STRAYS_MAX: usize = 200;

/// What a node has of an allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Held {
    pub allocation_id: String,
    /// The last one that its journal knows; 0 when it knows none.
    pub generation: u64,
    /// What was last asked for; absent when the journal does not know the allocation.
    pub tenant: Option<TenantArguments>,
    /// What is as it was asked for.
    pub observed: Observed,
    /// Steps of which something is there, but not as it was asked for.
    pub partial: Vec<Step>,
}

/// What a caller may do after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Try again with the same key.
    Transient,
    /// It will not work this way, however often it is tried.
    Permanent,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Answer {
    Facts(Facts),
    /// The step is so, as observed after acting.
    Done {
        observed: String,
        /// The key was used before: this is the first answer.
        #[serde(default)]
        replayed: bool,
    },
    /// What is left (empty: nothing) and what was looked at.
    TornDown {
        left: Vec<String>,
        evidence: String,
        #[serde(default)]
        replayed: bool,
    },
    Inspected(Observed),
    Inventory(Inventory),
    Refused {
        kind: Kind,
        code: String,
        message: String,
    },
}

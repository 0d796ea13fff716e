//! What a node says of itself when it enrols, and the keys it is known by from then on.
use cairn_core::Resources;
use serde::{Deserialize, Serialize};

/// A public SSH host key: `type base64`, as in `ssh_host_*_key.pub` without the comment.
pub type HostKey = String;

/// What a node says of itself when it enrols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Host name the node gives itself.
    pub hostname: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os: String,
    /// Version of `cairn-node`.
    pub helper_version: String,
    /// `v1`, `v2` or `none`.
    pub cgroup: String,
    /// All it has; pids and disk included.
    pub total: Resources,
    /// Highest uid that tenants have there, or had a short time ago, also under another control plane or node id; 0 when there was none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_uid: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

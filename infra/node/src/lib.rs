//! What `cairn-node` says and hears: the wire between the control plane and a node.
//!
//! The helper itself is the binary of this crate. This library holds only the documents that cross
//! the wire, so that both ends share one definition and nothing else.
mod enrolment;
mod wire;

pub use enrolment::{ENROL_NAMESPACE, EnrolRequest, EnrolResponse, SignedEnrolment, node_of_token};
pub use wire::{
    Answer, Arguments, Facts, Held, HostCertificates, Inventory, Kind, Observed, Operation,
    Request, Resources, STRAYS_MAX, Step, TenantArguments, Usage,
};

/// The account the control plane logs in to. Root's second name, with a forced command and nothing else.
pub const CONTROL_ACCOUNT: &str = "cairn-control";
/// The group every tenant belongs to; sshd and PAM tell tenants by it.
pub const TENANT_GROUP: &str = "cairn-tenants";
/// The command that control certificates carry. The node's sshd forces its own path to it.
pub const CONTROL_COMMAND: &str = "cairn-node serve";

/// Principal of the control plane on one node.
#[must_use]
pub fn control_principal(node_id: &str) -> String {
    format!("ctl:{node_id}")
}

/// Principal of a tenant's session certificates.
#[must_use]
pub fn tenant_principal(allocation_id: &str) -> String {
    format!("alloc:{allocation_id}")
}

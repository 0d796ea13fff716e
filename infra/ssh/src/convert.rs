//! Between the wire's shapes and the domain's.
use cairn_commands::ports::{FailureKind, NodeTarget, PortError, Tenant};
use cairn_compute::Step;
use cairn_core::Resources;
use cairn_fleet::{NodeFacts, Usage};
use cairn_node::{Facts, Kind, TenantArguments};

pub fn facts_from_wire(facts: &Facts) -> NodeFacts {
    NodeFacts {
        hostname: facts.hostname.clone(),
        os: facts.os.clone(),
        helper_version: facts.helper_version.clone(),
        cgroup: facts.cgroup.clone(),
        last_uid: facts.last_uid,
        total: Resources {
            cpu_millis: facts.total.cpu_millis,
            memory_bytes: facts.total.memory_bytes,
            disk_bytes: facts.total.disk_bytes,
            pids_max: facts.total.pids_max,
        },
    }
}

pub const fn usage_from_wire(usage: cairn_node::Usage) -> Usage {
    Usage {
        cpu_permille: usage.cpu_permille,
        memory_permille: usage.memory_permille,
        disk_permille: usage.disk_permille,
    }
}

pub fn tenant_to_wire(tenant: &Tenant) -> TenantArguments {
    TenantArguments {
        login: tenant.login.clone(),
        uid: tenant.uid,
        resources: cairn_node::Resources {
            cpu_millis: tenant.resources.cpu_millis,
            memory_bytes: tenant.resources.memory_bytes,
            disk_bytes: tenant.resources.disk_bytes,
            pids_max: tenant.resources.pids_max,
        },
        ssh_public_key: tenant.ssh_public_key.clone(),
    }
}

/// The helper's name of a step; `None` for the one that the control plane does itself.
pub const fn step_to_wire(step: Step) -> Option<cairn_node::Step> {
    match step {
        Step::Uid => Some(cairn_node::Step::Uid),
        Step::Home => Some(cairn_node::Step::Home),
        Step::User => Some(cairn_node::Step::User),
        Step::Limits => Some(cairn_node::Step::Limits),
        Step::Access => Some(cairn_node::Step::Access),
        Step::Prove => None,
    }
}

pub fn refusal(node: &NodeTarget, kind: Kind, code: &str, message: &str) -> PortError {
    let kind = match kind {
        Kind::Transient => FailureKind::Transient,
        Kind::Permanent => FailureKind::Permanent,
    };
    PortError::new(kind, code, format!("{}: {message}", node.node_id))
}

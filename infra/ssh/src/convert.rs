//! Between the wire's shapes and the domain's.
use cairn_commands::ports::{FailureKind, HeldThere, Inventory, NodeTarget, PortError, Tenant};
use cairn_compute::Step;
use cairn_core::{AllocationId, Resources, Timestamp};
use cairn_fleet::{Beat, NodeFacts, Usage};
use cairn_node::{Facts, Kind, TenantArguments};

pub fn facts_from_wire(facts: &Facts) -> NodeFacts {
    NodeFacts {
        hostname: facts.hostname.clone(),
        os: facts.os.clone(),
        helper_version: facts.helper_version.clone(),
        cgroup: facts.cgroup.clone(),
        last_uid: facts.last_uid,
        total: resources_from_wire(facts.total),
    }
}

/// A helper of before says nothing of its boot.
pub fn beat_from_wire(facts: &Facts) -> Option<Beat> {
    let beat = Beat {
        boot_id: facts.boot_id.clone(),
        sequence: facts.uptime_millis,
        clock_at: Timestamp::from_micros(facts.clock_micros),
    };
    Some(beat).filter(|beat| !beat.boot_id.is_empty())
}

const fn resources_from_wire(wire: cairn_node::Resources) -> Resources {
    Resources {
        cpu_millis: wire.cpu_millis,
        memory_bytes: wire.memory_bytes,
        disk_bytes: wire.disk_bytes,
        pids_max: wire.pids_max,
    }
}

/// What bears an id that is not one of ours is a stray.
pub fn inventory_from_wire(wire: cairn_node::Inventory) -> Inventory {
    let mut inventory = Inventory { strays: wire.strays, ..Inventory::default() };
    for held in wire.allocations {
        match held.allocation_id.parse() {
            Ok(allocation_id) => inventory.allocations.push(held_from_wire(allocation_id, held)),
            Err(_) => inventory.strays.push(format!("allocation {}", held.allocation_id)),
        }
    }
    inventory
}

fn held_from_wire(allocation_id: AllocationId, held: cairn_node::Held) -> HeldThere {
    let observed = held.observed;
    let tenant = held.tenant.map(|tenant| Tenant {
        allocation_id,
        login: tenant.login,
        uid: tenant.uid,
        resources: resources_from_wire(tenant.resources),
        ssh_public_key: tenant.ssh_public_key,
    });
    let steps = [
        (Step::Uid, observed.uid),
        (Step::Home, observed.home),
        (Step::User, observed.user),
        (Step::Limits, observed.limits),
        (Step::Access, observed.access),
    ];
    HeldThere {
        allocation_id,
        generation: held.generation,
        tenant,
        observed: steps.into_iter().filter_map(|(step, seen)| Some((step, seen?))).collect(),
        partial: held.partial.into_iter().map(step_from_wire).collect(),
        processes: observed.processes.len(),
    }
}

const fn step_from_wire(step: cairn_node::Step) -> Step {
    match step {
        cairn_node::Step::Uid => Step::Uid,
        cairn_node::Step::Home => Step::Home,
        cairn_node::Step::User => Step::User,
        cairn_node::Step::Limits => Step::Limits,
        cairn_node::Step::Access => Step::Access,
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
        ssh_public_key: match tenant.ssh_public_key.as_str() {
            "" => NOBODYS_KEY.to_owned(),
            key => key.to_owned(),
        },
    }
}

/// What the node is told where the tenant's key was erased. It only takes such a tenant off. Nobody
/// has its private half: its bytes are the SHA-256 of `nobody's key`.
const NOBODYS_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKivCW7/fquhuyrlTlVjLSxrn+uPbaTpuNb7j8EPHKCY";

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

//! Where a node's inventory and the log differ. Pure.
//!
//! | the log says | the node has | finding |
//! |---|---|---|
//! | active here | a step is not there at all | `missing_on_node` |
//! | active here | a step is there and not as it was asked for, or something else was asked for | `differs` |
//! | suspended here | the same of all but the login; or the login is open | the same; or `differs` |
//! | over here, elsewhere or unknown | anything | `left_on_node` |
//! | being built, suspended, resumed or taken down, or moved while we looked | whatever | none: its process is at work on it |
use std::collections::BTreeMap;

use cairn_compute::{Allocation, AllocationStatus, Step};
use cairn_core::{AllocationId, NodeId};
use cairn_fleet::{Comparison, Finding, FindingKind, LogSays};

use crate::ports::{HeldThere, Inventory, Tenant};

/// An allocation as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its state.
    pub allocation: Allocation,
    /// It changed while the node was asked.
    pub moved: bool,
}

/// What of provisioning stays on a node.
const KEPT: [Step; 5] = [Step::Uid, Step::Home, Step::User, Step::Limits, Step::Access];

/// Holds an inventory against what is known of the allocations that are placed on the node or that the node names.
#[must_use]
pub fn compare(
    node_id: NodeId,
    known: &BTreeMap<AllocationId, Known>,
    inventory: &Inventory,
) -> Comparison {
    let mut findings = Vec::new();
    let mut agreed = 0;
    let there: BTreeMap<_, _> =
        inventory.allocations.iter().map(|held| (held.allocation_id, held)).collect();
    let ids = known.keys().chain(there.keys()).collect::<std::collections::BTreeSet<_>>();
    for id in ids {
        let found = of_one(node_id, *id, known.get(id), there.get(id).copied());
        agreed += u32::from(found.is_empty());
        findings.extend(found);
    }
    findings.extend(inventory.strays.iter().map(|what| Finding {
        kind: FindingKind::LeftOnNode,
        allocation_id: None,
        log_says: LogSays::Unknown,
        what: what.clone(),
    }));
    Comparison::of(agreed, findings)
}

fn of_one(
    node_id: NodeId,
    id: AllocationId,
    known: Option<&Known>,
    held: Option<&HeldThere>,
) -> Vec<Finding> {
    let finding = |kind, log_says, what| Finding { kind, allocation_id: Some(id), log_says, what };
    let left = |log_says| {
        let what = held.map(HeldThere::summary);
        what.map(|what| finding(FindingKind::LeftOnNode, log_says, what)).into_iter().collect()
    };
    let Some(Known { allocation, moved }) = known else { return left(LogSays::Unknown) };
    if *moved {
        return vec![];
    }
    let here = allocation.placement.filter(|placement| placement.node_id == node_id);
    match (allocation.status, here) {
        (AllocationStatus::Unknown | AllocationStatus::Rejected, _)
        | (AllocationStatus::Requested | AllocationStatus::Failed, None) => left(LogSays::Unknown),
        (_, None) => left(LogSays::Elsewhere),
        (
            AllocationStatus::Settling | AllocationStatus::Released | AllocationStatus::Failed,
            Some(_),
        ) => left(LogSays::Over),
        (status @ (AllocationStatus::Active | AllocationStatus::Suspended), Some(placement)) => {
            let wanted = Tenant {
                allocation_id: id,
                login: allocation.login.clone(),
                uid: placement.uid,
                resources: allocation.resources,
                ssh_public_key: allocation.ssh_public_key.clone(),
            };
            let open = status == AllocationStatus::Active;
            let differences = of_living(&wanted, held, open).into_iter();
            differences.map(|(kind, what)| finding(kind, LogSays::Active, what)).collect()
        }
        (
            AllocationStatus::Requested
            | AllocationStatus::Reserved
            | AllocationStatus::Provisioning
            | AllocationStatus::Suspending
            | AllocationStatus::Resuming
            | AllocationStatus::Compensating
            | AllocationStatus::Releasing,
            Some(_),
        ) => vec![],
    }
}

/// `open`: whether the login is to be there.
fn of_living(wanted: &Tenant, held: Option<&HeldThere>, open: bool) -> Vec<(FindingKind, String)> {
    let Some(held) = held else {
        return vec![(FindingKind::MissingOnNode, "everything".to_owned())];
    };
    let names =
        |steps: Vec<Step>| steps.iter().map(|step| step.name()).collect::<Vec<_>>().join(", ");
    let kept = KEPT.into_iter().filter(|step| open || *step != Step::Access);
    let lacking = kept.filter(|step| !held.observed.contains_key(step));
    let (partial, missing): (Vec<_>, Vec<_>) = lacking.partition(|s| held.partial.contains(s));
    let mut differences = Vec::new();
    if !missing.is_empty() {
        differences.push((FindingKind::MissingOnNode, names(missing)));
    }
    let mut other: Vec<String> = match &held.tenant {
        Some(tenant) => asked_otherwise(wanted, tenant),
        None => vec!["the node's journal does not know it".to_owned()],
    };
    let access = held.observed.contains_key(&Step::Access) || held.partial.contains(&Step::Access);
    if access && !open {
        other.push("the login is open".to_owned());
    }
    if held.processes > 0 && !open {
        other.push(format!("{} processes run", held.processes));
    }
    if !partial.is_empty() {
        other.insert(0, format!("{} not as asked for", names(partial)));
    }
    if !other.is_empty() {
        differences.push((FindingKind::Differs, other.join("; ")));
    }
    differences
}

/// The node keeps what it was last asked for, which may not be what the log says.
fn asked_otherwise(wanted: &Tenant, there: &Tenant) -> Vec<String> {
    let mut other = Vec::new();
    if (wanted.uid, &wanted.login) != (there.uid, &there.login) {
        other.push(format!("uid {} instead of {}", there.uid, wanted.uid));
    }
    if wanted.resources != there.resources {
        other.push(format!("{:?} instead of {:?}", there.resources, wanted.resources));
    }
    // Without one: it was erased, and nobody knows any more which it was.
    if !wanted.ssh_public_key.is_empty() && wanted.ssh_public_key != there.ssh_public_key {
        other.push("another public key".to_owned());
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_compute::Placement;
    use cairn_core::{HoldId, Resources};

    const NODE: NodeId = NodeId::from_bits(1);
    const ID: AllocationId = AllocationId::from_bits(7);

    fn known(status: AllocationStatus, node_id: NodeId) -> Known {
        let placement = Some(Placement { node_id, uid: 20_000, hold_id: HoldId::from_bits(7) });
        let login = "t20000".to_owned();
        let allocation = Allocation { status, placement, login, ..Allocation::default() };
        Known { allocation, moved: false }
    }

    fn whole() -> HeldThere {
        HeldThere {
            allocation_id: ID,
            generation: 1,
            tenant: Some(Tenant {
                allocation_id: ID,
                login: "t20000".to_owned(),
                uid: 20_000,
                resources: Resources::default(),
                ssh_public_key: String::new(),
            }),
            observed: KEPT.into_iter().map(|step| (step, step.name().to_owned())).collect(),
            partial: vec![],
            processes: 0,
        }
    }

    /// Kind, what the log says, what: of each finding.
    fn found(known: Option<Known>, held: Option<HeldThere>) -> Vec<(FindingKind, LogSays, String)> {
        let known = known.map(|known| (ID, known)).into_iter().collect();
        let inventory = Inventory { allocations: held.into_iter().collect(), strays: vec![] };
        let findings = compare(NODE, &known, &inventory).findings.into_iter();
        findings.map(|found| (found.kind, found.log_says, found.what)).collect()
    }

    #[test]
    fn the_log_and_a_node_differ_in_three_ways() {
        use AllocationStatus as S;
        use FindingKind::{Differs, LeftOnNode, MissingOnNode};
        let without = |step, partial: &[Step]| {
            let mut held = HeldThere { partial: partial.to_vec(), ..whole() };
            held.observed.remove(&step);
            Some(held)
        };
        let here = |status| Some(known(status, NODE));
        let elsewhere = Some(known(S::Active, NodeId::from_bits(2)));
        let mut smaller = whole();
        smaller.tenant.as_mut().unwrap().uid = 20_001;
        let mut moved = known(S::Released, NODE);
        moved.moved = true;
        let all = "t20000: uid, home, user, limits, access";
        let one = |kind, says, what: &str| vec![(kind, says, what.to_owned())];
        let table = [
            (here(S::Active), Some(whole()), vec![]),
            (here(S::Active), None, one(MissingOnNode, LogSays::Active, "everything")),
            (
                here(S::Active),
                without(Step::Access, &[]),
                one(MissingOnNode, LogSays::Active, "access"),
            ),
            (
                here(S::Active),
                without(Step::Limits, &[Step::Limits]),
                one(Differs, LogSays::Active, "limits not as asked for"),
            ),
            (
                here(S::Active),
                Some(smaller),
                one(Differs, LogSays::Active, "uid 20001 instead of 20000"),
            ),
            (here(S::Suspended), without(Step::Access, &[]), vec![]),
            (here(S::Suspended), Some(whole()), one(Differs, LogSays::Active, "the login is open")),
            (here(S::Suspending), Some(whole()), vec![]),
            (here(S::Resuming), without(Step::Access, &[]), vec![]),
            (here(S::Released), Some(whole()), one(LeftOnNode, LogSays::Over, all)),
            (here(S::Failed), Some(whole()), one(LeftOnNode, LogSays::Over, all)),
            (here(S::Released), None, vec![]),
            (elsewhere.clone(), Some(whole()), one(LeftOnNode, LogSays::Elsewhere, all)),
            (elsewhere, None, vec![]),
            (None, Some(whole()), one(LeftOnNode, LogSays::Unknown, all)),
            (here(S::Provisioning), None, vec![]),
            (here(S::Releasing), Some(whole()), vec![]),
            (Some(moved), Some(whole()), vec![]),
        ];
        for (number, (known, held, expected)) in table.into_iter().enumerate() {
            assert_eq!(found(known, held), expected, "row {number}");
        }
    }

    #[test]
    fn only_what_the_log_proves_to_be_over_is_an_orphan() {
        let inventory = Inventory { allocations: vec![whole()], strays: vec!["home x".to_owned()] };
        let orphans = |known: Known| {
            let compared = compare(NODE, &[(ID, known)].into(), &inventory);
            assert_eq!(compared.left_on_node, 2);
            compared.findings.iter().filter_map(Finding::orphan).collect::<Vec<_>>()
        };
        assert_eq!(orphans(known(AllocationStatus::Released, NODE)), [ID]);
        let other = NodeId::from_bits(2);
        assert_eq!(orphans(known(AllocationStatus::Released, other)), []);
        let unknown = Known { allocation: Allocation::default(), moved: false };
        assert_eq!(orphans(unknown), []);
    }
}

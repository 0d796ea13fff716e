//! Nodes in memory, for machines without root and for tests of whoever calls nodes: the same promises about keys and generations, and
//! failures by script.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cairn_commands::ports::{
    FailureKind, HeldThere, IntentKey, Inventory, NodePort, NodeTarget, PortError, ProbeReport,
    StepReport, TeardownReport, Tenant,
};
use cairn_compute::Step;
use cairn_core::{AllocationId, NodeId, Resources};
use cairn_fleet::{Beat, NodeFacts, Usage};

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// A probe.
    Probe,
    /// An inventory.
    Inventory,
    /// A step.
    Ensure(Step),
    /// A suspension.
    Suspend,
    /// A teardown.
    Teardown,
}

/// When a scripted failure strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing was done.
    Before,
    /// All was done, and the answer is lost.
    After,
}

struct Fault {
    call: Call,
    when: When,
    error: PortError,
    /// How often yet; `None`: for ever.
    times: Option<u32>,
}

#[derive(Default)]
struct Allocation {
    generation: u64,
    torn_down: Option<u64>,
    tenant: Option<Tenant>,
    steps: BTreeSet<Step>,
    answers: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    usage: Usage,
    beat: Option<Beat>,
    faults: Vec<Fault>,
    calls: Vec<(NodeId, Call)>,
    bites: u32,
    allocations: BTreeMap<(NodeId, AllocationId), Allocation>,
}

/// Nodes by script.
pub struct ScriptedNodes {
    facts: NodeFacts,
    state: Mutex<State>,
}

impl Default for ScriptedNodes {
    fn default() -> Self {
        Self::new(Resources {
            cpu_millis: 8_000,
            memory_bytes: 16 << 30,
            disk_bytes: 200 << 30,
            pids_max: 32_768,
        })
    }
}

impl ScriptedNodes {
    /// Nodes that each have this much.
    #[must_use]
    pub fn new(total: Resources) -> Self {
        let facts = NodeFacts {
            hostname: "scripted".to_owned(),
            os: "scripted node".to_owned(),
            helper_version: env!("CARGO_PKG_VERSION").to_owned(),
            cgroup: "none".to_owned(),
            total,
            last_uid: 0,
        };
        Self { facts, state: Mutex::default() }
    }

    /// What a node says of itself.
    #[must_use]
    pub const fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    /// What every node says from now on is in use on it.
    pub fn use_up(&self, usage: Usage) {
        self.lock().usage = usage;
    }

    /// What every node says from now on of its boot and its clock; nothing until then.
    pub fn beat(&self, beat: Option<Beat>) {
        self.lock().beat = beat;
    }

    /// Makes a call fail, `times` times or for ever.
    pub fn fail(&self, call: Call, when: When, error: PortError, times: Option<u32>) {
        self.lock().faults.push(Fault { call, when, error, times });
    }

    /// Takes a step of an allocation away behind everybody's back, or puts it there.
    pub fn tamper(&self, at: (NodeId, AllocationId), step: Step, there: bool) {
        let mut state = self.lock();
        let steps = &mut state.allocations.entry(at).or_default().steps;
        if there {
            steps.insert(step)
        } else {
            steps.remove(&step)
        };
    }

    /// Takes all scripted failures away.
    pub fn mend(&self) {
        self.lock().faults.clear();
    }

    /// How many scripted failures have struck.
    pub fn bites(&self) -> u32 {
        self.lock().bites
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<(NodeId, Call)> {
        self.lock().calls.clone()
    }

    /// What there is on all nodes: allocation and step.
    pub fn left(&self) -> Vec<(AllocationId, Step)> {
        let state = self.lock();
        let each = state.allocations.iter();
        each.flat_map(|((_, id), found)| found.steps.iter().map(|step| (*id, *step))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn strike(&mut self, call: Call, when: When) -> Result<(), PortError> {
        let applies =
            |fault: &&mut Fault| fault.call == call && fault.when == when && fault.times != Some(0);
        let Some(fault) = self.faults.iter_mut().find(applies) else {
            return Ok(());
        };
        fault.times = fault.times.map(|left| left - 1);
        self.bites += 1;
        Err(fault.error.clone())
    }

    /// The first answer to this key, or leave to act.
    fn admit(
        &mut self,
        at: (NodeId, AllocationId),
        call: Call,
        key: &IntentKey,
    ) -> Result<Option<String>, PortError> {
        let known = self.allocations.entry(at).or_default();
        if let Some(answer) = known.answers.get(&key.id) {
            return Ok(Some(answer.clone()));
        }
        if key.generation < known.generation {
            return Err(PortError::permanent("stale_generation", "an older wish"));
        }
        match call {
            Call::Ensure(_) if known.torn_down.is_some_and(|gone| key.generation <= gone) => {
                return Err(PortError::permanent("allocation_gone", "it was torn down"));
            }
            Call::Ensure(_) => known.torn_down = None,
            Call::Teardown => known.torn_down = Some(key.generation),
            Call::Probe | Call::Inventory | Call::Suspend => {}
        }
        known.generation = key.generation;
        Ok(None)
    }
}

fn held(allocation_id: AllocationId, found: &Allocation) -> HeldThere {
    let kept = found.steps.iter().filter(|step| **step != Step::Prove);
    HeldThere {
        allocation_id,
        generation: found.generation,
        tenant: found.tenant.clone(),
        observed: kept.map(|step| (*step, format!("{} is so", step.name()))).collect(),
        partial: vec![],
        processes: 0,
    }
}

fn observed(tenant: &Tenant, step: Step) -> String {
    match step {
        Step::Prove => format!("uid={0}({1}) gid={0}({1})", tenant.uid, tenant.login),
        Step::Uid | Step::Home | Step::User | Step::Limits | Step::Access => {
            format!("{} of {} is so", step.name(), tenant.login)
        }
    }
}

#[async_trait]
impl NodePort for ScriptedNodes {
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError> {
        let mut state = self.lock();
        state.calls.push((node.node_id, Call::Probe));
        state.strike(Call::Probe, When::Before)?;
        let (usage, beat) = (Some(state.usage), state.beat.clone());
        Ok(ProbeReport { facts: self.facts.clone(), usage, beat })
    }

    async fn inventory(&self, node: &NodeTarget) -> Result<Inventory, PortError> {
        let mut state = self.lock();
        state.calls.push((node.node_id, Call::Inventory));
        state.strike(Call::Inventory, When::Before)?;
        let here = state
            .allocations
            .iter()
            .filter(|((node_id, _), found)| *node_id == node.node_id && !found.steps.is_empty());
        Ok(Inventory {
            allocations: here.map(|((_, id), found)| held(*id, found)).collect(),
            strays: vec![],
        })
    }

    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let (call, at) = (Call::Ensure(step), (node.node_id, tenant.allocation_id));
        let mut state = self.lock();
        state.calls.push((node.node_id, call));
        state.strike(call, When::Before)?;
        if let Some(observed) = state.admit(at, call, key)? {
            return Ok(StepReport { observed });
        }
        let allocation = state.allocations.entry(at).or_default();
        let lacking = Step::ALL.iter().find(|s| **s < step && !allocation.steps.contains(s));
        if let Some(lacking) = lacking {
            let message = format!("step {} comes first", lacking.name());
            return Err(PortError::new(FailureKind::Permanent, "step_lost", message));
        }
        let observed = observed(tenant, step);
        allocation.steps.insert(step);
        allocation.tenant = Some(tenant.clone());
        allocation.answers.insert(key.id.clone(), observed.clone());
        state.strike(call, When::After)?;
        Ok(StepReport { observed })
    }

    async fn suspend(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let (call, at) = (Call::Suspend, (node.node_id, tenant.allocation_id));
        let mut state = self.lock();
        state.calls.push((node.node_id, call));
        state.strike(call, When::Before)?;
        let observed = match state.admit(at, call, key)? {
            Some(observed) => observed,
            None => {
                let allocation = state.allocations.entry(at).or_default();
                let observed = format!("nobody logs in to {}", tenant.login);
                allocation.steps.remove(&Step::Access);
                allocation.answers.insert(key.id.clone(), observed.clone());
                observed
            }
        };
        state.strike(call, When::After)?;
        Ok(StepReport { observed })
    }

    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError> {
        let (call, at) = (Call::Teardown, (node.node_id, tenant.allocation_id));
        let mut state = self.lock();
        state.calls.push((node.node_id, call));
        state.strike(call, When::Before)?;
        let evidence = match state.admit(at, call, key)? {
            Some(evidence) => evidence,
            None => {
                let allocation = state.allocations.entry(at).or_default();
                let evidence = format!("{} steps taken back", allocation.steps.len());
                allocation.steps.clear();
                allocation.answers.insert(key.id.clone(), evidence.clone());
                evidence
            }
        };
        state.strike(call, When::After)?;
        Ok(TeardownReport { left: vec![], evidence })
    }
}

#[cfg(test)]
mod tests {
    use cairn_commands::ports::{IntentKey, NodePort, NodeTarget, PortError, Tenant};
    use cairn_compute::Step;
    use cairn_core::{AllocationId, NodeId, Resources};

    use super::{Call, ScriptedNodes, When};

    fn node() -> NodeTarget {
        let (address, host_keys) = ("scripted".to_owned(), vec![]);
        NodeTarget { node_id: NodeId::from_bits(1), address, port: 22, host_keys }
    }

    fn tenant() -> Tenant {
        Tenant {
            allocation_id: AllocationId::from_bits(2),
            login: "t20000".to_owned(),
            uid: 20_000,
            resources: Resources::default(),
            ssh_public_key: String::new(),
        }
    }

    fn key(id: &str, generation: u64) -> IntentKey {
        IntentKey { id: id.to_owned(), generation }
    }

    #[tokio::test]
    async fn an_answer_that_was_lost_is_the_same_the_next_time() {
        let nodes = ScriptedNodes::default();
        let lost = PortError::transient("lost", "the answer did not arrive");
        nodes.fail(Call::Ensure(Step::Uid), When::After, lost.clone(), Some(1));
        let first = nodes.ensure(&node(), &tenant(), Step::Uid, &key("k", 1)).await;
        assert_eq!(first.unwrap_err(), lost);
        assert_eq!(nodes.left().len(), 1, "it was done all the same");
        nodes.ensure(&node(), &tenant(), Step::Uid, &key("k", 1)).await.unwrap();
        assert_eq!((nodes.left().len(), nodes.bites(), nodes.calls().len()), (1, 1, 2));
    }

    #[tokio::test]
    async fn a_step_after_the_teardown_is_refused() {
        let nodes = ScriptedNodes::default();
        for step in Step::ALL {
            nodes.ensure(&node(), &tenant(), step, &key(step.name(), 1)).await.unwrap();
        }
        let torn = nodes.teardown(&node(), &tenant(), &key("down", 2)).await.unwrap();
        assert!(torn.left.is_empty() && nodes.left().is_empty());
        let late = nodes.ensure(&node(), &tenant(), Step::Uid, &key("late", 1)).await;
        assert_eq!(late.unwrap_err().code, "stale_generation");
    }
}

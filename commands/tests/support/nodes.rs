//! A node in memory: it has a journal of generations, forgets nothing by itself, and can be looked at.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cairn_commands::ports::{
    HeldThere, IntentKey, Inventory, NodeDirectory, NodePort, NodeTarget, PortError, ProbeReport,
    StepReport, TeardownReport, Tenant,
};
use cairn_compute::Step;
use cairn_core::{NodeId, Resources};
use cairn_fleet::{Beat, NodeFacts, Usage};

/// What a node has of one allocation.
#[derive(Debug, Default, Clone)]
pub struct Traces {
    pub generation: u64,
    pub there: Vec<Step>,
    /// Calls that changed something.
    pub changes: usize,
    /// Where it is.
    pub address: String,
    pub tenant: Option<Tenant>,
}

impl Traces {
    fn held(&self) -> Option<HeldThere> {
        let tenant = self.tenant.clone()?;
        let observed = self.there.iter().map(|step| (*step, step.name().to_owned()));
        Some(HeldThere {
            allocation_id: tenant.allocation_id,
            generation: self.generation,
            observed: observed.collect(),
            tenant: Some(tenant),
            partial: vec![],
            processes: 0,
        })
    }
}

/// Nodes in memory.
#[derive(Debug, Default)]
pub struct MemoryNodes {
    traces: Mutex<BTreeMap<String, Traces>>,
    silent: Mutex<Vec<String>>,
    usage: Mutex<Usage>,
    beat: Mutex<Option<Beat>>,
}

pub fn facts() -> NodeFacts {
    let gib = 1_u64 << 30;
    NodeFacts {
        hostname: "memory".to_owned(),
        os: "Memory GNU/Linux".to_owned(),
        helper_version: "1".to_owned(),
        cgroup: "v2".to_owned(),
        total: Resources {
            cpu_millis: 8_000,
            memory_bytes: 16 * gib,
            disk_bytes: 100 * gib,
            pids_max: 10_000,
        },
        last_uid: 0,
    }
}

impl MemoryNodes {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What is left of an allocation.
    pub fn left(&self, allocation_id: &str) -> Vec<String> {
        let traces = self.traces.lock().unwrap();
        let there = traces.get(allocation_id).map(|t| t.there.clone()).unwrap_or_default();
        there.into_iter().map(|step| step.name().to_owned()).collect()
    }

    /// What an allocation last was here.
    pub fn tenant(&self, allocation_id: &str) -> Option<Tenant> {
        self.traces.lock().unwrap().get(allocation_id)?.tenant.clone()
    }

    /// Calls for an allocation that changed something.
    pub fn changes(&self, allocation_id: &str) -> usize {
        let traces = self.traces.lock().unwrap();
        traces.get(allocation_id).map_or(0, |traces| traces.changes)
    }

    /// A step of an allocation is gone, or there again, behind everybody's back.
    pub fn tamper(&self, allocation_id: &str, step: Step, there: bool) {
        let mut all = self.traces.lock().unwrap();
        let steps = &mut all.get_mut(allocation_id).unwrap().there;
        steps.retain(|known| *known != step);
        if there {
            steps.push(step);
        }
    }

    /// A node at this address answers no more, or again.
    pub fn set_silent(&self, address: &str, silent: bool) {
        let mut all = self.silent.lock().unwrap();
        all.retain(|known| known != address);
        if silent {
            all.push(address.to_owned());
        }
    }

    /// What every node says from now on is in use on it.
    pub fn use_up(&self, usage: Usage) {
        *self.usage.lock().unwrap() = usage;
    }

    /// What every node says from now on of its boot and its clock.
    pub fn beat(&self, beat: Option<Beat>) {
        *self.beat.lock().unwrap() = beat;
    }

    fn answers(&self, node: &NodeTarget) -> Result<(), PortError> {
        if self.silent.lock().unwrap().contains(&node.address) {
            return Err(PortError::transient("unreachable", "no route to host"));
        }
        Ok(())
    }
}

#[async_trait]
impl NodePort for MemoryNodes {
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError> {
        self.answers(node)?;
        let beat = self.beat.lock().unwrap().clone();
        Ok(ProbeReport { facts: facts(), usage: Some(*self.usage.lock().unwrap()), beat })
    }

    async fn inventory(&self, node: &NodeTarget) -> Result<Inventory, PortError> {
        self.answers(node)?;
        let all = self.traces.lock().unwrap();
        let here = |traces: &&Traces| traces.address == node.address && !traces.there.is_empty();
        let there = all.values().filter(here).filter_map(Traces::held);
        Ok(Inventory { allocations: there.collect(), strays: vec![] })
    }

    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        self.answers(node)?;
        let mut all = self.traces.lock().unwrap();
        let traces = all.entry(tenant.allocation_id.to_string()).or_default();
        if key.generation < traces.generation {
            return Err(PortError::permanent("older_generation", "a newer wish was seen"));
        }
        traces.generation = key.generation;
        let resized = traces.tenant.as_ref().is_some_and(|it| it.resources != tenant.resources);
        if step != Step::Prove && (resized || !traces.there.contains(&step)) {
            traces.there.retain(|known| *known != step);
            traces.there.push(step);
            (traces.address, traces.tenant) = (node.address.clone(), Some(tenant.clone()));
            traces.changes += 1;
        }
        let observed = match step {
            Step::Prove => format!("uid={}({})", tenant.uid, tenant.login),
            other => format!("{} is there", other.name()),
        };
        Ok(StepReport { observed })
    }

    async fn suspend(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        self.answers(node)?;
        let mut all = self.traces.lock().unwrap();
        let traces = all.entry(tenant.allocation_id.to_string()).or_default();
        if key.generation < traces.generation {
            return Err(PortError::permanent("older_generation", "a newer wish was seen"));
        }
        traces.generation = key.generation;
        traces.there.retain(|step| *step != Step::Access);
        Ok(StepReport { observed: "0 processes".to_owned() })
    }

    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError> {
        self.answers(node)?;
        let mut all = self.traces.lock().unwrap();
        let traces = all.entry(tenant.allocation_id.to_string()).or_default();
        traces.generation = traces.generation.max(key.generation);
        traces.there.clear();
        Ok(TeardownReport { left: vec![], evidence: "no user, no files, no processes".to_owned() })
    }
}

/// The nodes of a test, all of them candidates.
#[derive(Debug, Default)]
pub struct FixedDirectory(pub Mutex<Vec<NodeId>>);

#[async_trait]
impl NodeDirectory for FixedDirectory {
    async fn candidates(&self, _: Resources) -> Result<Vec<NodeId>, PortError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

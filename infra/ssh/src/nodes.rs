//! The port: every call is one login with a key that was made for it.
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_commands::ports::{
    Clock, FailureKind, IdSource, IntentKey, Inventory, NodePort, NodeTarget, PortError,
    ProbeReport, StepReport, TeardownReport, Tenant,
};
use cairn_compute::Step;
use cairn_core::Timestamp;
use cairn_node::{Answer, Arguments, CONTROL_ACCOUNT, CONTROL_COMMAND, Facts, Operation, Request};

use crate::authority::CertificateAuthority;
use crate::client::{self, Errand, Failure, Patience};
use crate::convert::{
    beat_from_wire, facts_from_wire, inventory_from_wire, refusal, step_to_wire, tenant_to_wire,
    usage_from_wire,
};
use crate::error::AuthorityError;
use crate::prove;
use crate::source::SourceAddress;

/// A certificate is only as good as the clocks that judge it.
const SKEW_MICROS_MAX: i64 = 5_000_000;

/// Host certificates that end sooner than this are renewed.
const RENEW_SECONDS: i64 = 30 * 24 * 3_600;

/// How patient to be, and where we come from.
#[derive(Debug, Clone)]
pub struct SshConfig {
    /// For connecting and for logging in, each.
    pub connect_timeout: Duration,
    /// For one command. Making a large home or looking through a large disk takes its time.
    pub command_timeout: Duration,
    /// A node that has just enrolled is still taking its new keys into use: a probe tries again for so long.
    pub settle_timeout: Duration,
    /// Addresses that nodes see us connect from: logins work from nowhere else. Empty when they are not known.
    pub source_addresses: Vec<SourceAddress>,
}

impl Default for SshConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(120),
            settle_timeout: Duration::from_secs(5),
            source_addresses: Vec::new(),
        }
    }
}

/// Nodes over SSH.
#[derive(Clone)]
pub struct SshNodes {
    pub(crate) authority: Arc<CertificateAuthority>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    config: SshConfig,
}

impl SshNodes {
    /// Over these authorities.
    pub fn new(
        authority: Arc<CertificateAuthority>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        config: SshConfig,
    ) -> Self {
        Self { authority, clock, ids, config }
    }

    pub(crate) const fn patience(&self) -> Patience {
        Patience { connect: self.config.connect_timeout, command: self.config.command_timeout }
    }

    pub(crate) fn sources(&self) -> &[SourceAddress] {
        &self.config.source_addresses
    }

    /// Asks the helper on a node.
    pub(crate) async fn ask(
        &self,
        node: &NodeTarget,
        request: &Request,
    ) -> Result<Answer, PortError> {
        let failed = |failure: Failure| {
            failure.into_port(node, (FailureKind::Transient, "control_not_admitted"))
        };
        self.try_ask(node, request).await?.map_err(failed)
    }

    async fn try_ask(
        &self,
        node: &NodeTarget,
        request: &Request,
    ) -> Result<Result<Answer, Failure>, PortError> {
        let input = serde_json::to_vec(request)
            .map_err(|error| PortError::permanent("node_request_invalid", error.to_string()))?;
        let now = self.clock.now();
        let minted = self.authority.mint_control(node.node_id, self.sources(), now);
        let credential = minted.map_err(|error| authority_failed(&error))?;
        let (account, command) = (CONTROL_ACCOUNT, CONTROL_COMMAND);
        let errand = Errand { account, credential, command, input };
        let output = match client::run(node, errand, self.patience()).await {
            Ok(output) => output,
            Err(failure) => return Ok(Err(failure)),
        };
        tracing::debug!(node_id = %node.node_id, op = ?request.op, status = output.status, "node answered");
        let answer = serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let at = node.node_id;
            let message = format!("{at}: ended with {}: {error}: {said}", output.status);
            PortError::transient("node_answer_invalid", message)
        })?;
        Ok(Ok(answer))
    }

    async fn renew(&self, node: &NodeTarget, now: Timestamp) -> Result<(), PortError> {
        let named = (node.node_id, node.address.as_str());
        let certificates = self.authority.certify(named, &node.host_keys, now);
        let certificates = Some(certificates.map_err(|error| authority_failed(&error))?);
        let mut request = question(Operation::Certify);
        request.args.certificates = certificates;
        match self.ask(node, &request).await? {
            Answer::Done { observed, .. } => {
                tracing::info!(node_id = %node.node_id, observed, "host certificates renewed");
                Ok(())
            }
            other => Err(unexpected(node, &other)),
        }
    }

    async fn facts(&self, node: &NodeTarget) -> Result<Facts, PortError> {
        let request = question(Operation::Facts);
        let begun = tokio::time::Instant::now();
        loop {
            match self.try_ask(node, &request).await? {
                Ok(Answer::Facts(facts)) => return Ok(facts),
                Ok(other) => return Err(unexpected(node, &other)),
                Err(Failure::NotAdmitted(_) | Failure::Unreachable(_))
                    if begun.elapsed() < self.config.settle_timeout =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(failure) => {
                    let not_admitted = (FailureKind::Transient, "control_not_admitted");
                    return Err(failure.into_port(node, not_admitted));
                }
            }
        }
    }
}

pub fn authority_failed(error: &AuthorityError) -> PortError {
    PortError::transient("certificate_not_made", error.to_string())
}

pub fn unexpected(node: &NodeTarget, answer: &Answer) -> PortError {
    match answer {
        Answer::Refused { kind, code, message } => refusal(node, *kind, code, message),
        other => {
            let message = format!("{}: {other:?}", node.node_id);
            PortError::permanent("node_answer_unexpected", message)
        }
    }
}

/// A request about the node itself.
fn question(op: Operation) -> Request {
    let args = Arguments::default();
    Request { op, allocation_id: String::new(), generation: 0, key: String::new(), args }
}

/// The request for an allocation's node.
pub fn request(op: Operation, tenant: &Tenant, key: &IntentKey) -> Request {
    let args = Arguments { tenant: Some(tenant_to_wire(tenant)), ..Arguments::default() };
    let allocation_id = tenant.allocation_id.to_string();
    Request { op, allocation_id, generation: key.generation, key: key.id.clone(), args }
}

/// What of a node's facts forbids to use it.
fn check_facts(facts: &Facts, now: Timestamp) -> Result<(), PortError> {
    let release = |version: &str| {
        let mut parts = version.split('.').map(str::to_owned);
        (parts.next(), parts.next())
    };
    let (theirs, ours) = (facts.helper_version.as_str(), env!("CARGO_PKG_VERSION"));
    if release(theirs) != release(ours) {
        let message = format!("cairn-node is {theirs}, this control plane needs {ours}");
        return Err(PortError::permanent("helper_version", message));
    }
    if !facts.missing.is_empty() {
        let message = format!("the node lacks: {}", facts.missing.join(", "));
        return Err(PortError::permanent("node_not_ready", message));
    }
    let skew = facts.clock_micros.saturating_sub(now.as_micros());
    // What a beat says of a time to come is a fact about the node: whoever asked rejects it.
    let is_told = skew > 0 && beat_from_wire(facts).is_some();
    if !is_told && skew.saturating_abs() > SKEW_MICROS_MAX {
        let message = format!("the node's clock is {} ms off", skew / 1_000);
        return Err(PortError::permanent("clock_skew", message));
    }
    Ok(())
}

#[async_trait]
impl NodePort for SshNodes {
    async fn probe(&self, node: &NodeTarget) -> Result<ProbeReport, PortError> {
        let facts = self.facts(node).await?;
        let now = self.clock.now();
        check_facts(&facts, now)?;
        let ends = facts.certified_until_micros.unwrap_or(i64::MAX);
        if ends < now.plus_secs(RENEW_SECONDS).as_micros()
            && let Err(failure) = self.renew(node, now).await
        {
            // It is of use to customers only, and there are weeks to try again.
            tracing::warn!(node_id = %node.node_id, %failure, "host certificates not renewed");
        }
        let usage = facts.usage.map(usage_from_wire);
        Ok(ProbeReport { facts: facts_from_wire(&facts), usage, beat: beat_from_wire(&facts) })
    }

    async fn inventory(&self, node: &NodeTarget) -> Result<Inventory, PortError> {
        match self.ask(node, &question(Operation::Inventory)).await? {
            Answer::Inventory(inventory) => Ok(inventory_from_wire(inventory)),
            other => Err(unexpected(node, &other)),
        }
    }

    async fn ensure(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        step: Step,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        let Some(step) = step_to_wire(step) else {
            return prove::prove(self, node, tenant).await;
        };
        let mut request = request(Operation::Ensure, tenant, key);
        request.args.step = Some(step);
        match self.ask(node, &request).await? {
            Answer::Done { observed, .. } => Ok(StepReport { observed }),
            other => Err(unexpected(node, &other)),
        }
    }

    async fn suspend(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<StepReport, PortError> {
        match self.ask(node, &request(Operation::Suspend, tenant, key)).await? {
            Answer::Done { observed, .. } => Ok(StepReport { observed }),
            other => Err(unexpected(node, &other)),
        }
    }

    async fn teardown(
        &self,
        node: &NodeTarget,
        tenant: &Tenant,
        key: &IntentKey,
    ) -> Result<TeardownReport, PortError> {
        match self.ask(node, &request(Operation::Teardown, tenant, key)).await? {
            Answer::TornDown { left, evidence, .. } => Ok(TeardownReport { left, evidence }),
            other => Err(unexpected(node, &other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_core::Timestamp;
    use cairn_node::{Facts, Resources};

    use super::check_facts;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn facts() -> Facts {
        Facts {
            hostname: String::new(),
            os: String::new(),
            helper_version: env!("CARGO_PKG_VERSION").to_owned(),
            cgroup: "v2".to_owned(),
            home_limit: "loop".to_owned(),
            boot_id: String::new(),
            uptime_millis: 0,
            clock_micros: NOW.as_micros(),
            certified_until_micros: None,
            total: Resources::default(),
            last_uid: 0,
            usage: None,
            missing: vec![],
        }
    }

    #[test]
    fn a_node_with_a_wrong_clock_another_helper_or_something_missing_is_not_used() {
        let code = |facts: &Facts| check_facts(facts, NOW).map_err(|error| error.code);
        assert_eq!(code(&facts()), Ok(()));
        // One that is ahead is told of, and judged where it is kept.
        let ahead =
            Facts { clock_micros: NOW.as_micros() + 6_000_000, boot_id: "b".to_owned(), ..facts() };
        assert_eq!(code(&ahead), Ok(()));
        let unsaid = Facts { boot_id: String::new(), ..ahead };
        assert_eq!(code(&unsaid), Err("clock_skew".to_owned()));
        let late = Facts { clock_micros: NOW.as_micros() - 6_000_000, ..facts() };
        assert_eq!(code(&late), Err("clock_skew".to_owned()));
        let old = Facts { helper_version: "0.0.9".to_owned(), ..facts() };
        assert_eq!(code(&old), Err("helper_version".to_owned()));
        let bare = Facts { missing: vec!["cgroups".to_owned()], ..facts() };
        assert_eq!(code(&bare), Err("node_not_ready".to_owned()));
    }
}

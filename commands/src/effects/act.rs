//! What an effect acts with: ports, the executor, and ids derived from its intent.
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_compute::{Allocation, AllocationCommand};
use cairn_core::{AllocationId, Decider, NodeId, Timestamp};
use cairn_event_log::Metadata;
use cairn_fleet::{Node, NodeCommand};
use cairn_spans::Work;
use cairn_tasks::caught;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::ports::{FailureKind, NodeTarget, PortError, Tenant};
use crate::processes::Settings;
use crate::{CommandContext, ExecuteError, Executed, Executor};

use super::Effects;

/// For how long after a wish its first attempt is surely the first: within it, the provider still knows our key.
const FRESH_SECS: i64 = 3_600;

/// Where an intent comes from; travels on into every command it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Shared by everything that one request set in motion.
    pub correlation_id: String,
    /// The command that decided the causing event.
    pub causation_id: String,
    /// On whose behalf.
    pub organisation_id: Option<String>,
    /// Trace of the request, and the span in it that this follows from.
    pub traceparent: Option<String>,
    /// When that was; not known of intents that are older than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Origin {
    /// Of what an event leads to.
    pub(crate) fn of(metadata: &Metadata, recorded_at: Timestamp) -> Self {
        Self {
            correlation_id: metadata.correlation_id.clone(),
            causation_id: metadata.command_id.clone(),
            organisation_id: metadata.organisation_id.clone(),
            traceparent: metadata.traceparent.clone(),
            at: Some(recorded_at),
        }
    }

    /// The same out of a piece of work in between, if that is traced.
    pub(crate) fn through(mut self, work: &Work, now: Timestamp) -> Self {
        if let Some(traceparent) = work.traceparent() {
            (self.traceparent, self.at) = (Some(traceparent), Some(now));
        }
        self
    }
}

/// One attempt at one intent.
pub struct Act<'a> {
    /// Decides and appends.
    pub executor: &'a Executor,
    /// Ports.
    pub effects: &'a Effects,
    /// The process the intent is of.
    pub process: &'a str,
    /// The intent's id, whatever an operator asked for.
    pub intent_id: &'a str,
    /// The intent's id; with the round when an operator asked for another try, because first outcomes stand for ever.
    pub stem: String,
    /// Counts the attempts, from 1.
    pub attempt: u32,
    /// Where it comes from.
    pub origin: &'a Origin,
    /// Longest call of a port.
    pub timeout: Duration,
    /// The numbers of the business.
    pub settings: &'a Settings,
    /// Whether somebody outside was asked.
    pub asked: AtomicBool,
}

impl Act<'_> {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.effects.clock.now()
    }

    /// Whether the outside may have been asked already for what was asked of us at `asked_at`: by an earlier attempt, or by the system
    /// that this log is a copy of.
    pub fn may_have_acted(&self, asked_at: Timestamp) -> bool {
        let first = self.attempt <= 1 && self.stem == self.intent_id;
        !first || self.now().secs_since(asked_at) > FRESH_SECS
    }

    /// The context of a command that this attempt sends; `suffix` tells the commands of one intent apart.
    pub fn context(&self, suffix: &str) -> CommandContext {
        let command_id = format!("{}:{suffix}", self.stem);
        let organisation_id = self.origin.organisation_id.as_ref().and_then(|id| id.parse().ok());
        CommandContext {
            // Not of the body: a second attempt says the same at a later time.
            body_hash: Sha256::digest(&command_id).into(),
            command_id,
            actor: format!("process:{}", self.process),
            organisation_id,
            correlation_id: self.origin.correlation_id.clone(),
            causation_id: Some(self.origin.causation_id.clone()),
            traceparent: self.origin.traceparent.clone(),
            origin: Some(self.process.to_owned()),
        }
    }

    /// The same attempt under an id of its own.
    pub fn anew(&self) -> Self {
        let stem = format!("{}+{}", self.stem, self.attempt);
        Self { stem, asked: AtomicBool::new(false), ..*self }
    }

    /// Asks an aggregate.
    pub async fn execute<A: Decider>(
        &self,
        suffix: &str,
        aggregate_id: &str,
        command: A::Command,
    ) -> Result<Executed, PortError>
    where
        A::Command: Clone,
    {
        let context = self.context(suffix);
        self.executor
            .execute::<A>(aggregate_id, command, &context, Value::Null)
            .await
            .map_err(failure)
    }

    /// Asks an allocation.
    pub async fn allocation(
        &self,
        suffix: &str,
        allocation_id: AllocationId,
        command: AllocationCommand,
    ) -> Result<(), PortError> {
        self.execute::<Allocation>(suffix, &allocation_id.to_string(), command).await.map(drop)
    }

    /// Asks a node.
    pub async fn node(
        &self,
        suffix: &str,
        node_id: NodeId,
        command: NodeCommand,
    ) -> Result<(), PortError> {
        self.execute::<Node>(suffix, &node_id.to_string(), command).await.map(drop)
    }

    /// An aggregate as it is now.
    pub async fn load<A: Decider>(&self, aggregate_id: &str) -> Result<A, PortError> {
        self.executor.load::<A>(aggregate_id).await.map(|(state, _)| state).map_err(failure)
    }

    /// Calls a port, but not for ever.
    pub async fn call<T>(
        &self,
        port: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        self.note(call_within(self.timeout, port).await)
    }

    /// Looks at a node: no longer than until the next look.
    pub async fn look<T>(
        &self,
        port: impl Future<Output = Result<T, PortError>> + Send,
    ) -> Result<T, PortError> {
        let wait = u64::try_from(self.settings.watch_seconds).unwrap_or(1).max(1);
        self.note(call_within(self.timeout.min(Duration::from_secs(wait)), port).await)
    }

    fn note<T>(&self, answer: Result<T, PortError>) -> Result<T, PortError> {
        if answer.as_ref().err().is_none_or(|error| error.unasked.is_none()) {
            self.asked.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// Where a node is, and who an allocation is on it.
    pub async fn target_and_tenant(
        &self,
        node_id: NodeId,
        allocation_id: AllocationId,
        allocation: &Allocation,
    ) -> Result<(NodeTarget, Tenant), PortError> {
        let target = self.target(node_id).await?;
        let placement = allocation.placement.ok_or_else(|| {
            PortError::permanent("not_placed", "the allocation is not on any node")
        })?;
        // A rental that fails before its login is named has the login it would have got.
        let login = match allocation.login.as_str() {
            "" => format!("t{}", placement.uid),
            named => named.to_owned(),
        };
        // Whose key is erased keeps a tenant without one: it can be taken off its node, and not be put on it.
        let opened = self.executor.personal().open(&allocation.ssh_public_key).await?;
        let tenant = Tenant {
            allocation_id,
            login,
            uid: placement.uid,
            resources: allocation.wanted_resources(),
            ssh_public_key: opened.unwrap_or_default(),
        };
        Ok((target, tenant))
    }

    /// Where a node is, and by which keys it is known. A node that is not trusted is not spoken to, not even to take something off it: that
    /// is tried again until it is enrolled anew, or until the deadline keeps its capacity back and calls an operator.
    pub async fn target(&self, node_id: NodeId) -> Result<NodeTarget, PortError> {
        target_of(node_id, self.load::<Node>(&node_id.to_string()).await?)
    }

    /// Shuts a node out when it is not who it must be; passes the failure on.
    pub async fn distrust(&self, node_id: NodeId, failure: &PortError) -> Result<(), PortError> {
        if failure.kind == FailureKind::Untrusted {
            let (reason, at) = (failure.to_string(), self.now());
            self.node("distrust", node_id, NodeCommand::Quarantine { reason, at }).await?;
        }
        Ok(())
    }
}

/// Where a node is, if it is trusted.
pub(super) fn target_of(node_id: NodeId, node: Node) -> Result<NodeTarget, PortError> {
    if !node.may_be_reached() {
        let message = format!("{node_id} is {:?}: no login to it", node.lifecycle);
        return Err(PortError::transient("node_not_trusted", message));
    }
    let Node { address, port, host_keys, .. } = node;
    Ok(NodeTarget { node_id, address, port, host_keys })
}

async fn call_within<T>(
    longest: Duration,
    port: impl Future<Output = Result<T, PortError>> + Send,
) -> Result<T, PortError> {
    // One that panics may have done anything before, like one that never answers.
    match tokio::time::timeout(longest, caught(port)).await {
        Ok(Ok(answer)) => answer,
        Err(_) => Err(PortError::transient("timeout", format!("no answer in {longest:?}"))),
        Ok(Err(panicked)) => Err(PortError::transient("internal", panicked.to_string())),
    }
}

/// Whether an error says that this call did nothing and never will; otherwise it may have acted.
pub(crate) const fn is_definite(error: &PortError) -> bool {
    matches!(error.kind, FailureKind::Refused | FailureKind::Permanent)
}

/// Whether a definite error is about what was asked. A key that was used for something else says nothing of what became of it.
pub(crate) fn is_verdict(error: &PortError) -> bool {
    error.code != "provider_key_reused"
}

/// What a refused or failed command means to an effect.
pub(crate) fn failure(error: ExecuteError) -> PortError {
    match error {
        ExecuteError::Refused { code, message, .. } => PortError::refused(&code, message),
        ExecuteError::KeyReused => PortError::permanent("key_reused", "the command id was used"),
        ExecuteError::Conflict => PortError::transient("conflict", "the stream is very busy"),
        ExecuteError::Unavailable(cause) => PortError::transient("unavailable", cause),
        ExecuteError::InDoubt(cause) => PortError::transient("in_doubt", cause),
        ExecuteError::Internal(cause) => PortError::permanent("internal", cause),
    }
}

//! Commands of the fleet context: inviting, enrolling and steering nodes.
use cairn_core::{NodeId, Refusal, Resources};
use cairn_fleet::{HostKey, Node, NodeCommand, NodeFacts, Policy};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::answers::{first_answer, refused};
use crate::{CommandContext, Commands, ExecuteError, Executed, Expected};

/// How long an enrolment token is good for.
const TOKEN_SECONDS: i64 = 30 * 60;

/// A wish to have a node.
#[derive(Debug, Clone)]
pub struct InviteNode {
    /// A known node that is to enrol anew, for example after a quarantine; a new one when absent.
    pub node_id: Option<NodeId>,
    /// Its name.
    pub name: String,
}

/// A node that may enrol.
#[derive(Debug, Clone)]
pub struct Invited {
    /// Answers `{"node_id"}`.
    pub executed: Executed,
    /// The one-time token. Only its hash is kept, so a repeat of the command cannot show it again: invite again.
    pub token: Option<String>,
}

/// Invites a node. The token is good for 30 minutes, once.
///
/// # Errors
/// `node_name_invalid`, `node_in_wrong_state`, `node_retired`.
pub async fn invite_node(
    commands: &Commands,
    context: &CommandContext,
    input: InviteNode,
) -> Result<Invited, ExecuteError> {
    if let Some(answer) = first_answer(commands, context).await? {
        return Ok(Invited { executed: answer?, token: None });
    }
    let node_id = input.node_id.unwrap_or_else(|| NodeId::from_bits(commands.ids.next()));
    let token = format!("{node_id}.{:032x}{:032x}", commands.ids.next(), commands.ids.next());
    let at = commands.clock.now();
    let invite = NodeCommand::Invite {
        node_id,
        name: input.name,
        token_sha256: token_sha256(&token),
        expires_at: at.plus_secs(TOKEN_SECONDS),
        at,
    };
    let result = json!({ "node_id": node_id });
    let stream = node_id.to_string();
    let executed = commands.executor.execute::<Node>(&stream, invite, context, result).await?;
    let token = (!executed.replayed).then_some(token);
    Ok(Invited { executed, token })
}

/// The node that a token was made for; says nothing about whether it is good.
#[must_use]
pub fn node_of_token(token: &str) -> Option<NodeId> {
    token.split_once('.')?.0.parse().ok()
}

fn token_sha256(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// What a node says when it enrols.
#[derive(Debug, Clone)]
pub struct EnrolNode {
    /// Which node.
    pub node_id: NodeId,
    /// Its one-time token.
    pub token: String,
    /// Where its SSH server is.
    pub address: String,
    /// And on which port.
    pub port: u16,
    /// By which keys it is known from here on.
    pub host_keys: Vec<HostKey>,
    /// What it is.
    pub facts: NodeFacts,
    /// What is kept back for the machine itself.
    pub reserve: Resources,
    /// Serial of the host certificate that is signed for it.
    pub host_certificate_serial: u64,
}

/// Whether an enrolment may be signed and carried out: the token is good now, or this is the enrolment that it was good for and the answer
/// may be given once more.
///
/// Anybody may post an enrolment, so a refusal here is not stored, and nothing is signed before.
///
/// # Errors
/// `enrolment_token_refused`, also when there is no such node.
pub async fn check_enrolment(
    commands: &Commands,
    context: &CommandContext,
    input: &EnrolNode,
) -> Result<(), ExecuteError> {
    let (node, _) = commands.executor.load::<Node>(&input.node_id.to_string()).await?;
    let at = commands.clock.now();
    let Err(refusal) = node.check_token(&token_sha256(&input.token), at) else {
        return Ok(());
    };
    let same = node.may_hear_again((&input.address, input.port), &input.host_keys, at);
    match first_answer(commands, context).await? {
        Some(Ok(_)) if same => Ok(()),
        _ => Err(refused(refusal.code(), refusal.to_string())),
    }
}

/// Pins a node's keys and fixes its capacity. Answers `{"node_id"}`; `verify_node` goes on.
///
/// # Errors
/// `enrolment_token_refused`, `host_key_missing`, `no_capacity`.
pub async fn enrol_node(
    commands: &Commands,
    context: &CommandContext,
    input: EnrolNode,
) -> Result<Executed, ExecuteError> {
    check_enrolment(commands, context, &input).await?;
    let result = json!({ "node_id": input.node_id });
    let stream = input.node_id.to_string();
    let enrol = NodeCommand::Enrol {
        token_sha256: token_sha256(&input.token),
        address: input.address.clone(),
        port: input.port,
        host_keys: input.host_keys.clone(),
        facts: input.facts.clone(),
        reserve: input.reserve,
        host_certificate_serial: input.host_certificate_serial,
        at: commands.clock.now(),
    };
    let executed = commands.executor.execute::<Node>(&stream, enrol, context, result).await?;
    if executed.replayed {
        // The same words, posted twice at once: the other one may have come from another address.
        check_enrolment(commands, context, &input).await?;
    }
    Ok(executed)
}

/// A wish to steer what a node is used for.
#[derive(Debug, Clone)]
pub struct SetPolicy {
    /// Which node.
    pub node_id: NodeId,
    /// What for.
    pub policy: Policy,
    /// Why.
    pub reason: String,
    /// What was seen of it.
    pub expected: Expected,
}

/// Cordons, uncordons, drains or retires a node.
///
/// # Errors
/// `unknown_node`, `node_in_use`, `node_retired`, `precondition_failed`.
pub async fn set_policy(
    commands: &Commands,
    context: &CommandContext,
    input: SetPolicy,
) -> Result<Executed, ExecuteError> {
    let SetPolicy { node_id, policy, reason, expected } = input;
    let stream = node_id.to_string();
    let set = NodeCommand::SetPolicy { policy, reason, at: commands.clock.now() };
    let result = json!({ "node_id": node_id });
    let stream = (stream.as_str(), expected);
    commands.executor.execute_upon::<Node>(stream, set, context, result).await
}

//! The fleet: inviting, enrolling and steering nodes.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Path, Request, State};
use cairn_commands::fleet::{EnrolNode, InviteNode, SetPolicy};
use cairn_commands::{CommandContext, fleet};
use cairn_core::{NodeId, Resources};
use cairn_fleet::Policy;
use cairn_projections::fleet::nodes as view;
use cairn_ssh::{Applicant, CertificateAuthority, EnrolRequest, SignedEnrolment};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Done;
use super::body;
use super::edge::client::Client;
use super::page::Page;
use super::preview::{Answer, Staged};
use super::reader::{ListQuery, OneQuery, Reader, Seen};
use super::request_id::RequestId;
use super::shapes::{EnrolAnswer, EnrolBody, ResourcesDto};
use super::state::Api;
use super::wish::Wish;
use crate::problem::{Missing, Problem};
use crate::trace::Trace;

const REASON_MAX: usize = 500;

/// Routes of this file.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(invite_node, list_nodes))
        .routes(routes!(enrol_node))
        .routes(routes!(get_node))
        .routes(routes!(cordon_node))
        .routes(routes!(uncordon_node))
        .routes(routes!(drain_node))
        .routes(routes!(retire_node))
}

/// How nodes are let in.
#[derive(Clone)]
pub struct Enrolments {
    /// Who signs.
    pub authority: Arc<CertificateAuthority>,
    /// What of every node is kept back for the machine itself.
    pub reserve: Resources,
}

impl fmt::Debug for Enrolments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolments").field("reserve", &self.reserve).finish_non_exhaustive()
    }
}

impl Enrolments {
    /// The one line that the node's owner runs on it.
    #[must_use]
    pub fn command(&self, url: &str, token: &str) -> String {
        let plain = if url.starts_with("http://") { " --allow-plain-http" } else { "" };
        let authority = self.authority.fingerprint();
        format!("cairn-node enrol --url {url} --token {token} --authority {authority}{plain}")
    }
}

/// Invites a node. The token in the answer is shown once and good for 30 minutes.
#[utoipa::path(post, path = "/v1/nodes", operation_id = "invite_node", tag = "fleet",
    request_body = InviteBody, security(("api_key" = []), ("session" = [])),
    params(("Idempotency-Key" = String, Header, description = "Once per wish")),
    responses((status = 201, description = "Run `command` on the node", body = Invitation)))]
async fn invite_node(
    State(api): State<Api>,
    wish: Wish<InviteBody>,
) -> Result<Done<Invitation>, Problem> {
    let node_id = wish.body.node_id.as_deref().map(node_id).transpose()?;
    let input = InviteNode { node_id, name: wish.body.name };
    let invited = fleet::invite_node(&api.commands, &wish.context, input).await?;
    let id = invited.executed.aggregate_id.clone();
    let command = |token: &String| api.enrolments.command(&api.public_url, token);
    let body = Invitation { command: invited.token.as_ref().map(command), node_id: id.clone() };
    Ok(Done::created(&invited.executed, format!("/v1/nodes/{id}"), body))
}

/// Nodes, the last invited first.
#[utoipa::path(get, path = "/v1/nodes", operation_id = "list_nodes", tag = "fleet",
    params(ListQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "One page", body = Page<Node>)))]
async fn list_nodes(
    State(api): State<Api>,
    reader: Reader<ListQuery>,
) -> Result<Seen<Page<Node>>, Problem> {
    let page = reader.page()?;
    let at = reader.reach(&api, view::NAME).await?;
    let rows = view::list(api.pool(), view::Filter::default(), page.after, page.limit).await?;
    Ok(at.saw(reader.shown(rows, Node::from)?))
}

/// One node.
#[utoipa::path(get, path = "/v1/nodes/{node_id}", operation_id = "get_node", tag = "fleet",
    params(("node_id" = String, Path, description = "`node_…`"), OneQuery), security(("api_key" = []), ("session" = [])),
    responses((status = 200, description = "As it stands", body = Node)))]
async fn get_node(
    State(api): State<Api>,
    reader: Reader<OneQuery>,
    Path(id): Path<String>,
) -> Result<Seen<Node>, Problem> {
    let at = reader.reach(&api, view::NAME).await?;
    let row = view::get(api.pool(), &id).await?;
    let row = row.ok_or_else(|| Problem::missing(Missing::Node))?;
    at.saw_one::<cairn_fleet::Node, _>(&api, (&id, row.into())).await
}

/// Lets a node in that presents a valid token, pins its host keys, and answers with the keys it is to trust.
#[utoipa::path(post, path = "/v1/nodes/enrol", operation_id = "enrol_node", tag = "fleet",
    request_body = EnrolBody,
    responses((status = 200, description = "The signed answer", body = EnrolAnswer)))]
async fn enrol_node(
    State(api): State<Api>,
    wish: Enrolment,
) -> Result<Json<SignedEnrolment>, Problem> {
    let Enrolment { applicant, context } = wish;
    let mut input = enrol_input(applicant.clone(), api.enrolments.reserve);
    fleet::check_enrolment(&api.commands, &context, &input).await?;
    check_address(&api, &input).await?;
    let admission = api.enrolments.authority.admit(&applicant, api.commands.clock.now());
    let admission = admission.map_err(|error| Problem::internal(&error.to_string()))?;
    input.host_certificate_serial = admission.host_certificate_serial;
    fleet::enrol_node(&api.commands, &context, input).await?;
    Ok(Json(admission.answer))
}

/// A host certificate names the address: no two nodes may have the same.
async fn check_address(api: &Api, input: &EnrolNode) -> Result<(), Problem> {
    let node_id = input.node_id.to_string();
    match view::other_at(api.pool(), &input.address, &node_id).await? {
        None => Ok(()),
        Some(other) => {
            let detail = format!("{} is the address of {other}", input.address);
            Err(Problem::new("node_address_in_use", detail))
        }
    }
}

macro_rules! policy_route {
    ($(#[$doc:meta])* $name:ident, $operation:literal, $path:literal, $policy:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, operation_id = $operation, tag = "fleet",
            request_body = ReasonBody, security(("api_key" = []), ("session" = [])),
            params(
                ("node_id" = String, Path, description = "`node_…`"),
                ("Idempotency-Key" = String, Header, description = "Once per wish"),
            ),
            responses((status = 200, description = "It is so", body = NodeDone)))]
        async fn $name(
            State(api): State<Api>,
            Path(id): Path<String>,
            wish: Staged<ReasonBody>,
        ) -> Result<Answer<NodeDone>, Problem> {
            set_policy(&api, &id, wish, $policy).await
        }
    };
}

policy_route!(
    /// Takes no new allocations from now on; running ones stay.
    cordon_node, "cordon_node", "/v1/nodes/{node_id}/cordon", Policy::Cordoned
);
policy_route!(
    /// Takes new allocations again.
    uncordon_node, "uncordon_node", "/v1/nodes/{node_id}/uncordon", Policy::Schedulable
);
policy_route!(
    /// Takes no new allocations and shall become empty.
    drain_node, "drain_node", "/v1/nodes/{node_id}/drain", Policy::Draining
);
policy_route!(
    /// Ends a node for good; it must be empty.
    retire_node, "retire_node", "/v1/nodes/{node_id}/retire", Policy::Retired
);

async fn set_policy(
    api: &Api,
    id: &str,
    Staged { wish, stage }: Staged<ReasonBody>,
    policy: Policy,
) -> Result<Answer<NodeDone>, Problem> {
    let reason = wish.body.reason;
    if reason.is_empty() || reason.chars().count() > REASON_MAX {
        let detail = format!("a reason is 1 to {REASON_MAX} characters");
        return Err(Problem::new("reason_needed", detail));
    }
    let input = SetPolicy { node_id: node_id(id)?, policy, reason, expected: wish.expected };
    let done = fleet::set_policy(stage.commands(api), &wish.context, input).await?;
    if let Some(would) = stage.would(&done).await? {
        return Ok(would.into());
    }
    Ok(Done::ok(&done, NodeDone { node_id: id.to_owned(), policy: policy_name(policy) }).into())
}

const fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Schedulable => "schedulable",
        Policy::Cordoned => "cordoned",
        Policy::Draining => "draining",
        Policy::Retired => "retired",
    }
}

fn node_id(text: &str) -> Result<NodeId, Problem> {
    text.parse().map_err(|_| Problem::missing(Missing::Node))
}

/// A parsed enrolment: the token and what is said with it stand for a key, and make a repeat a repeat. Other words with the same token are
/// another wish.
#[derive(Debug)]
pub struct Enrolment {
    applicant: Applicant,
    context: CommandContext,
}

impl<S: Send + Sync> FromRequest<S> for Enrolment {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, stream) = request.into_parts();
        let bytes = body::read(stream, body::BODY_MAX).await?;
        let (enrol, value) = body::parse::<EnrolRequest>(&parts.headers, &bytes)?;
        let peer = Client::of(&parts.extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let applicant = Applicant::try_from_request(&enrol, peer)
            .map_err(|error| Problem::new(error.code(), error.to_string()))?;
        let request_id = parts.extensions.get::<RequestId>().map(RequestId::to_string);
        let body_hash = body::wish_hash(&parts.method, parts.uri.path(), &value);
        let wish = Sha256::new().chain_update(&enrol.token).chain_update(body_hash).finalize();
        let context = CommandContext {
            command_id: format!("enrol:{}", hex::encode(wish)),
            body_hash,
            actor: applicant.node_id.to_string(),
            organisation_id: None,
            correlation_id: request_id.unwrap_or_default(),
            causation_id: None,
            traceparent: parts.extensions.get::<Trace>().map(Trace::traceparent),
            origin: Some(peer.to_string()),
        };
        Ok(Self { applicant, context })
    }
}

/// Without the serial of a certificate, which is not signed yet.
fn enrol_input(applicant: Applicant, reserve: Resources) -> EnrolNode {
    let Applicant { node_id, token, address, port, host_keys, facts } = applicant;
    let host_certificate_serial = 0;
    EnrolNode { node_id, token, address, port, host_keys, facts, reserve, host_certificate_serial }
}

/// A node to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteBody {
    /// 1 to 63 of a-z, 0-9 and `-`.
    #[schema(example = "rack-7")]
    name: String,
    /// A known node that is to enrol anew, for example after a quarantine.
    node_id: Option<String>,
}

/// An invited node.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invitation {
    /// `node_…`
    node_id: String,
    /// The one line to run on the node; absent when the invitation is repeated, because the token is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// For the audit trail.
    #[schema(example = "kernel update")]
    reason: String,
}

/// It is so.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeDone {
    /// `node_…`
    node_id: String,
    /// What it is used for now.
    policy: &'static str,
}

/// A node as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Node {
    /// `node_…`
    pub node_id: String,
    /// Its name.
    pub name: String,
    /// Where enrolment stands: `invited`, `expired`, `verifying`, `ready` or `quarantined`.
    pub lifecycle: String,
    /// What operators want: `schedulable`, `cordoned`, `draining` or `retired`.
    pub policy: String,
    /// What we see: `never_seen`, `online`, `suspect` or `offline`.
    pub link: String,
    /// Whether there is air: `ok`, or `degraded` when cpu, memory or disk is nearly used up.
    pub health: String,
    /// The last reason for a change of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Address of its SSH server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Port of its SSH server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Pinned at enrolment.
    pub host_keys: Vec<String>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// What it can give in all.
    pub capacity: ResourcesDto,
    /// What of it is set aside.
    pub reserved: ResourcesDto,
    /// Allocations with capacity here.
    pub allocations: i64,
    /// RFC 3339.
    pub invited_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<String>,
    /// When its inventory was last held against the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_at: Option<String>,
    /// Active allocations of which it then lacked something.
    pub missing_on_node: i64,
    /// What it then had that nobody rents.
    pub left_on_node: i64,
    /// Active allocations that it then had otherwise than asked for.
    pub differs: i64,
}

impl From<view::Node> for Node {
    fn from(row: view::Node) -> Self {
        Self {
            capacity: ResourcesDto::of(
                row.cpu_millis,
                row.memory_bytes,
                row.disk_bytes,
                row.pids_max,
            ),
            reserved: ResourcesDto::of(
                row.reserved_cpu_millis,
                row.reserved_memory_bytes,
                row.reserved_disk_bytes,
                row.reserved_pids_max,
            ),
            node_id: row.node_id,
            name: row.name,
            lifecycle: row.lifecycle,
            policy: row.policy,
            link: row.link,
            health: row.health,
            reason: row.reason,
            address: row.address,
            port: row.port,
            host_keys: row.host_keys,
            os: row.os,
            allocations: row.allocations,
            invited_at: row.invited_at.to_string(),
            ready_at: row.ready_at.map(|at| at.to_string()),
            compared_at: row.compared_at.map(|at| at.to_string()),
            missing_on_node: row.missing_on_node,
            left_on_node: row.left_on_node,
            differs: row.differs,
        }
    }
}

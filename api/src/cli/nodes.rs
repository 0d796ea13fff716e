//! `cairn nodes`: machines.
use cairn_commands::Expected;
use cairn_commands::effects;
use cairn_commands::fleet::{self, InviteNode, SetPolicy};
use cairn_commands::ports::NodePort;
use cairn_core::{AllocationId, NodeId};
use cairn_fleet::{Finding, FindingKind, LogSays, Policy};
use cairn_projections::fleet::nodes as view;
use serde::Serialize;
use serde_json::json;

use super::args::{NodesCommand, PolicyArgs};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::http::fleet::Node;
use crate::outside;

pub(super) async fn run(
    config: &Config,
    command: NodesCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        NodesCommand::Enrol { name, url } => invite(config, &parts, (name, url), output).await,
        NodesCommand::List => {
            parts.catch_up(&[view::NAME]).await?;
            let rows = all_pages(async |after| {
                Ok(view::list(parts.pool(), view::Filter::default(), after, 200).await?)
            });
            let rows: Vec<_> = rows.await?.into_iter().map(Node::from).collect();
            let columns = [
                "node_id",
                "name",
                "lifecycle",
                "policy",
                "link",
                "health",
                "allocations",
                "reason",
            ];
            output.rows(&rows, &columns)
        }
        NodesCommand::Drift { node_id } => drift(config, &parts, node_id, output).await,
        NodesCommand::Cordon(args) => steer(&parts, args, Policy::Cordoned, output).await,
        NodesCommand::Uncordon(args) => steer(&parts, args, Policy::Schedulable, output).await,
        NodesCommand::Drain(args) => steer(&parts, args, Policy::Draining, output).await,
        NodesCommand::Retire(args) => steer(&parts, args, Policy::Retired, output).await,
    })
    .await
}

async fn invite(
    config: &Config,
    parts: &SessionParts,
    (name, url): (String, Option<String>),
    output: Output,
) -> Result<(), CliError> {
    let url = url.map_or_else(|| outside::public_url(config, None), Ok)?;
    let input = InviteNode { node_id: None, name };
    let invited = fleet::invite_node(&parts.commands, &parts.context(None), input).await?;
    let node_id = invited.executed.aggregate_id;
    let token = invited.token.ok_or_else(|| {
        let message =
            format!("{node_id} was invited before, and its token shown only then: invite again");
        CliError::new(Exit::Refused, "shown_once", message)
    })?;
    let enrolments = crate::nodes::open(config)?.enrolments;
    let command = enrolments.command(&url, &token);
    output.say("Run this on the node within 30 minutes, as root:");
    output.one(&json!({ "node_id": node_id, "command": command }))
}

async fn drift(
    config: &Config,
    parts: &SessionParts,
    node_id: Option<NodeId>,
    output: Output,
) -> Result<(), CliError> {
    let node_ids = match node_id {
        Some(node_id) => vec![node_id],
        None => in_use(parts).await?,
    };
    let port = crate::nodes::open(config)?.port;
    let (rows, silent) = drift_of(parts, port.as_ref(), &node_ids, output).await?;
    output.rows(&rows, &["node_id", "finding", "allocation_id", "log_says", "what"])?;
    if !rows.is_empty() {
        let message = format!("{} differences between nodes and the log", rows.len());
        return Err(CliError::new(Exit::Differs, "node_drift", message));
    }
    if let Some(failure) = silent {
        return Err(failure);
    }
    output.say(&format!("{} compared, no difference", node_ids.len()));
    Ok(())
}

/// Nodes that can be asked: ready, and not given up.
async fn in_use(parts: &SessionParts) -> Result<Vec<NodeId>, CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let ready = || view::Filter { lifecycle: Some("ready".to_owned()), ..Default::default() };
    let rows =
        all_pages(async |after| Ok(view::list(parts.pool(), ready(), after, 200).await?)).await?;
    let used = rows.iter().filter(|row| row.policy != "retired");
    Ok(used.filter_map(|row| row.node_id.parse().ok()).collect())
}

/// A difference, as it is shown.
#[derive(Serialize)]
struct Drift {
    node_id: NodeId,
    #[serde(rename = "finding")]
    kind: FindingKind,
    allocation_id: Option<AllocationId>,
    log_says: LogSays,
    what: String,
}

/// All differences, and why a node could not be compared. One that does not answer does not hide the others.
async fn drift_of(
    parts: &SessionParts,
    port: &dyn NodePort,
    node_ids: &[NodeId],
    output: Output,
) -> Result<(Vec<Drift>, Option<CliError>), CliError> {
    let (mut rows, mut silent) = (vec![], None);
    for &node_id in node_ids {
        match effects::drift(&parts.commands.executor, port, node_id).await {
            Ok(None) => {
                return Err(CliError::new(
                    Exit::NotFound,
                    "unknown_node",
                    format!("there is no node {node_id}"),
                ));
            }
            Ok(Some(compared)) => rows.extend(compared.findings.into_iter().map(|finding| {
                let Finding { kind, allocation_id, log_says, what } = finding;
                Drift { node_id, kind, allocation_id, log_says, what }
            })),
            Err(failure) => {
                output.say(&format!("{node_id} could not be compared: {failure}"));
                silent = Some(failure.into());
            }
        }
    }
    Ok((rows, silent))
}

async fn steer(
    parts: &SessionParts,
    args: PolicyArgs,
    policy: Policy,
    output: Output,
) -> Result<(), CliError> {
    let PolicyArgs { node_id, reason } = args;
    let input = SetPolicy { node_id, policy, reason, expected: Expected::Anything };
    let done = fleet::set_policy(&parts.commands, &parts.context(None), input).await?;
    output.one(&json!({ "node_id": node_id, "policy": policy, "position": done.position }))
}

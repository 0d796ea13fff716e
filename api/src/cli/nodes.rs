//! `cairn nodes`: machines.
use cairn_commands::fleet::{self, InviteNode, SetPolicy};
use cairn_fleet::Policy;
use cairn_projections::fleet::nodes as view;
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

async fn steer(
    parts: &SessionParts,
    args: PolicyArgs,
    policy: Policy,
    output: Output,
) -> Result<(), CliError> {
    let PolicyArgs { node_id, reason } = args;
    let input = SetPolicy { node_id, policy, reason };
    let done = fleet::set_policy(&parts.commands, &parts.context(None), input).await?;
    output.one(&json!({ "node_id": node_id, "policy": policy, "position": done.position }))
}

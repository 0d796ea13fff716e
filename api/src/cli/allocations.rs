//! `cairn allocations`: rentals.
use cairn_commands::Expected;
use cairn_commands::compute::{
    self, CorrectUsage, RequestAllocation, RequestRelease, ResizeAllocation,
};
use cairn_compute::ReleaseReason;
use cairn_core::AllocationId;
use cairn_projections::compute::{allocations as view, timeline};
use serde_json::json;

use super::args::AllocationsCommand;
use super::exit::CliError;
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::http::compute::{Allocation, TimelineEntry};

const COLUMNS: [&str; 8] = [
    "allocation_id",
    "organisation_id",
    "status",
    "sku_id",
    "node_id",
    "active_seconds",
    "charged",
    "currency",
];

pub(super) async fn run(
    config: &Config,
    command: AllocationsCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        AllocationsCommand::Request {
            organisation,
            sku,
            additional_disk_gib,
            currency,
            ssh_key,
            node,
        } => {
            let input = RequestAllocation {
                organisation_id: organisation,
                sku_id: sku,
                additional_disk_gib,
                currency,
                ssh_public_key: ssh_key,
                project_id: None,
                node_id: node,
            };
            let context = parts.context(Some(organisation));
            let done = compute::request_allocation(&parts.commands, &context, input).await?;
            output
                .say("A running server carries it on; `cairn allocations show` tells how it goes.");
            output.one(&json!({ "allocation_id": done.aggregate_id, "position": done.position }))
        }
        AllocationsCommand::List { organisation } => {
            parts.catch_up(&[view::NAME]).await?;
            let rows = all_pages(async |after| {
                let filter = view::Filter { organisation, ..view::Filter::default() };
                Ok(view::list(parts.pool(), filter, after, 200).await?)
            });
            let rows: Vec<_> = rows.await?.into_iter().map(Allocation::from).collect();
            output.rows(&rows, &COLUMNS)
        }
        AllocationsCommand::Show { allocation_id } => {
            show(config, &parts, allocation_id, output).await
        }
        AllocationsCommand::Correct { allocation_id, seconds, reason } => {
            let expected = Expected::Anything;
            let input = CorrectUsage { allocation_id, seconds, reason, expected };
            let done =
                compute::correct_usage(&parts.commands, &parts.context(None), input).await?;
            output.say("A running server gives back what the seconds cost.");
            let metered = &done.result["seconds"];
            output.one(&json!({ "allocation_id": allocation_id, "metered_seconds": metered, "position": done.position }))
        }
        AllocationsCommand::Resize { allocation_id, sku, additional_disk_gib } => {
            resize(&parts, allocation_id, (sku, additional_disk_gib), output).await
        }
        AllocationsCommand::Release { allocation_id } => {
            let input = RequestRelease {
                organisation_id: None,
                allocation_id,
                reason: ReleaseReason::Operator,
                expected: Expected::Anything,
            };
            let context = parts.context(None);
            let done = compute::request_release(&parts.commands, &context, input).await?;
            output.one(&json!({ "allocation_id": allocation_id, "position": done.position }))
        }
    })
    .await
}

async fn resize(
    parts: &SessionParts,
    allocation_id: AllocationId,
    (sku_id, additional_disk_gib): (Option<String>, Option<u32>),
    output: Output,
) -> Result<(), CliError> {
    let input = ResizeAllocation {
        organisation_id: None,
        allocation_id,
        sku_id,
        additional_disk_gib,
        expected: Expected::Anything,
    };
    let done = compute::resize_allocation(&parts.commands, &parts.context(None), input).await?;
    output.say("A running server carries it on; `cairn allocations show` tells how it goes.");
    let (sku, gib) = (&done.result["sku_id"], &done.result["additional_disk_gib"]);
    output.one(&json!({ "allocation_id": allocation_id, "sku_id": sku, "additional_disk_gib": gib, "position": done.position }))
}

async fn show(
    config: &Config,
    parts: &SessionParts,
    id: AllocationId,
    output: Output,
) -> Result<(), CliError> {
    parts.catch_up(&[view::NAME, timeline::NAME]).await?;
    let id = id.to_string();
    let row = view::get(parts.pool(), None, &id).await?;
    let row = row.ok_or_else(|| CliError::not_found("allocation", &id))?;
    let steps = timeline::list(parts.pool(), None, &id).await?;
    let mut shown = Allocation::from(row);
    if let Some(ssh) = &mut shown.ssh {
        ssh.known_hosts = crate::nodes::open(config)?.enrolments.authority.known_hosts_line().ok();
    }
    let mut shown = serde_json::to_value(shown)?;
    let steps: Vec<_> = steps.into_iter().map(TimelineEntry::from).collect();
    shown["timeline"] = serde_json::to_value(steps)?;
    output.one(&shown)
}

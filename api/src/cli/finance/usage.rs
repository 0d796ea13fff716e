//! `cairn finance usage`: what was used and is not charged, and what was said of it that cannot be true.
use cairn_core::{NodeId, OrganisationId, Timestamp};
use cairn_projections::compute::{allocations, timeline, unproven as view};
use cairn_projections::finance::breaks;
use cairn_projections::fleet::rejected as evidence;
use clap::{Args, Subcommand};

use super::super::exit::CliError;
use super::super::output::Output;
use super::super::pages::all_pages;
use super::super::session::SessionParts;
use crate::http::disputed::{DisputedUsage, RejectedUsage};

/// `finance usage`
#[derive(Debug, Subcommand)]
pub enum UsageCommand {
    /// Shows time of rentals in which nothing proved that the node was alive, and what became of it: what lasts, then the last noted first.
    Disputed(DisputedArgs),
    /// Shows what nodes said of their boot and their clock that cannot be true, the last first. It proves nothing.
    Rejected {
        /// Only of this node (`node_…`).
        #[arg(long)]
        node: Option<NodeId>,
    },
}

/// `finance usage disputed`
#[derive(Debug, Args)]
pub struct DisputedArgs {
    /// Only of this organisation (`org_…`).
    #[arg(long)]
    organisation: Option<OrganisationId>,
    /// Only on this node (`node_…`).
    #[arg(long)]
    node: Option<NodeId>,
    /// Only what ended after this instant, for example `2026-11-01T00:00:00Z`.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// Only what began before this instant.
    #[arg(long, value_name = "INSTANT")]
    until: Option<Timestamp>,
}

pub(super) async fn run(
    parts: &SessionParts,
    command: UsageCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        UsageCommand::Disputed(args) => disputed(parts, &args, output).await,
        UsageCommand::Rejected { node } => rejected(parts, node, output).await,
    }
}

async fn disputed(
    parts: &SessionParts,
    args: &DisputedArgs,
    output: Output,
) -> Result<(), CliError> {
    let &DisputedArgs { organisation, node, from, until } = args;
    if let Some((from, until)) = from.zip(until).filter(|(from, until)| from >= until) {
        return Err(CliError::usage(format!("--until {until} is not after --from {from}")));
    }
    let filter = view::Filter { organisation, node, since: from, until };
    parts.catch_up(&[view::NAME, allocations::NAME, timeline::NAME, breaks::NAME]).await?;
    let now = parts.commands.clock.now();
    let list = async |after| Ok(view::list(parts.pool(), (filter, now), after, 200).await?);
    let rows = all_pages(list);
    let rows = rows.await?.into_iter().map(|row| DisputedUsage::of(row, now));
    let rows: Vec<_> = rows.collect();
    let columns = [
        "allocation_id",
        "organisation_id",
        "node_id",
        "from",
        "through",
        "seconds",
        "why",
        "outcome",
        "proven_at",
        "age_seconds",
    ];
    output.rows(&rows, &columns)?;
    let unpaid = rows.iter().filter(|row| row.outcome != "charged");
    let seconds: i64 = unpaid.map(|row| row.seconds).sum();
    output.say(&format!("{seconds} s are not charged"));
    Ok(())
}

async fn rejected(
    parts: &SessionParts,
    node: Option<NodeId>,
    output: Output,
) -> Result<(), CliError> {
    parts.catch_up(&[evidence::NAME]).await?;
    let now = parts.commands.clock.now();
    let rows = all_pages(async |after| Ok(evidence::list(parts.pool(), node, after, 200).await?));
    let rows = rows.await?.into_iter().map(|row| RejectedUsage::of(row, now));
    let columns = ["node_id", "reason", "boot_id", "sequence", "clock_at", "age_seconds"];
    output.rows(&rows.collect::<Vec<_>>(), &columns)
}

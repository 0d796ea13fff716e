//! `cairn skus`: what is for sale.
use cairn_catalog::Discounts;
use cairn_commands::Expected;
use cairn_commands::catalog::{self, DefineSku, SetDiskPrice, SetPrice};
use cairn_core::{Money, Resources, Tiers};
use cairn_projections::catalog::skus as view;
use serde_json::json;

use super::args::SkusCommand;
use super::exit::CliError;
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::http::catalog::Sku;

pub(super) async fn run(
    config: &Config,
    command: SkusCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        SkusCommand::List => list(&parts, output).await,
        other => {
            let (sku_id, position) = change(&parts, other).await?;
            output.one(&json!({ "sku_id": sku_id, "position": position }))
        }
    })
    .await
}

async fn change(parts: &SessionParts, command: SkusCommand) -> Result<(String, i64), CliError> {
    let (commands, context) = (&parts.commands, parts.context(None));
    let done = match command {
        SkusCommand::Define { sku_id, cpu_millis, memory_mib, disk_mib, pids } => {
            let resources = Resources {
                cpu_millis,
                memory_bytes: u64::from(memory_mib) << 20,
                disk_bytes: u64::from(disk_mib) << 20,
                pids_max: pids,
            };
            catalog::define_sku(commands, &context, DefineSku { sku_id, resources }).await?
        }
        SkusCommand::Price { sku_id, currency, per_hour, tiers } => {
            let per_hour = Money::new(per_hour, currency);
            let tiers =
                Tiers::try_new(&tiers).map_err(|error| CliError::usage(error.to_string()))?;
            let (effective_at, expected) = (None, Expected::Anything);
            let input = SetPrice { sku_id, per_hour, tiers, effective_at, expected };
            catalog::set_price(commands, &context, input).await?
        }
        SkusCommand::DiskPrice { sku_id, currency, per_gib_hour, gib_max } => {
            let per_gib_hour = Money::new(per_gib_hour, currency);
            let (effective_at, expected) = (None, Expected::Anything);
            let input = SetDiskPrice { sku_id, per_gib_hour, gib_max, effective_at, expected };
            catalog::set_disk_price(commands, &context, input).await?
        }
        SkusCommand::Retire { sku_id } => {
            let sku = (&*sku_id, Expected::Anything);
            catalog::retire_sku(commands, &context, sku).await?
        }
        SkusCommand::List => return Err(CliError::usage("nothing to change")),
    };
    Ok((done.aggregate_id, done.position))
}

async fn list(parts: &SessionParts, output: Output) -> Result<(), CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let rows = all_pages(async |after| Ok(view::list(parts.pool(), true, after, 200).await?));
    let now = parts.commands.clock.now();
    let shown = |row| Sku::of(row, &Discounts::default(), now);
    let rows: Vec<_> = rows.await?.into_iter().map(shown).collect();
    output.rows(&rows, &["sku_id", "resources", "prices", "retired"])
}

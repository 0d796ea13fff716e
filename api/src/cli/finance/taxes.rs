//! `cairn finance taxes`: which tax is on what is sold, and where.
use cairn_commands::catalog::{self, SetTax};
use cairn_core::Timestamp;
use cairn_core::tax::{format_percent, is_jurisdiction, parse_percent};
use cairn_projections::catalog::taxes as view;
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use super::super::exit::CliError;
use super::super::output::Output;
use super::super::session::SessionParts;

/// `finance taxes`
#[derive(Debug, Subcommand)]
pub enum TaxesCommand {
    /// Sets a tax. New rentals of customers there pay it; running ones keep what they began with.
    Set(SetArgs),
    /// Shows every version of every tax, by jurisdiction, the latest first.
    List,
}

/// `finance taxes set`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("means").required(true).args(["inclusive", "exclusive"]))]
pub struct SetArgs {
    /// A country of ISO 3166 or a part of one, such as `DE` or `US-CA`.
    #[arg(value_parser = jurisdiction)]
    jurisdiction: String,
    /// What it is called there.
    #[arg(long, default_value = "VAT")]
    name: String,
    /// Percent of the net amount, such as `19` or `8.875`; 0 ends it.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    rate: u32,
    /// Prices of the catalogue include it.
    #[arg(long)]
    inclusive: bool,
    /// It comes on top of prices of the catalogue.
    #[arg(long)]
    exclusive: bool,
    /// A customer with a tax id owes it to the jurisdiction instead of us.
    #[arg(long)]
    reverse_charge: bool,
    /// From when on new rentals pay it; at once when absent.
    #[arg(long, value_name = "INSTANT")]
    effective_at: Option<Timestamp>,
}

fn jurisdiction(text: &str) -> Result<String, String> {
    let wrong =
        || format!("'{text}' is no country of ISO 3166 nor a part of one, such as DE or US-CA");
    is_jurisdiction(text).then(|| text.to_owned()).ok_or_else(wrong)
}

fn percent(text: &str) -> Result<u32, String> {
    let wrong =
        || format!("'{text}' is no percentage from 0 to 100 with at most 4 decimals, such as 19");
    parse_percent(text).ok_or_else(wrong)
}

/// A version as it is shown.
#[derive(Serialize)]
struct Shown {
    jurisdiction: String,
    version: i64,
    name: String,
    percent: String,
    treatment: &'static str,
    reverse_charge: bool,
    effective_at: String,
    current: bool,
}

impl From<view::Tax> for Shown {
    fn from(row: view::Tax) -> Self {
        Self {
            jurisdiction: row.jurisdiction,
            version: row.version,
            name: row.name,
            percent: format_percent(u32::try_from(row.ppm).unwrap_or_default()),
            treatment: if row.inclusive { "inclusive" } else { "exclusive" },
            reverse_charge: row.reverse_charge,
            effective_at: row.effective_at.to_string(),
            current: row.current,
        }
    }
}

pub(super) async fn run(
    parts: &SessionParts,
    command: TaxesCommand,
    output: Output,
) -> Result<(), CliError> {
    let only = match command {
        TaxesCommand::Set(args) => Some(set(parts, args).await?),
        TaxesCommand::List => None,
    };
    parts.catch_up(&[view::NAME]).await?;
    let rows = view::list(parts.pool()).await?.into_iter();
    let rows = rows.filter(|row| only.as_ref().is_none_or(|only| *only == row.jurisdiction));
    let rows: Vec<_> = rows.map(Shown::from).collect();
    let columns = [
        "jurisdiction",
        "version",
        "name",
        "percent",
        "treatment",
        "reverse_charge",
        "effective_at",
        "current",
    ];
    output.rows(&rows, &columns)
}

async fn set(parts: &SessionParts, args: SetArgs) -> Result<String, CliError> {
    let jurisdiction = args.jurisdiction.clone();
    let input = SetTax {
        jurisdiction: args.jurisdiction,
        name: args.name,
        ppm: args.rate,
        inclusive: args.inclusive,
        reverse_charge: args.reverse_charge,
        effective_at: args.effective_at,
    };
    catalog::set_tax(&parts.commands, &parts.context(None), input).await?;
    Ok(jurisdiction)
}

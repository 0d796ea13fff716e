//! `cairn discounts`: what an organisation pays less than the catalogue says.
use cairn_commands::catalog::{self, GiveDiscount};
use cairn_core::{DiscountId, OrganisationId, Timestamp};
use clap::{Args, Subcommand};
use serde_json::json;

use super::args::reason;
use super::exit::CliError;
use super::known::known;
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::http::discounts::{basis_points, shown};

/// `discounts`
#[derive(Debug, Subcommand)]
pub enum DiscountsCommand {
    /// Lets an organisation pay less for what it rents from now on; running rentals are as they are, until they are moved.
    Give(GiveArgs),
    /// Takes a discount back; running rentals keep it until they are moved.
    Withdraw {
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
        /// The discount's id (`discount_…`).
        discount: DiscountId,
    },
    /// Shows every discount that an organisation was given, the first first.
    List {
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
    },
}

/// `discounts give`
#[derive(Debug, Args)]
pub struct GiveArgs {
    /// The organisation's id (`org_…`).
    organisation: OrganisationId,
    /// Off the price, in percent, for example `12.5`: more than 0, at most 90, with at most two decimals.
    #[arg(long, value_parser = percent)]
    percent: u32,
    /// Off this SKU only; off everything without.
    #[arg(long)]
    sku: Option<String>,
    /// Until when new rentals get it: an instant such as `2027-12-31T23:59:59Z`; without end without.
    #[arg(long, value_name = "WHEN")]
    ends: Option<Timestamp>,
    /// Why; whoever gets it reads it.
    #[arg(long, value_parser = reason)]
    reason: String,
}

fn percent(text: &str) -> Result<u32, String> {
    basis_points(text)
        .ok_or_else(|| format!("'{text}' is no percentage such as 12.5, with at most two decimals"))
}

pub(super) async fn run(
    config: &Config,
    command: DiscountsCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        DiscountsCommand::Give(args) => give(&parts, args, output).await,
        DiscountsCommand::Withdraw { organisation, discount } => {
            known(&parts, organisation).await?;
            let context = parts.context(Some(organisation));
            let which = (organisation, discount);
            let done = catalog::withdraw_discount(&parts.commands, &context, which).await?;
            output.one(&json!({
                "organisation_id": organisation, "discount_id": discount, "position": done.position,
            }))
        }
        DiscountsCommand::List { organisation } => {
            known(&parts, organisation).await?;
            let now = parts.commands.clock.now();
            let items = shown(&parts.commands.executor, organisation, now).await?;
            let columns = [
                "discount_id",
                "percent",
                "sku_id",
                "in_force",
                "given_at",
                "ends_at",
                "withdrawn_at",
                "reason",
            ];
            output.rows(&items, &columns)
        }
    })
    .await
}

async fn give(parts: &SessionParts, args: GiveArgs, output: Output) -> Result<(), CliError> {
    let organisation_id = args.organisation;
    known(parts, organisation_id).await?;
    let input = GiveDiscount {
        organisation_id,
        basis_points: args.percent,
        sku_id: args.sku,
        ends_at: args.ends,
        reason: args.reason,
    };
    let context = parts.context(Some(organisation_id));
    let done = catalog::give_discount(&parts.commands, &context, input).await?;
    output.one(&json!({
        "organisation_id": organisation_id,
        "discount_id": done.result["discount_id"],
        "position": done.position,
    }))
}

//! `cairn finance credit`: promotional credit.
use cairn_commands::ledger::{self, GrantCredit};
use cairn_core::{Currency, Money, OrganisationId, Timestamp};
use cairn_projections::ledger::balances;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::super::args::{nanos, reason};
use super::super::exit::CliError;
use super::super::known::known;
use super::super::output::Output;
use super::super::pages::all_pages;
use super::super::session::SessionParts;
use crate::http::money;

/// `finance credit`
#[derive(Debug, Subcommand)]
pub enum CreditCommand {
    /// Gives an organisation credit that it does not pay for: spent first, never refunded, gone when its time is over.
    Grant(GrantArgs),
    /// Shows what an organisation was granted, and what is left of it.
    List {
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
    },
}

/// `finance credit grant`
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// The organisation's id (`org_…`).
    organisation: OrganisationId,
    /// How much, for example `5.00`.
    #[arg(long, value_parser = nanos)]
    amount: i64,
    /// In which currency.
    #[arg(long)]
    currency: Currency,
    /// Until when it may be spent: a day (UTC), the whole of it, such as `2026-12-31`, or an instant such as `2026-12-31T12:00:00Z`.
    #[arg(long, value_name = "WHEN", value_parser = end_of)]
    expires: Timestamp,
    /// Why, for the audit trail.
    #[arg(long, value_parser = reason)]
    reason: String,
}

/// The first instant after a day, or an instant as it is.
fn end_of(text: &str) -> Result<Timestamp, String> {
    let day = format!("{text}T00:00:00Z").parse::<Timestamp>();
    let end = day.map(|midnight| midnight.plus_secs(86_400)).or_else(|_| text.parse());
    end.map_err(|_| {
        format!("'{text}' is neither a day such as 2026-12-31 nor an instant such as 2026-12-31T12:00:00Z")
    })
}

/// A grant as it is shown.
#[derive(Serialize)]
struct Shown {
    credit_id: String,
    currency: String,
    amount: String,
    used: String,
    expired: String,
    remaining: String,
    status: String,
    granted_at: String,
    expires_at: String,
    reason: String,
}

impl From<balances::Credit> for Shown {
    fn from(row: balances::Credit) -> Self {
        Self {
            credit_id: row.credit_id,
            currency: row.currency,
            amount: money::decimal(row.amount_nanos),
            used: money::decimal(row.used_nanos),
            expired: money::decimal(row.expired_nanos),
            remaining: money::decimal(row.remaining_nanos),
            status: row.status,
            granted_at: row.granted_at.to_string(),
            expires_at: row.expires_at.to_string(),
            reason: row.reason,
        }
    }
}

pub(super) async fn run(
    parts: &SessionParts,
    command: CreditCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        CreditCommand::Grant(args) => grant(parts, args, output).await,
        CreditCommand::List { organisation } => {
            parts.catch_up(&[balances::NAME]).await?;
            known(parts, organisation).await?;
            let rows = all_pages(async |after| {
                Ok(balances::credits(parts.pool(), organisation, after, 200).await?)
            });
            let rows: Vec<_> = rows.await?.into_iter().map(Shown::from).collect();
            let columns = [
                "credit_id",
                "currency",
                "amount",
                "used",
                "expired",
                "remaining",
                "status",
                "expires_at",
                "reason",
            ];
            output.rows(&rows, &columns)
        }
    }
}

async fn grant(parts: &SessionParts, args: GrantArgs, output: Output) -> Result<(), CliError> {
    let organisation_id = args.organisation;
    known(parts, organisation_id).await?;
    let input = GrantCredit {
        organisation_id,
        amount: Money { nanos: args.amount, currency: args.currency },
        expires_at: args.expires,
        reason: args.reason,
    };
    let context = parts.context(Some(organisation_id));
    let done = ledger::grant_credit(&parts.commands, &context, input).await?;
    output.one(&json!({
        "credit_id": done.result["credit_id"],
        "organisation_id": organisation_id,
        "amount": money::decimal(args.amount),
        "currency": args.currency,
        "expires_at": done.result["expires_at"],
        "position": done.position,
    }))
}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn a_day_is_meant_whole_and_an_instant_as_it_is() {
        for (said, end) in [
            ("2026-12-31", "2027-01-01T00:00:00Z"),
            ("2026-12-31T12:00:00Z", "2026-12-31T12:00:00Z"),
            ("2026-12-31T12:00:00+02:00", "2026-12-31T10:00:00Z"),
        ] {
            assert_eq!(end_of(said), Ok(end.parse().unwrap()), "{said}");
        }
        for wrong in ["", "tomorrow", "2026-02-30", "2026-12", "2026-12-31T25:00:00Z"] {
            assert!(end_of(wrong).unwrap_err().contains("neither a day"), "{wrong}");
        }
    }
}

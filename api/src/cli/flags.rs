//! `cairn flags`: feature flags.
use cairn_commands::operations::flags::{self, Wish};
use cairn_commands::{Executed, Expected};
use cairn_core::OrganisationId;
use cairn_projections::operations::feature_flags as view;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::args::reason;
use super::exit::CliError;
use super::nearest::did_you_mean;
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::http::features::FeatureFlag;

/// `flags`
#[derive(Debug, Subcommand)]
pub enum FlagsCommand {
    /// Shows every flag.
    List {
        /// Archived ones too.
        #[arg(long)]
        archived: bool,
    },
    /// Shows one flag, and for whom it is on.
    Show {
        /// Its name.
        flag: String,
        /// Says whether it is on for this organisation.
        #[arg(long)]
        organisation: Option<OrganisationId>,
    },
    /// Defines a flag. It is off until it is set or overridden.
    Define {
        /// Its name: a-z, 0-9 and `_`, a letter first.
        flag: String,
        /// What is on when it is on.
        #[arg(long)]
        description: String,
    },
    /// Has it on for everybody, nobody, or so many of a hundred organisations.
    Set {
        /// Its name.
        flag: String,
        /// `on`, `off`, or a percentage such as `25`.
        #[arg(value_parser = percentage)]
        to: u8,
        #[command(flatten)]
        why: Why,
    },
    /// Has it on or off for one organisation, whatever the percentage.
    Override {
        /// Its name.
        flag: String,
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
        /// How it is for that organisation.
        #[arg(value_enum)]
        to: Switch,
        #[command(flatten)]
        why: Why,
    },
    /// Lets the percentage decide for an organisation again.
    Clear {
        /// Its name.
        flag: String,
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
        #[command(flatten)]
        why: Why,
    },
    /// Ends a flag: it is off for everybody, for good, and its name is used up.
    Archive {
        /// Its name.
        flag: String,
        #[command(flatten)]
        why: Why,
    },
}

/// A reason.
#[derive(Debug, Args)]
pub struct Why {
    /// Why, for the audit trail.
    #[arg(long, value_parser = reason)]
    pub reason: String,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Switch {
    On,
    Off,
}

fn percentage(text: &str) -> Result<u8, String> {
    match text {
        "on" => Ok(100),
        "off" => Ok(0),
        number => {
            let number = number.strip_suffix('%').unwrap_or(number).parse();
            let fits = number.ok().filter(|number| *number <= 100);
            fits.ok_or_else(|| "say on, off, or a percentage from 0 to 100".to_owned())
        }
    }
}

pub(super) async fn run(
    config: &Config,
    command: FlagsCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        FlagsCommand::List { archived } => list(&parts, archived, output).await,
        FlagsCommand::Show { flag, organisation } => {
            show(&parts, (&flag, organisation), output).await
        }
        FlagsCommand::Define { flag, description } => {
            let (commands, context) = (&parts.commands, parts.context(None));
            let done = flags::define(commands, &context, (flag, description)).await?;
            told(&done, output)
        }
        FlagsCommand::Set { flag, to, why } => {
            change(&parts, (flag, Wish::RollOut(to), why), output).await
        }
        FlagsCommand::Override { flag, organisation, to, why } => {
            let wish = Wish::Override(organisation, to == Switch::On);
            change(&parts, (flag, wish, why), output).await
        }
        FlagsCommand::Clear { flag, organisation, why } => {
            change(&parts, (flag, Wish::ClearOverride(organisation), why), output).await
        }
        FlagsCommand::Archive { flag, why } => {
            change(&parts, (flag, Wish::Archive, why), output).await
        }
    })
    .await
}

async fn list(parts: &SessionParts, archived: bool, output: Output) -> Result<(), CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let rows = all_pages(async |after| Ok(view::list(parts.pool(), after, 200).await?)).await?;
    let rows = rows.into_iter().filter(|row| archived || row.archived_at.is_none());
    let rows: Vec<_> = rows.map(FeatureFlag::from).collect();
    let columns = ["flag", "percentage", "overrides", "pauses", "description", "archived_at"];
    output.rows(&rows, &columns)
}

async fn show(
    parts: &SessionParts,
    (flag, organisation): (&str, Option<OrganisationId>),
    output: Output,
) -> Result<(), CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let Some(row) = view::get(parts.pool(), flag).await? else {
        let unknown = CliError::not_found("feature flag", flag);
        return Err(meant(parts, flag, unknown).await);
    };
    let mut shown = serde_json::to_value(FeatureFlag::from(row))?;
    if let Some(organisation) = organisation {
        let found = view::in_use(parts.pool()).await?;
        let on = found.get(flag).is_some_and(|flag| flag.is_on_for(organisation));
        shown["on_for_organisation"] = on.into();
    }
    output.one(&shown)
}

async fn change(
    parts: &SessionParts,
    (flag, wish, why): (String, Wish, Why),
    output: Output,
) -> Result<(), CliError> {
    let input = ((&*flag, Expected::Anything), wish, why.reason);
    match flags::change(&parts.commands, &parts.context(None), input).await {
        Ok(done) => told(&done, output),
        Err(error) => {
            let error = CliError::from(error);
            if error.code == "unknown_feature_flag" {
                return Err(meant(parts, &flag, error).await);
            }
            Err(error)
        }
    }
}

fn told(done: &Executed, output: Output) -> Result<(), CliError> {
    output.one(&json!({ "flag": done.aggregate_id, "position": done.position }))
}

/// With the names that may have been meant.
async fn meant(parts: &SessionParts, said: &str, error: CliError) -> CliError {
    let Ok(known) = view::in_use(parts.pool()).await else { return error };
    let meant = did_you_mean(said, known.keys().map(String::as_str));
    let meant = if meant.is_empty() { "; `cairn flags list` shows all".to_owned() } else { meant };
    CliError { message: format!("{}{meant}", error.message), ..error }
}

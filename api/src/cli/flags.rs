//! `cairn flags`: feature flags.
use cairn_commands::operations::flags::{self, Wish};
use cairn_commands::{Executed, Expected};
use cairn_core::OrganisationId;
use cairn_projections::operations::feature_flags as view;
use serde_json::json;

use super::exit::CliError;
use super::flags_args::{FlagsCommand, Switch, Why};
use super::nearest::did_you_mean;
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::http::features::FeatureFlag;

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

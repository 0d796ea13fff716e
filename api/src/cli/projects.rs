//! `cairn projects`: what organisations sort their rentals into, what each may use, and what it did.
use cairn_commands::Expected;
use cairn_commands::identity::organisations;
use cairn_commands::ledger::{self, SetAlerts, SetSpendingLimits};
use cairn_core::{Currency, OrganisationId, ProjectId};
use cairn_identity::ProjectWish;
use cairn_ledger::{Alert, AlertOn, SpendingLimits};
use cairn_projections::compute::allocations;
use cairn_projections::identity::{organisations as view, projects_query as query};
use cairn_projections::ledger::{statement, usage};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::nanos;
use super::exit::{CliError, Exit};
use super::known::known;
use super::output::Output;
use super::pages::all_pages;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::http::identity::projects::Project;
use crate::http::usage::{Range, Usage, read};
use crate::http::{alerts, spending};

/// `projects`
#[derive(Debug, Subcommand)]
pub enum ProjectsCommand {
    /// Shows the projects of an organisation, archived ones too, the newest first.
    List {
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
    },
    /// Makes a project. Rentals name it when they begin.
    Create {
        /// The organisation's id (`org_…`).
        organisation: OrganisationId,
        /// How people tell it apart.
        name: String,
    },
    /// Gives a project another name.
    Rename {
        #[command(flatten)]
        which: Which,
        /// How people tell it apart from now on.
        name: String,
    },
    /// Archives a project for good: it takes no new rental. What runs in it runs on.
    Archive(Which),
    /// Shows what the rentals of a project may use in a month, and did; with a currency, says what they may.
    Limits(LimitsArgs),
    /// Shows of what in a project somebody is told, and whether they were; with a currency, says of what.
    Alerts(AlertsArgs),
    /// Shows what each project used, and what is in none.
    Usage(UsageArgs),
}

/// One project.
#[derive(Debug, Clone, Copy, Args)]
pub struct Which {
    /// The organisation's id (`org_…`).
    organisation: OrganisationId,
    /// The project's id (`proj_…`).
    project: ProjectId,
}

/// `projects limits`
#[derive(Debug, Args)]
pub struct LimitsArgs {
    #[command(flatten)]
    which: Which,
    /// Sets the limits in this currency, in place of those that were there.
    #[arg(long)]
    currency: Option<Currency>,
    /// From there on somebody is told by mail, for example `20.00`; nobody without.
    #[arg(long, requires = "currency", value_parser = nanos)]
    warn: Option<i64>,
    /// Beyond that what runs in it is stopped, for example `40.00`; nothing is without.
    #[arg(long, requires = "currency", value_parser = nanos)]
    stop: Option<i64>,
    /// No limits any more.
    #[arg(long, requires = "currency", conflicts_with_all = ["warn", "stop"])]
    none: bool,
}

/// `projects alerts`
#[derive(Debug, Args)]
pub struct AlertsArgs {
    #[command(flatten)]
    which: Which,
    /// Sets the alerts in this currency, in place of those that were there.
    #[arg(long)]
    currency: Option<Currency>,
    /// Told when as much was used in a month, for example `25.00`; again for each sum.
    #[arg(long, requires = "currency", value_parser = nanos)]
    spent: Vec<i64>,
    /// No alerts any more.
    #[arg(long, requires = "currency", conflicts_with = "spent")]
    none: bool,
}

/// `projects usage`
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// The organisation's id (`org_…`).
    organisation: OrganisationId,
    /// Only of this project (`proj_…`).
    #[arg(long)]
    project: Option<ProjectId>,
    /// How far back: `24h`, `48h`, `7d`, `30d` or `90d`.
    #[arg(long, default_value = "30d", value_parser = range)]
    range: Range,
}

fn range(text: &str) -> Result<Range, String> {
    let known = serde_json::from_value(Value::from(text));
    known.map_err(|_| format!("'{text}' is none of 24h, 48h, 7d, 30d and 90d"))
}

pub(super) async fn run(
    config: &Config,
    command: ProjectsCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        ProjectsCommand::List { organisation } => list(&parts, organisation, output).await,
        ProjectsCommand::Create { organisation, name } => {
            let project = ProjectId::from_bits(parts.commands.ids.next());
            let which = Which { organisation, project };
            change(&parts, which, ProjectWish::Create { name }, output).await
        }
        ProjectsCommand::Rename { which, name } => {
            change(&parts, which, ProjectWish::Rename { name }, output).await
        }
        ProjectsCommand::Archive(which) => {
            change(&parts, which, ProjectWish::Archive, output).await
        }
        ProjectsCommand::Limits(args) => limits(&parts, args, output).await,
        ProjectsCommand::Alerts(args) => told(&parts, args, output).await,
        ProjectsCommand::Usage(args) => used(&parts, args, output).await,
    })
    .await
}

async fn list(
    parts: &SessionParts,
    organisation: OrganisationId,
    output: Output,
) -> Result<(), CliError> {
    known(parts, organisation).await?;
    parts.catch_up(&[view::NAME]).await?;
    let rows =
        all_pages(async |after| Ok(query::list(parts.pool(), organisation, after, 200).await?));
    let rows: Vec<_> = rows.await?.into_iter().map(Project::from).collect();
    output.rows(&rows, &["project_id", "name", "created_at", "archived_at"])
}

async fn change(
    parts: &SessionParts,
    Which { organisation, project }: Which,
    wish: ProjectWish,
    output: Output,
) -> Result<(), CliError> {
    known(parts, organisation).await?;
    let context = parts.context(Some(organisation));
    let whose = (organisation, Expected::Anything);
    let done = organisations::project(&parts.commands, &context, whose, (project, wish)).await?;
    output.one(&json!({
        "organisation_id": organisation,
        "project_id": done.result["project_id"],
        "position": done.position,
    }))
}

/// Refuses a project that its organisation does not have.
async fn has(parts: &SessionParts, which: Which) -> Result<(), CliError> {
    let Which { organisation, project } = which;
    known(parts, organisation).await?;
    parts.catch_up(&[view::NAME]).await?;
    if query::get(parts.pool(), organisation, &project.to_string()).await?.is_some() {
        return Ok(());
    }
    let unknown = format!("organisation {organisation} has no project {project}");
    Err(CliError::new(Exit::NotFound, "unknown_project", unknown))
}

/// With a currency alone everything would be gone that was said of it before.
fn nothing_said(what: &str) -> CliError {
    CliError::usage(format!("--currency needs {what}: nothing was changed"))
}

async fn limits(parts: &SessionParts, args: LimitsArgs, output: Output) -> Result<(), CliError> {
    has(parts, args.which).await?;
    let Which { organisation: organisation_id, project } = args.which;
    if let Some(currency) = args.currency {
        if !args.none && args.warn.is_none() && args.stop.is_none() {
            return Err(nothing_said("--warn, --stop or --none"));
        }
        let limits = SpendingLimits { warn_nanos: args.warn, stop_nanos: args.stop };
        let input = SetSpendingLimits { organisation_id, currency, limits };
        let context = parts.context(Some(organisation_id));
        ledger::set_project_limits(&parts.commands, &context, project, input).await?;
        output.say("What it stops or starts again, a running server sees to.");
    }
    let shown = spending::shown(&parts.commands, organisation_id, Some(project)).await?;
    output.rows(&shown.items, &["currency", "warn", "stop", "month", "spent", "left"])
}

async fn told(parts: &SessionParts, args: AlertsArgs, output: Output) -> Result<(), CliError> {
    has(parts, args.which).await?;
    let Which { organisation: organisation_id, project } = args.which;
    if let Some(currency) = args.currency {
        if !args.none && args.spent.is_empty() {
            return Err(nothing_said("--spent or --none"));
        }
        let alert = |amount_nanos| Alert { on: AlertOn::Spent, amount_nanos };
        let alerts = args.spent.into_iter().map(alert).collect();
        let input = SetAlerts { organisation_id, currency, alerts };
        let context = parts.context(Some(organisation_id));
        ledger::set_project_alerts(&parts.commands, &context, project, input).await?;
    }
    let shown = alerts::shown_of_project(&parts.commands, organisation_id, project).await?;
    let rows: Vec<_> = shown.items.iter().flat_map(rows_of).collect();
    output.rows(&rows, &["currency", "amount", "told", "month", "spent"])
}

/// One for each alert, so that each is a row.
fn rows_of(of: &alerts::ProjectAlertsOfCurrency) -> impl Iterator<Item = Value> {
    of.alerts.iter().map(|alert| {
        json!({
            "currency": of.currency,
            "amount": alert.amount,
            "told": alert.told,
            "month": of.month,
            "spent": of.spent,
        })
    })
}

async fn used(parts: &SessionParts, args: UsageArgs, output: Output) -> Result<(), CliError> {
    let UsageArgs { organisation, project, range } = args;
    match project {
        Some(project) => has(parts, Which { organisation, project }).await?,
        None => known(parts, organisation).await?,
    }
    parts.catch_up(&[statement::NAME, allocations::NAME]).await?;
    let until = parts.commands.clock.now();
    let every = usage::Every::Day;
    let span = usage::Span { since: until.plus_secs(-range.seconds()), until, every };
    let project = project.map(|id| id.to_string());
    let whose = usage::Whose { organisation, currency: None, project: project.as_deref() };
    let mut db = parts.pool().acquire().await?;
    let found = Usage::of(span, read(&mut db, whose, span).await?);
    let found = found.map_err(|error| CliError::failure(error.to_string()))?;
    let mut rows = vec![];
    for of in found.currencies {
        for project in of.projects {
            let mut row = serde_json::to_value(project)?;
            row["currency"] = Value::from(of.currency.as_str());
            rows.push(row);
        }
    }
    let columns = [
        "project_id",
        "currency",
        "cost",
        "tax",
        "previous",
        "trend_percent",
        "month_to_date",
        "per_hour",
        "month_forecast",
    ];
    output.rows(&rows, &columns)
}

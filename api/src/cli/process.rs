//! `cairn process`: process managers, and the verbs for what is stuck.
use cairn_commands::processes::operator::{self, Decision, Details, Filter, Summary};
use cairn_projections::operations::interventions;
use clap::ValueEnum;

use super::args::{IntentArgs, ProcessCommand, StatusArg};
use super::exit::CliError;
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;

const PAGE: i64 = 200;

pub(super) async fn run(
    config: &Config,
    command: ProcessCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        ProcessCommand::List { status } => list(&parts, status, output).await,
        ProcessCommand::Show { process, key } => {
            let shown = operator::show(parts.pool(), &process, &key).await?;
            let missing = || CliError::not_found("process", &format!("{process} of {key}"));
            show(&parts, &shown.ok_or_else(missing)?, output).await
        }
        ProcessCommand::Retry(args) => {
            let (context, decision) = (parts.context(None), decision(args));
            let done = operator::retry(&parts.commands, &context, decision).await?;
            output.one(&done.result)
        }
        ProcessCommand::Skip(args) => {
            let (context, decision) = (parts.context(None), decision(args));
            let done = operator::skip(&parts.commands, &context, decision).await?;
            output.one(&done.result)
        }
        ProcessCommand::Abandon(args) => {
            let (context, decision) = (parts.context(None), decision(args));
            let done = operator::abandon(&parts.commands, &context, decision).await?;
            output.one(&done.result)
        }
    })
    .await
}

/// With what people were asked and answered about each of its intents.
async fn show(parts: &SessionParts, shown: &Details, output: Output) -> Result<(), CliError> {
    parts.catch_up(&[interventions::NAME]).await?;
    let mut asked = vec![];
    for intent in &shown.intents {
        asked.extend(interventions::get(parts.pool(), &intent.id).await?);
    }
    let mut shown = serde_json::to_value(shown)?;
    shown["interventions"] = serde_json::to_value(asked)?;
    output.one(&shown)
}

fn decision(args: IntentArgs) -> Decision {
    Decision { intent_id: args.intent_id, reason: args.reason }
}

async fn list(
    parts: &SessionParts,
    status: Option<StatusArg>,
    output: Output,
) -> Result<(), CliError> {
    let status = status.as_ref().and_then(ValueEnum::to_possible_value);
    let status = status.map(|value| value.get_name().to_owned());
    let mut rows: Vec<Summary> = vec![];
    loop {
        let after = rows.last().map(|row| format!("{}/{}", row.process, row.key));
        let filter = Filter { process: None, status: status.clone(), after, limit: PAGE };
        let page = operator::list(parts.pool(), &filter).await?;
        let more = i64::try_from(page.len()).is_ok_and(|count| count == PAGE);
        rows.extend(page);
        if !more {
            break;
        }
    }
    rows.sort_by_key(|row| row.status != "needs_operator");
    let columns = ["process", "key", "status", "open_intents", "last_error", "updated_at"];
    output.rows(&rows, &columns)
}

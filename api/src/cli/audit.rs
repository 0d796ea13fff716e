//! `cairn audit`: who did what, from where, caused by what.
use cairn_projections::operations::audit::{self, Filter};

use super::args::{AuditArgs, AuditCommand, TrailArgs};
use super::exit::CliError;
use super::output::Output;
use super::seal;
use super::session::Session;
use crate::config::Config;

pub(super) async fn run(config: &Config, args: AuditArgs, output: Output) -> Result<(), CliError> {
    match args.command {
        None => list(config, args.trail, output).await,
        Some(AuditCommand::List(trail)) => list(config, trail, output).await,
        Some(AuditCommand::Verify(args)) => seal::verify(config, args, output).await,
        Some(AuditCommand::Prove { event, out }) => seal::prove(config, event, out, output).await,
        Some(AuditCommand::CheckProof(args)) => seal::check_proof(config, &args, output).await,
        Some(AuditCommand::Seal) => seal::seal(config, output).await,
        Some(AuditCommand::Key { rotate }) => seal::key(config, rotate, output),
    }
}

async fn list(config: &Config, args: TrailArgs, output: Output) -> Result<(), CliError> {
    Session::run(config, async |parts| {
        parts.catch_up(&[audit::NAME]).await?;
        let filter = Filter {
            actor: args.actor,
            aggregate_type: args.aggregate_type,
            aggregate_id: args.aggregate_id,
            correlation_id: args.correlation_id,
            ..Filter::default()
        };
        let mut rows: Vec<audit::Entry> = vec![];
        let (mut after, wanted) = (None, i64::from(args.limit));
        loop {
            let left = wanted - i64::try_from(rows.len()).unwrap_or(wanted);
            let page = audit::list(parts.pool(), filter.clone(), after, left).await?;
            rows.extend(page.items);
            after = page.next;
            if after.is_none() || rows.len() >= args.limit as usize {
                break;
            }
        }
        let columns = [
            "position",
            "recorded_at",
            "actor",
            "origin",
            "event_type",
            "aggregate_id",
            "causation_id",
        ];
        output.rows(&rows, &columns)
    })
    .await
}

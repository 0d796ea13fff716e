//! `cairn demo`: the whole story on real parts, judged at its end.
//!
//! A customer tops up, rents a node, logs in over SSH, is charged by the second, releases and is refunded; a second rental fails and is
//! undone; finance reconciles; an engineer replays and rebuilds; a simulated month is closed. Each step is told on stderr; the last line on stdout is one JSON object.
mod args;
mod checks;
mod client;
mod home;
mod machine;
mod month;
mod report;
mod rest;
mod stage;
mod story;

pub(in crate::cli) use self::args::DemoArgs;
use self::home::Home;
use self::report::Report;
use self::stage::Stage;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Output;
use crate::cli::serve::{Stops, log_to_stderr};
use crate::config::Config;

/// What it logs unless somebody says otherwise: it tells its own story.
const LOG: &str = "error";

pub(super) async fn run(config: &Config, args: &DemoArgs, output: Output) -> Result<(), CliError> {
    let _ = log_to_stderr(if config.log_is_default { LOG } else { &config.log });
    let mut stops = Stops::new()?;
    let mut report = Report::default();
    let home = match tokio::task::block_in_place(|| Home::take(config, args)) {
        Ok(home) => home,
        Err(error) => return never_begun(report, output, error),
    };
    let set = stops.until(Box::pin(Stage::set(config, (args, home.path()), output))).await;
    let stage = match set.and_then(|set| set) {
        Ok(stage) => stage,
        Err(error) => {
            if args.once {
                tokio::task::block_in_place(|| home.remove());
            }
            return never_begun(report, output, error);
        }
    };
    let told = stops
        .until(Box::pin(tell(&stage, (config, args), &mut report)))
        .await
        .and_then(|told| told);
    report.judge(told.err().map(|error| error.to_string()));
    let printed = output.json_line(&report);
    let (held, failures) = (report.held, report.failures.join("; "));
    if held && !args.once {
        rest::stay(&stage, output, &mut stops).await;
    }
    stops.until(stage.strike()).await?;
    if args.once {
        tokio::task::block_in_place(|| home.remove());
    }
    printed?;
    if held { Ok(()) } else { Err(CliError::new(Exit::Differs, "demo_failed", failures)) }
}

/// The last line of a demo whose stage never stood.
fn never_begun(mut report: Report, output: Output, error: CliError) -> Result<(), CliError> {
    report.judge(Some(error.to_string()));
    output.json_line(&report)?;
    Err(error)
}

async fn tell(
    stage: &Stage,
    (config, args): (&Config, &DemoArgs),
    report: &mut Report,
) -> Result<(), CliError> {
    story::tell(stage, args.seconds, report).await?;
    checks::check(stage, report).await?;
    report.month = Some(month::tell(stage, config).await?);
    Ok(())
}

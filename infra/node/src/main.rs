//! The only thing that changes a node. See `docs/guides/nodes.md`.
mod cgroup;
mod config;
mod enrol;
mod facts;
mod fault;
mod files;
mod install;
mod inventory;
mod ipc;
mod journal;
mod mounts;
mod pam;
mod processes;
mod serve;
mod steps;
mod suspend;
mod sweep;
mod system;
mod teardown;
mod user_manager;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use fault::Outcome;

/// Runs allocations on this machine, on behalf of a Cairn control plane.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Read one request on stdin, answer on stdout. The control plane's only command.
    Serve,
    /// Let a tenant's session in. Run by PAM.
    PamJoin {
        /// The account that logs in.
        #[arg(long, env = "PAM_USER")]
        login: String,
    },
    /// Put this machine under a control plane. Run once, by its owner, as root.
    Enrol(enrol::Enrol),
    /// Show what this machine is and has.
    Facts,
    /// Show what there is of every allocation.
    Inspect,
    /// Show everything that is an allocation's, and what looks like one's and belongs to none.
    Inventory,
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say_error(&format!("cairn-node: {fault}"));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Outcome<()> {
    match verb {
        Verb::Serve => serve::serve(std::io::stdin().lock(), std::io::stdout().lock()),
        Verb::PamJoin { login } => pam::join(&login),
        Verb::Enrol(enrol) => enrol.run(),
        Verb::Facts => show(&facts::gather(&config::Config::load()?)?),
        Verb::Inventory => show(&inventory::gather(&config::Config::load()?)?),
        Verb::Inspect => serve::inspect_all().and_then(|all| show(&all)),
    }
}

fn show(value: &impl serde::Serialize) -> Outcome<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| fault::Fault::permanent("answer_invalid", error.to_string()))?;
    say(&text);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a command line program speaks here")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "a command line program speaks here")]
fn say_error(text: &str) {
    eprintln!("{text}");
}

//! `cairn people`: whose account it is, the end of their sessions, and the way back for who has lost what they prove themselves with.
use cairn_commands::identity::{normalised, people};
use cairn_commands::{CommandContext, ExecuteError, Executed};
use cairn_core::UserId;
use cairn_projections::identity::{passkeys_query, people as view, people_query};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::args::reason;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{Session, SessionParts};
use crate::config::Config;
use crate::system;

/// How long the code works with which somebody begins anew: as long as its letter says.
const RESET_SECS: i64 = 3_600;

/// `people`
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Shows an account: by its id (`user_…`), or by its address, which is not written down anywhere.
    Find {
        /// `user_…` or an address of mail.
        who: String,
    },
    /// Ends every session of one person, or of everybody.
    EndSessions(EndSessionsArgs),
    /// For who has lost device and codes: takes one-time passwords, passkeys and the password away, ends every session, and sends the code for a
    /// new password to the address.
    ResetFactors {
        /// Whose (`user_…`).
        user: UserId,
        /// Why, and how they showed who they are; for the audit trail. Do not name the person.
        #[arg(long, value_parser = reason)]
        reason: String,
    },
}

/// `people end-sessions`
#[derive(Debug, Args)]
pub struct EndSessionsArgs {
    /// Whose (`user_…`).
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    user: Option<UserId>,
    /// Of everybody who is signed in.
    #[arg(long)]
    all: bool,
    /// Why, for the audit trail. Do not name the person.
    #[arg(long, value_parser = reason)]
    reason: String,
}

/// An account, with nothing that is personal.
#[derive(Debug, Serialize)]
struct Account {
    user_id: String,
    registered_at: cairn_projections::At,
    verified: bool,
    one_time_passwords: bool,
    passkeys: usize,
    sessions: usize,
}

pub(super) async fn run(
    config: &Config,
    command: PeopleCommand,
    output: Output,
) -> Result<(), CliError> {
    Session::run(config, async |parts| match command {
        PeopleCommand::Find { who } => output.one(&find(&parts, &who).await?),
        PeopleCommand::EndSessions(args) => end_sessions(&parts, args, output).await,
        PeopleCommand::ResetFactors { user, reason } => {
            let code = system::new_code(parts.commands.clock.now(), RESET_SECS)
                .map_err(|error| CliError::failure(error.to_string()))?;
            let (commands, context) = (&parts.commands, parts.context(None));
            let done = people::reset_factors(commands, &context, user, (reason, code)).await;
            parts.reach(view::NAME, known(user, done)?.position).await?;
            output.say("The code for a new password goes to their address and works for an hour; they may ask for another.");
            output.one(&json!({ "user_id": user, "reset": true }))
        }
    })
    .await
}

async fn find(parts: &SessionParts, who: &str) -> Result<Account, CliError> {
    parts.catch_up(&[view::NAME]).await?;
    let pool = parts.pool();
    let found = match who.parse::<UserId>() {
        Ok(id) => people_query::user(pool, &id.to_string()).await?,
        Err(_) if !who.contains('@') => {
            return Err(CliError::usage(format!("'{who}' is neither user_… nor an address")));
        }
        Err(_) => {
            let index = parts.commands.executor.personal().index(&normalised(who)).await;
            let unusable = |error: &dyn std::fmt::Display| {
                CliError::new(Exit::Unavailable, "keys_unusable", error.to_string())
            };
            people_query::by_email(pool, &index.map_err(|error| unusable(&error))?).await?
        }
    };
    let found = found.ok_or_else(|| CliError::not_found("account", who))?;
    Ok(Account {
        passkeys: passkeys_query::of_user(pool, &found.user_id).await?.len(),
        sessions: people_query::sessions(pool, &found.user_id).await?.len(),
        registered_at: found.registered_at,
        verified: found.verified_at.is_some(),
        one_time_passwords: found.totp == "on",
        user_id: found.user_id,
    })
}

/// Each person is a command of its own, so that repeating what was interrupted ends what is left.
async fn end_sessions(
    parts: &SessionParts,
    args: EndSessionsArgs,
    output: Output,
) -> Result<(), CliError> {
    let context = parts.context(None);
    let whose = match args.user {
        Some(user) => vec![user],
        None => {
            parts.catch_up(&[view::NAME]).await?;
            let ids = people_query::signed_in(parts.pool()).await?;
            ids.iter().filter_map(|id| id.parse().ok()).collect()
        }
    };
    if whose.is_empty() {
        output.say("Nobody is signed in.");
    }
    let mut last = 0;
    for user in &whose {
        let command_id = format!("{}:{user}", context.command_id);
        let context = CommandContext { command_id, ..context.clone() };
        let done =
            people::end_sessions(&parts.commands, &context, *user, args.reason.clone()).await;
        last = known(*user, done)?.position;
    }
    parts.reach(view::NAME, last).await?;
    output.one(&json!({ "people": whose.len() }))
}

fn known(user: UserId, done: Result<Executed, ExecuteError>) -> Result<Executed, CliError> {
    done.map_err(|error| match error {
        ExecuteError::Refused { code, .. } if code == "unknown_user" => {
            CliError::not_found("account", &user.to_string())
        }
        other => other.into(),
    })
}

//! One command's stay in the platform: the database, the log, the views caught up, and who acts.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::{CommandContext, Commands, Personal};
use cairn_core::OrganisationId;
use cairn_event_log::EventLog;
use cairn_privacy::SubjectKeys;
use cairn_projections::{EngineError, Projector};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::exit::{CliError, Exit};
use super::output;
use crate::auth::Mode;
use crate::config::Config;
use crate::trace::Trace;
use crate::wiring::Platform;

const CATCH_UP: Duration = Duration::from_secs(60);

/// An open platform, with the views following the log as long as the command runs.
pub struct Session {
    platform: Platform,
    stop: CancellationToken,
    following: Option<JoinHandle<()>>,
}

impl Session {
    /// Opens the platform: the server of `DATABASE_URL`, or the private cluster, joined or started.
    pub async fn open(config: &Config) -> Result<Self, CliError> {
        let mut session = Self::open_quietly(config).await?;
        session.following = Some(session.platform.follow(session.stop.clone()));
        Ok(session)
    }

    /// The same, but nothing follows the log: who only looks at the past writes nothing.
    async fn open_quietly(config: &Config) -> Result<Self, CliError> {
        if config.database_url.is_none() && !config.data.join("postgres").exists() {
            return Err(no_data(config));
        }
        let platform = Platform::open(config, false).await?;
        output::opens(platform.commands.executor.personal());
        Ok(Self { platform, stop: CancellationToken::new(), following: None })
    }

    /// Opens the platform, runs one command in it, and leaves in order, whatever came of it.
    pub async fn run<T, F>(
        config: &Config,
        command: impl FnOnce(SessionParts) -> F,
    ) -> Result<T, CliError>
    where
        F: Future<Output = Result<T, CliError>>,
    {
        let session = Self::open(config).await?;
        let parts = SessionParts::new(&session.platform, config);
        let ended = command(parts).await;
        session.close().await;
        ended
    }

    /// Opens the platform for one command that only reads: it gets neither commands nor ports but the keys of personal texts.
    pub async fn read<T, F>(
        config: &Config,
        command: impl FnOnce(EventLog, Projector, Personal) -> F,
    ) -> Result<T, CliError>
    where
        F: Future<Output = Result<T, CliError>>,
    {
        let session = Self::open_quietly(config).await?;
        let executor = &session.platform.commands.executor;
        let (log, personal) = (executor.log().clone(), executor.personal().clone());
        let ended = command(log, session.platform.projector.clone(), personal).await;
        session.close().await;
        ended
    }

    /// Lets what has begun finish, and leaves.
    pub async fn close(self) {
        self.stop.cancel();
        if let Some(following) = self.following {
            let _ = following.await;
        }
        self.platform.close().await;
    }
}

/// A command never begins a cluster by itself: most likely it was typed in another directory than was meant.
fn no_data(config: &Config) -> CliError {
    let message = format!(
        "there is no Cairn in {}: set CAIRN_DATA or DATABASE_URL, or begin one here with `cairn migrate up`",
        config.data.display()
    );
    CliError::new(Exit::Unavailable, "no_data", message)
}

/// What a command works with.
#[derive(Clone)]
pub struct SessionParts {
    /// What acts.
    pub commands: Commands,
    /// What is seen.
    pub projector: Projector,
    /// The keys of subjects.
    pub keys: Arc<SubjectKeys>,
    /// Whether money is real.
    pub mode: Mode,
    owner: PgConnectOptions,
    user: String,
    idempotency: Option<(String, [u8; 32])>,
}

impl SessionParts {
    /// Of an open platform.
    pub fn new(platform: &Platform, config: &Config) -> Self {
        Self {
            commands: platform.commands.clone(),
            projector: platform.projector.clone(),
            keys: Arc::clone(&platform.keys),
            mode: config.mode(),
            owner: platform.database.options.clone(),
            user: config.user.clone(),
            idempotency: config.idempotency.clone(),
        }
    }

    /// The pool that views are read from.
    pub fn pool(&self) -> &PgPool {
        self.commands.executor.log().pool()
    }

    /// A connection as the owner of the schema, who sees every table.
    pub async fn owner(&self) -> Result<PgConnection, CliError> {
        Ok(self.owner.clone().disable_statement_logging().connect().await?)
    }

    /// Waits until these views show everything that is in the log now.
    pub async fn catch_up(&self, views: &[&str]) -> Result<(), CliError> {
        let head = self.commands.executor.log().head().await?;
        for view in views {
            self.reach(view, head).await?;
        }
        Ok(())
    }

    /// Waits until a view shows a position.
    pub async fn reach(&self, view: &str, position: i64) -> Result<i64, CliError> {
        let late = |why: String| CliError::new(Exit::Unavailable, "position_not_reached", why);
        match self.projector.check_version(view).await {
            Err(error @ (EngineError::Older { .. } | EngineError::Newer { .. })) => {
                return Err(late(error.to_string()));
            }
            checked => checked?,
        }
        let reached = self.projector.wait_for_view(view, position, CATCH_UP).await;
        reached.map_err(|error| late(format!("{view}: {error}")))
    }

    /// Identity of one command typed here: the key it was given or a new one, the operating system's user as actor.
    pub fn context(&self, organisation_id: Option<OrganisationId>) -> CommandContext {
        let new = || {
            let key = format!("{:032x}", self.commands.ids.next());
            let hash = Sha256::digest(key.as_bytes()).into();
            (key, hash)
        };
        let (key, body_hash) = self.idempotency.clone().unwrap_or_else(new);
        let id = format!("cli:{key}");
        CommandContext {
            body_hash,
            command_id: id.clone(),
            actor: format!("operator:{}", self.user),
            organisation_id,
            correlation_id: id,
            causation_id: None,
            traceparent: Some(Trace::begin(self.commands.ids.as_ref()).traceparent()),
            origin: Some("cli".to_owned()),
        }
    }
}

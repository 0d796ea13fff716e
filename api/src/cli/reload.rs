//! SIGHUP: a server reads its settings again. What may change while it runs does, each change an event in the log; everything else is
//! refused by name and stays; a configuration that is wrong changes nothing.
use cairn_commands::operations::{ChangeSetting, change_setting};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::exit::CliError;
use super::session::SessionParts;
use crate::config::{Change, Config, Reading, Sources};
use crate::outside::process_name;

/// What log lines are written.
pub(super) struct LogFilter(Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>);

impl LogFilter {
    /// That which `set` changes.
    pub(super) fn new<E: std::fmt::Display>(
        set: impl Fn(EnvFilter) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(move |filter| set(filter).map_err(|error| error.to_string())))
    }

    fn set(&self, filter: &str) -> Result<(), String> {
        (self.0)(EnvFilter::new(filter))
    }
}

/// A server's settings as they are, and where they are read again.
pub(super) struct Reloads<'a> {
    sources: &'a Sources,
    now: Reading,
    filter: LogFilter,
    server: String,
    hangup: Signal,
}

impl<'a> Reloads<'a> {
    /// From here on SIGHUP no longer ends the process.
    pub(super) fn new(
        sources: &'a Sources,
        now: Reading,
        filter: LogFilter,
    ) -> std::io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { sources, now, filter, server: process_name(), hangup })
    }

    /// Reads again at every SIGHUP, for ever.
    pub(super) async fn follow(&mut self, parts: &SessionParts) {
        while self.hangup.recv().await.is_some() {
            self.reload(parts).await;
        }
    }

    async fn reload(&mut self, parts: &SessionParts) {
        let later = self.sources.read();
        let reload = match self.now.reloaded(&later) {
            Ok(reload) => reload,
            Err(errors) => {
                tracing::error!(%errors, "the settings are not taken up: everything stays as it was");
                return;
            }
        };
        for Change { key, from, to, said_in } in reload.refused {
            tracing::warn!(key, from, to, said_in, "not while the server runs: it stays as it was");
        }
        for change in reload.changes {
            let (key, said_in) = (change.key, change.said_in.clone());
            match self.take_up(parts, &reload.config, change).await {
                Ok(()) => {
                    self.now.take(&later, key);
                    tracing::info!(key, said_in, "the setting is taken up");
                }
                Err(error) => tracing::error!(key, %error, "the setting stays as it was"),
            }
        }
    }

    /// Told first, then done: no change goes without its event.
    async fn take_up(
        &self,
        parts: &SessionParts,
        config: &Config,
        change: Change,
    ) -> Result<(), CliError> {
        let Change { key, from, to, said_in } = change;
        let mut context = parts.context(None);
        context.origin = Some("signal".to_owned());
        let server = self.server.clone();
        let input = ChangeSetting { server, setting: key.to_owned(), from, to, said_in };
        change_setting(&parts.commands, &context, input).await?;
        // The one setting that may change while a server runs.
        self.filter.set(&config.log).map_err(CliError::failure)
    }
}

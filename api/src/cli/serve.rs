//! `cairn serve`: the server, and what one for development has in common with it.
use std::sync::Arc;

use cairn_event_log::Rights;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::exit::{CliError, Exit};
use super::output::Output;
use super::reload::{LogFilter, Reloads};
use super::session::SessionParts;
use crate::config::{Config, Reading, Sources};
use crate::http::server::bind;
use crate::outside::{self, OutsideError, Payments};
use crate::reports::Fault;
use crate::wiring::{OpenError, Outside, Platform, Server};

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Database(error) => error.into(),
            OpenError::Log(error) => error.into(),
            OpenError::Keys(error) => error.into(),
        }
    }
}

impl From<OutsideError> for CliError {
    fn from(error: OutsideError) -> Self {
        match error {
            OutsideError::NoStripe | OutsideError::NoPublicUrl | OutsideError::Provider(_) => {
                Self::usage(error.to_string())
            }
            OutsideError::Port(error) => error.into(),
            OutsideError::Io(error) => error.into(),
        }
    }
}

/// What a server finds around it: what its configuration names, or in development what stands in for it.
pub(super) trait Around: Sized {
    /// Whether the schema is made to fit first, by a login that may own it.
    const IN_DEVELOPMENT: bool = false;

    /// The payment provider.
    async fn payments(&mut self, config: &Config) -> Result<Payments, OutsideError>;

    /// What is other than the configuration says.
    fn change(&self, _: &Config, _: &mut Outside) -> Result<(), OutsideError> {
        Ok(())
    }

    /// The server listens.
    fn reached_at(&self, _: &str) {}

    /// The server has stopped.
    async fn end(self, _: &Config) {}
}

/// Nothing but what the configuration names.
struct Named;

impl Around for Named {
    async fn payments(&mut self, config: &Config) -> Result<Payments, OutsideError> {
        outside::payments(config)
    }
}

pub(super) async fn serve(
    config: &Config,
    (sources, reading): (&Sources, Reading),
    output: Output,
) -> Result<(), CliError> {
    let filter = log_to_stderr(&config.log);
    let reloads = Reloads::new(sources, reading, filter)?;
    run((config, Named), Some(reloads), output, async |_, _| Ok(())).await
}

/// Writes logs to stderr: lines for a person, JSON for everything else.
pub(super) fn log_to_stderr(filter: &str) -> LogFilter {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        return LogFilter::new(move |filter| handle.reload(filter));
    }
    let builder = builder.json().flatten_event(true).with_filter_reloading();
    let handle = builder.reload_handle();
    let _ = builder.try_init();
    LogFilter::new(move |filter| handle.reload(filter))
}

pub(super) async fn run(
    (config, around): (&Config, impl Around),
    reloads: Option<Reloads<'_>>,
    output: Output,
    greet: impl AsyncFnOnce(&SessionParts, Output) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut stops = Stops::new()?;
    let open = stops.until(Box::pin(open(config, around))).await??;
    let url = open.url.clone();
    output.say(&format!("Cairn listens on {url}; the API is described at {url}/openapi.json"));
    if output.is_json() {
        output.json_line(&serde_json::json!({ "listening": url }))?;
    }
    let parts = SessionParts::new(&open.platform, config);
    let greeted = stops.until(greet(&parts, output)).await.and_then(|greeted| greeted);
    if greeted.is_ok() {
        wait(&mut stops, reloads, &parts).await;
        output.say("stopping: what has begun is finished first; once more, and it is not");
    }
    stops.until(open.close(config)).await?;
    greeted
}

/// Until it shall stop. A reload that is under way then is left: what it told the log of is done at the next start anyway.
async fn wait(stops: &mut Stops, reloads: Option<Reloads<'_>>, parts: &SessionParts) {
    let Some(mut reloads) = reloads else { return stops.wait().await };
    tokio::select! {
        () = stops.wait() => {}
        () = reloads.follow(parts) => {}
    }
}

/// A server and all that it stands on.
struct Open<A> {
    platform: Platform,
    around: A,
    server: Server,
    url: String,
    unguarded: CancellationToken,
    guarding: JoinHandle<()>,
}

async fn open<A: Around>(config: &Config, mut around: A) -> Result<Open<A>, CliError> {
    let listeners = bind(&config.listen).await.map_err(|error| {
        CliError::new(Exit::Unavailable, "address_unavailable", error.to_string())
    })?;
    let address = listeners.first().map(tokio::net::TcpListener::local_addr).transpose()?;
    let platform = Platform::open(config, A::IN_DEVELOPMENT).await?;
    guarded(&platform, A::IN_DEVELOPMENT).await?;
    let payments = around.payments(config).await?;
    let mut outside = outside::outside(config, (&payments, &platform.neighbours), address)?;
    around.change(config, &mut outside)?;
    let url = outside.public_url.clone();
    let keys = Arc::clone(&platform.keys);
    let parts = (platform.commands.clone(), platform.projector.clone(), keys);
    let server = Server::start(parts, outside, listeners)?;
    // What began before it had anybody to tell.
    cairn_tasks::otherwise(server.api.reports.of_panics(Fault::default()));
    let unguarded = CancellationToken::new();
    let guarding = platform.guard_database(unguarded.clone());
    around.reached_at(&url);
    Ok(Open { platform, around, server, url, unguarded, guarding })
}

/// Refuses to serve when the database's own rules do not stand behind ours.
async fn guarded(platform: &Platform, may_own: bool) -> Result<(), CliError> {
    let rights = Rights::of(platform.commands.executor.log().pool()).await?;
    if !rights.excess.is_empty() {
        return Err(CliError::new(Exit::Failure, "rights_unfit", rights.excess.join("; ")));
    }
    if rights.login_is_owner && !may_own && platform.database.cluster.is_none() {
        let login = rights.login;
        tracing::warn!(login, "the server's login owns the schema; give it one of its own");
    }
    Ok(())
}

impl<A: Around> Open<A> {
    async fn close(self, config: &Config) {
        self.server.stop().await;
        self.around.end(config).await;
        self.unguarded.cancel();
        let _ = self.guarding.await;
        self.platform.close().await;
    }
}

/// Ctrl-C and SIGTERM.
pub(super) struct Stops {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stops {
    /// From here on the signals no longer end the process by themselves.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Does something, unless one of them comes first: it is then left where it is.
    pub(super) async fn until<T>(&mut self, work: impl Future<Output = T>) -> Result<T, CliError> {
        tokio::select! {
            done = work => Ok(done),
            () = self.wait() => Err(CliError::new(Exit::Failure, "interrupted", "stopped at once")),
        }
    }

    /// Until one of them comes.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

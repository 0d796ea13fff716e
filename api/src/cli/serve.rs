//! `cairn serve` and `cairn dev`: the server.
use std::sync::Arc;

use cairn_event_log::Rights;
use cairn_identity::Role;
use cairn_projections::identity::api_keys;
use cairn_webhooks::Strangers;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::ServeArgs;
use super::exit::{CliError, Exit};
use super::keys;
use super::output::Output;
use super::reload::{LogFilter, Reloads};
use super::session::SessionParts;
use crate::config::{Config, Reading, Sources};
use crate::http::server::bind;
use crate::outside::{self, OutsideError, Payments};
use crate::wiring::{OpenError, Platform, Server};

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

pub(super) async fn serve(
    config: &Config,
    (sources, reading): (&Sources, Reading),
    args: &ServeArgs,
    output: Output,
) -> Result<(), CliError> {
    let filter = log_to_stderr(&config.log);
    let reloads = Reloads::new(sources, reading, filter)?;
    run((config, args.dev), Some(reloads), output, async |_, _| Ok(())).await
}

/// Ends with its terminal: there SIGHUP means that nobody is left.
pub(super) async fn dev(config: &Config, output: Output) -> Result<(), CliError> {
    let _ = log_to_stderr(&config.log);
    run((config, true), None, output, greet).await
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

async fn run(
    (config, dev): (&Config, bool),
    reloads: Option<Reloads<'_>>,
    output: Output,
    greet: impl AsyncFnOnce(&SessionParts, Output) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut stops = Stops::new()?;
    let open = stops.until(Box::pin(open(config, dev))).await??;
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
struct Open {
    platform: Platform,
    payments: Payments,
    server: Server,
    url: String,
    unguarded: CancellationToken,
    guarding: JoinHandle<()>,
}

async fn open(config: &Config, dev: bool) -> Result<Open, CliError> {
    let listeners = bind(&config.listen).await.map_err(|error| {
        CliError::new(Exit::Unavailable, "address_unavailable", error.to_string())
    })?;
    let address = listeners.first().map(tokio::net::TcpListener::local_addr).transpose()?;
    let platform = Platform::open(config, dev).await?;
    guarded(&platform, dev).await?;
    let payments = outside::payments(config, dev).await?;
    let mut outside = outside::outside(config, (&payments, &platform.neighbours), address)?;
    if dev && config.mail.is_none() {
        outside.mail = outside::kept_mail(&config.data);
    }
    if dev {
        outside.webhooks = outside::webhooks(Strangers::PublicAndLoopback)?;
    }
    let url = outside.public_url.clone();
    let keys = Arc::clone(&platform.keys);
    let parts = (platform.commands.clone(), platform.projector.clone(), keys);
    let server = Server::start(parts, outside, listeners)?;
    let unguarded = CancellationToken::new();
    let guarding = platform.guard_database(unguarded.clone());
    payments.deliver_to(&url);
    Ok(Open { platform, payments, server, url, unguarded, guarding })
}

/// Refuses to serve when the database's own rules do not stand behind ours.
async fn guarded(platform: &Platform, dev: bool) -> Result<(), CliError> {
    let rights = Rights::of(platform.commands.executor.log().pool()).await?;
    if !rights.excess.is_empty() {
        return Err(CliError::new(Exit::Failure, "rights_unfit", rights.excess.join("; ")));
    }
    if rights.login_is_owner && !dev && platform.database.cluster.is_none() {
        let login = rights.login;
        tracing::warn!(login, "the server's login owns the schema; give it one of its own");
    }
    Ok(())
}

impl Open {
    async fn close(self, config: &Config) {
        self.server.stop().await;
        self.payments.shutdown(&config.data).await;
        self.unguarded.cancel();
        let _ = self.guarding.await;
        self.platform.close().await;
    }
}

/// Prints an operator's and a customer's key, the first time.
async fn greet(parts: &SessionParts, output: Output) -> Result<(), CliError> {
    parts.catch_up(&[api_keys::NAME]).await?;
    if !api_keys::list(parts.pool(), (None, None), None, 1).await?.items.is_empty() {
        output.say("Keys were made before; `cairn keys create` makes more.");
        return Ok(());
    }
    let operator =
        keys::create(parts, Role::PlatformOperator, "dev operator".to_owned(), (None, None))
            .await?;
    let customer =
        keys::create(parts, Role::Owner, "dev customer".to_owned(), (None, None)).await?;
    output.one(&serde_json::json!({
        "operator_key": operator.secret.expose(),
        "customer_key": customer.secret.expose(),
        "customer_organisation_id": customer.organisation_id,
    }))
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

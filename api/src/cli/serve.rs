//! `cairn serve` and `cairn dev`: the server.
use cairn_identity::Role;
use cairn_projections::identity::api_keys;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::ServeArgs;
use super::exit::{CliError, Exit};
use super::keys;
use super::output::Output;
use super::session::SessionParts;
use crate::config::Config;
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
            OutsideError::NoStripe | OutsideError::NoPublicUrl => Self::usage(error.to_string()),
            OutsideError::Port(error) => error.into(),
            OutsideError::Io(error) => error.into(),
        }
    }
}

pub(super) async fn serve(
    config: &Config,
    args: &ServeArgs,
    output: Output,
) -> Result<(), CliError> {
    log_to_stderr(&config.log);
    run(config, args.dev, output, async |_, _| Ok(())).await
}

pub(super) async fn dev(config: &Config, output: Output) -> Result<(), CliError> {
    log_to_stderr(&config.log);
    run(config, true, output, greet).await
}

/// Writes logs to stderr: lines for a person, JSON for everything else.
pub(super) fn log_to_stderr(filter: &str) {
    use std::io::IsTerminal as _;
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

async fn run(
    config: &Config,
    dev: bool,
    output: Output,
    greet: impl AsyncFnOnce(&SessionParts, Output) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut stops = Stops::new()?;
    let open = stops.until(open(config, dev)).await??;
    let url = open.url.clone();
    output.say(&format!("Cairn listens on {url}; the API is described at {url}/openapi.json"));
    if output.is_json() {
        output.json_line(&serde_json::json!({ "listening": url }))?;
    }
    let parts = SessionParts::new(&open.platform, config);
    let greeted = stops.until(greet(&parts, output)).await.and_then(|greeted| greeted);
    if greeted.is_ok() {
        stops.wait().await;
        output.say("stopping: what has begun is finished first; once more, and it is not");
    }
    stops.until(open.close(config)).await?;
    greeted
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
    let payments = outside::payments(config, dev).await?;
    let outside = outside::outside(config, &payments, address)?;
    let url = outside.public_url.clone();
    let parts = (platform.commands.clone(), platform.projector.clone());
    let server = Server::start(parts, outside, listeners)?;
    let unguarded = CancellationToken::new();
    let guarding = platform.guard_database(unguarded.clone());
    payments.deliver_to(&url);
    Ok(Open { platform, payments, server, url, unguarded, guarding })
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
    if !api_keys::list(parts.pool(), None, None, 1).await?.items.is_empty() {
        output.say("Keys were made before; `cairn keys create` makes more.");
        return Ok(());
    }
    let operator =
        keys::create(parts, Role::Operator, "dev operator".to_owned(), (None, None)).await?;
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

//! The stage: a platform with a server that listens, a simulator, a node, and three people with keys.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_commands::processes::{RunnerConfig, Settings};
use cairn_identity::Role;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::DemoArgs;
use super::client::Client;
use super::machine::Machine;
use crate::cli::exit::{CliError, Exit};
use crate::cli::keys;
use crate::cli::output::Output;
use crate::cli::session::SessionParts;
use crate::config::Config;
use crate::database::Database;
use crate::http::server::bind;
use crate::outside;
use crate::stand_ins::Simulated;
use crate::wiring::{Platform, Server};

/// The stage.
pub(super) struct Stage {
    pub parts: SessionParts,
    pub provider: Simulated,
    pub machine: Machine,
    pub address: SocketAddr,
    pub url: String,
    pub operator: Client,
    pub customer: Client,
    pub keys: Vec<(&'static str, String)>,
    server: Server,
    platform: Platform,
    unguarded: CancellationToken,
    guarding: JoinHandle<()>,
    home: PathBuf,
    scratch: TempDir,
    output: Output,
}

impl Stage {
    /// Puts everything up, in an empty data directory.
    pub(super) async fn set(
        config: &Config,
        (args, home): (&DemoArgs, &Path),
        output: Output,
    ) -> Result<Self, CliError> {
        let data = home.to_owned();
        let listen = if args.once {
            vec![SocketAddr::from(([127, 0, 0, 1], 0))]
        } else {
            config.listen.clone()
        };
        let listeners = bind(&listen).await.map_err(|error| {
            CliError::new(Exit::Unavailable, "address_unavailable", error.to_string())
        })?;
        let first = listeners.first().ok_or_else(|| CliError::usage("no address to listen on"))?;
        let address = first.local_addr()?;
        output.say("starting a private PostgreSQL cluster and migrating it");
        let database = Database::private(&data).await?;
        let platform = Platform::over(database, &config.within(&data), true).await?;
        let machine = tokio::task::block_in_place(Machine::start)?;
        let provider = Simulated::start(&data).await?;
        let ssh_source_addresses = machine.source_addresses();
        let own = Config { ssh_source_addresses, ..config.within(&data) };
        let around = (&provider.payments, &platform.neighbours);
        let mut outside = outside::outside(&own, around, Some(address))?;
        outside.node = machine.port().unwrap_or(outside.node);
        outside.runner = brisk(outside.runner);
        let parts = SessionParts::new(&platform, config);
        let master = Arc::clone(&platform.keys);
        let together = (platform.commands.clone(), platform.projector.clone(), master);
        let server = Server::start(together, outside, listeners)?;
        let unguarded = CancellationToken::new();
        let guarding = platform.guard_database(unguarded.clone());
        let url = format!("http://{address}");
        provider.deliver_to(&url);
        let keys = make_keys(&parts).await?;
        let client = |at: usize| Client::new(&url, &keys[at].1);
        let (operator, customer) = (client(0), client(1));
        output.say(&format!("the server listens on {url}, the payment provider is simulated"));
        let scratch = tempfile::tempdir()?;
        Ok(Self {
            parts,
            provider,
            machine,
            address,
            url,
            operator,
            customer,
            keys,
            server,
            platform,
            unguarded,
            guarding,
            home: data,
            scratch,
            output,
        })
    }

    /// Where the data is, for commands beside the demo.
    pub(super) fn data(&self) -> &Path {
        &self.home
    }

    /// The database, for another one beside it.
    pub(super) const fn database(&self) -> &Database {
        &self.platform.database
    }

    /// For keys and exports.
    pub(super) fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Tells what just happened.
    pub(super) fn say(&self, text: &str) {
        self.output.say(&format!("• {text}"));
    }

    /// Takes everything down.
    pub(super) async fn strike(self) {
        self.server.stop().await;
        self.provider.shutdown(&self.home).await;
        self.unguarded.cancel();
        let _ = self.guarding.await;
        self.platform.close().await;
        drop(self.machine);
    }
}

/// A demo is short: what takes a minute elsewhere takes a second here.
fn brisk(runner: RunnerConfig) -> RunnerConfig {
    let settings = Settings { tick_seconds: 2, poll_seconds: 1, ..runner.settings };
    RunnerConfig { settings, ..runner }
}

async fn make_keys(parts: &SessionParts) -> Result<Vec<(&'static str, String)>, CliError> {
    let mut made = vec![];
    for (name, role) in [
        ("operator", Role::PlatformOperator),
        ("customer", Role::Owner),
        ("finance", Role::PlatformFinance),
    ] {
        let key = keys::create(parts, role, format!("demo {name}"), (None, None)).await?;
        made.push((name, key.secret.expose().to_owned()));
    }
    Ok(made)
}

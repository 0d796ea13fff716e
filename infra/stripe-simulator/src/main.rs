//! The simulator as a process of its own.
use std::path::PathBuf;
use std::process::ExitCode;

use cairn_stripe_simulator::{Faults, SimulatorConfig, serve};
use clap::Parser;
use tokio::net::TcpListener;

/// Speaks Stripe's HTTP API from memory and misbehaves on request. Takes test keys (sk_test_…) only.
#[derive(Parser)]
#[command(name = "cairn-stripe-simulator", version)]
struct Options {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:12111")]
    listen: String,
    /// Where webhooks are posted, for example http://127.0.0.1:8080/v1/webhooks/stripe
    #[arg(long, env = "STRIPE_WEBHOOK_URL")]
    webhook_url: Option<String>,
    /// Signs the webhooks
    #[arg(long, env = "STRIPE_WEBHOOK_SECRET", hide_env_values = true, default_value = "")]
    webhook_secret: String,
    /// JSON file of faults, as POST /_control/faults takes it
    #[arg(long)]
    faults: Option<PathBuf>,
    /// Keep the book in this file, so that it outlives the process
    #[arg(long)]
    journal: Option<PathBuf>,
    /// The same seed makes the same choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let faults = match options.faults {
        None => Faults::default(),
        Some(path) => {
            let text = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))?
        }
    };
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|e| format!("cannot listen on {}: {e}", options.listen))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    tracing::info!(seed = options.seed, "Stripe simulator on http://{address}");
    let config = SimulatorConfig {
        webhook_url: options.webhook_url,
        // A list while a secret is rotated: the first signs.
        webhook_secret: options.webhook_secret.split(',').next().unwrap_or_default().to_owned(),
        faults,
        seed: options.seed,
        journal: options.journal,
    };
    serve(listener, config, stopped()).await.map_err(|e| e.to_string())
}

/// Ctrl-C or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

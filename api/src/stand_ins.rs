//! What stands in for neighbours in development: the simulator of the payment provider, and a folder for e-mail.
//!
//! Only a build with the feature `development` has it (ADR 0039).
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_commands::ports::{MailPort, PaymentPort};
use cairn_mail::Mailer;
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{Simulator, SimulatorConfig};

use crate::config::Config;
use crate::outside::{self, OutsideError, Payments};
use crate::system;

/// The simulator, and the adapter that talks to it as it would to Stripe.
pub struct Simulated {
    /// What a server calls.
    pub payments: Payments,
    /// What answers.
    pub simulator: Simulator,
}

impl Simulated {
    /// A simulator of its own, whose book outlives the process in the data directory. Commands beside the server are told there where
    /// it is.
    ///
    /// # Errors
    /// [`OutsideError`].
    pub async fn start(data: &Path) -> Result<Self, OutsideError> {
        let webhook_secret = system::new_webhook_secret()?;
        let config = SimulatorConfig {
            webhook_secret: webhook_secret.clone(),
            journal: Some(data.join("stripe-simulator.jsonl")),
            ..SimulatorConfig::default()
        };
        let simulator = Simulator::start(config).await?;
        let port = simulator_at(simulator.base_url.clone())?;
        std::fs::create_dir_all(data)?;
        std::fs::write(announcement(data), &simulator.base_url)?;
        let payments = Payments { port, webhook_secrets: vec![webhook_secret] };
        Ok(Self { payments, simulator })
    }

    /// Where the simulator shall post its webhooks.
    pub fn deliver_to(&self, url: &str) {
        if let Some(secret) = self.payments.webhook_secrets.first() {
            self.simulator.set_webhook(&format!("{url}/v1/webhooks/stripe"), secret);
        }
    }

    /// Ends the simulator.
    pub async fn shutdown(self, data: &Path) {
        self.simulator.shutdown().await;
        let _ = std::fs::remove_file(announcement(data));
    }
}

/// The provider alone, for a command beside a server: Stripe, or the simulator that a running `serve --dev` announced.
///
/// # Errors
/// [`OutsideError::NoStripe`] when there is neither.
pub fn provider(config: &Config) -> Result<Arc<dyn PaymentPort>, OutsideError> {
    match outside::payments(config) {
        Err(OutsideError::NoStripe) => {
            let announced = std::fs::read_to_string(announcement(&config.data));
            simulator_at(announced.map_err(|_| OutsideError::NoStripe)?)
        }
        payments => Ok(payments?.port),
    }
}

/// E-mail that stays in a folder of a data directory.
#[must_use]
pub fn kept_mail(data: &Path) -> Arc<dyn MailPort> {
    Arc::new(Mailer::within(data))
}

fn simulator_at(base_url: String) -> Result<Arc<dyn PaymentPort>, OutsideError> {
    let stripe = StripeConfig {
        secret_key: "sk_test_simulated".to_owned(),
        api_base: Some(base_url),
        webhook_secrets: vec![],
    };
    Ok(Arc::new(StripePayments::try_new(stripe)?))
}

fn announcement(data: &Path) -> PathBuf {
    data.join("simulator-url")
}

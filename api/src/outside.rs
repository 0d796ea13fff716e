//! The adapters of one process, out of its configuration: the payment provider and the nodes.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_commands::neighbours::Neighbours;
use cairn_commands::notify::{DeliverConfig, TellConfig};
use cairn_commands::ports::{MailPort, NoMail, PaymentPort, PortError, TopicPort, WebhookPort};
use cairn_commands::processes::RunnerConfig;
use cairn_commands::relay::RelayConfig;
use cairn_kafka::KafkaTopic;
use cairn_mail::Mailer;
use cairn_oidc::{OidcError, Provider, ProviderConfig};
use cairn_stripe::{StripeConfig, StripePayments};
use cairn_stripe_simulator::{Simulator, SimulatorConfig};
use cairn_webhooks::{Strangers, WebhookConfig, WebhookSender};

use crate::config::Config;
use crate::http::limits::Limits;
use crate::live::Pace;
use crate::nodes;
use crate::system;
use crate::wiring::Outside;

/// Why the outside cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// Nobody takes payments.
    #[error("STRIPE_SECRET_KEY is not set, and no `cairn serve --dev` runs the simulator here")]
    NoStripe,
    /// It listens on every address, and none of them is one to go to.
    #[error(
        "CAIRN_PUBLIC_URL is not set, and CAIRN_LISTEN names no address that nodes and customers could go to"
    )]
    NoPublicUrl,
    /// An adapter refuses its configuration.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A provider to sign in through is none.
    #[error(transparent)]
    Provider(#[from] OidcError),
    /// A file or socket.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The payment provider, and the simulator when it stands in for it.
pub struct Payments {
    /// The provider.
    pub port: Arc<dyn PaymentPort>,
    /// Secrets that may sign webhooks.
    pub webhook_secrets: Vec<String>,
    /// The stand-in.
    pub simulator: Option<Simulator>,
}

/// The payment provider of a configuration; in development the simulator, when no key is set.
///
/// # Errors
/// [`OutsideError`].
pub async fn payments(config: &Config, dev: bool) -> Result<Payments, OutsideError> {
    match &config.stripe {
        Some(stripe) => {
            let webhook_secrets = stripe.webhook_secrets.clone();
            let port = Arc::new(StripePayments::try_new(stripe.clone())?);
            Ok(Payments { port, webhook_secrets, simulator: None })
        }
        None if dev => simulated(&config.data).await,
        None => Err(OutsideError::NoStripe),
    }
}

/// A simulator of its own, whose book outlives the process in the data directory, and the adapter that talks to it.
///
/// # Errors
/// [`OutsideError`].
pub async fn simulated(data: &Path) -> Result<Payments, OutsideError> {
    let webhook_secret = system::new_webhook_secret()?;
    let config = SimulatorConfig {
        webhook_secret: webhook_secret.clone(),
        journal: Some(data.join("stripe-simulator.jsonl")),
        ..SimulatorConfig::default()
    };
    let simulator = Simulator::start(config).await?;
    let webhook_secrets = vec![webhook_secret];
    let port = simulator_at(simulator.base_url.clone())?;
    let payments = Payments { port, webhook_secrets, simulator: Some(simulator) };
    payments.announce(data)?;
    Ok(payments)
}

fn simulator_at(base_url: String) -> Result<Arc<dyn PaymentPort>, OutsideError> {
    let stripe = StripeConfig {
        secret_key: "sk_test_simulated".to_owned(),
        api_base: Some(base_url),
        webhook_secrets: vec![],
    };
    Ok(Arc::new(StripePayments::try_new(stripe)?))
}

/// The provider alone, for a command beside a server: Stripe, or the simulator that a running `serve --dev` announced.
///
/// # Errors
/// [`OutsideError::NoStripe`] when there is neither.
pub fn provider(config: &Config) -> Result<Arc<dyn PaymentPort>, OutsideError> {
    if let Some(stripe) = &config.stripe {
        return Ok(Arc::new(StripePayments::try_new(stripe.clone())?));
    }
    let announced = std::fs::read_to_string(announcement(&config.data));
    simulator_at(announced.map_err(|_| OutsideError::NoStripe)?)
}

fn announcement(data: &Path) -> PathBuf {
    data.join("simulator-url")
}

impl Payments {
    /// Where the simulator shall post its webhooks.
    pub fn deliver_to(&self, url: &str) {
        if let (Some(simulator), Some(secret)) = (&self.simulator, self.webhook_secrets.first()) {
            simulator.set_webhook(&format!("{url}/v1/webhooks/stripe"), secret);
        }
    }

    /// Tells commands beside this server where the simulator is.
    fn announce(&self, data: &Path) -> std::io::Result<()> {
        let Some(simulator) = &self.simulator else { return Ok(()) };
        std::fs::create_dir_all(data)?;
        std::fs::write(announcement(data), &simulator.base_url)
    }

    /// Ends the simulator.
    pub async fn shutdown(self, data: &Path) {
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
            let _ = std::fs::remove_file(announcement(data));
        }
    }
}

/// How nodes and customers reach a server of this configuration.
///
/// # Errors
/// [`OutsideError::NoPublicUrl`] when it listens on every address and nobody has said by which it is reached.
pub fn public_url(config: &Config, address: Option<SocketAddr>) -> Result<String, OutsideError> {
    let mut addresses = address.into_iter().chain(config.listen.iter().copied());
    let plain = addresses.find(|address| !address.ip().is_unspecified());
    let url = config.public_url.clone().or_else(|| Some(format!("http://{}", plain?)));
    Ok(url.ok_or(OutsideError::NoPublicUrl)?.trim_end_matches('/').to_owned())
}

/// Everything outside that a server needs.
///
/// # Errors
/// [`OutsideError`].
pub fn outside(
    config: &Config,
    (payments, neighbours): (&Payments, &Neighbours),
    address: Option<SocketAddr>,
) -> Result<Outside, OutsideError> {
    let nodes = nodes::open(config)?;
    let (name, source) = (process_name(), &config.event_source);
    Ok(Outside {
        node: nodes.port,
        payments: Arc::clone(&payments.port),
        mail: mail(config)?,
        webhooks: webhooks(config.webhook_strangers)?,
        notify: Some((TellConfig::new(&name, source), DeliverConfig::new(source))),
        webhook_secrets: payments.webhook_secrets.clone(),
        enrolments: nodes.enrolments,
        public_url: public_url(config, address)?,
        runner: RunnerConfig::new(name),
        neighbours: neighbours.clone(),
        reports: config.reports.clone(),
        traces: config.traces.clone(),
        seal: config.seal.clone(),
        relay: relay(config),
        event_source: config.event_source.clone(),
        pace: Pace::default(),
        limits: Limits::default(),
        rates: config.rates,
        origins: config.cors_origins.clone(),
        proxies: config.trusted_proxies.clone(),
        mode: config.mode(),
        promises: config.promises.clone(),
        second_factor: config.second_factor,
        providers: providers(&config.providers, &public_url(config, address)?)?,
    })
}

/// Providers that people may sign in through, each with where it sends browsers back to.
///
/// # Errors
/// [`OutsideError::Provider`].
pub fn providers(
    configs: &[ProviderConfig],
    public_url: &str,
) -> Result<Vec<Provider>, OutsideError> {
    let open = |config: &ProviderConfig| {
        let back = format!("{public_url}/v1/sign-in/oidc/{}/callback", config.name);
        Ok(Provider::try_new(config.clone(), &back)?)
    };
    configs.iter().map(open).collect()
}

/// How e-mail leaves; nothing does where nobody has said how.
fn mail(config: &Config) -> Result<Arc<dyn MailPort>, OutsideError> {
    match config.mail.clone() {
        Some(mail) => Ok(Arc::new(Mailer::try_new(mail)?)),
        None => Ok(Arc::new(NoMail)),
    }
}

/// Webhooks to whom a server calls.
///
/// # Errors
/// When TLS cannot be set up.
pub fn webhooks(strangers: Strangers) -> Result<Arc<dyn WebhookPort>, OutsideError> {
    Ok(Arc::new(WebhookSender::try_new(&WebhookConfig::calling(strangers))?))
}

/// E-mail that stays in a folder of a data directory, as in development.
#[must_use]
pub fn kept_mail(data: &Path) -> Arc<dyn MailPort> {
    Arc::new(Mailer::within(data))
}

/// The topic that public events go to, when brokers are named.
#[must_use]
pub fn topic(config: &Config) -> Option<KafkaTopic> {
    config.kafka.clone().map(KafkaTopic::new)
}

fn relay(config: &Config) -> Option<(Arc<dyn TopicPort>, RelayConfig)> {
    let topic = Arc::new(topic(config)?);
    Some((topic, RelayConfig::new(process_name(), &config.event_source)))
}

/// Names this process in leases.
#[must_use]
pub fn process_name() -> String {
    let random = system::random::<4>().unwrap_or_default();
    format!("cairn-{}-{}", std::process::id(), hex::encode(random))
}

#[cfg(test)]
mod tests {
    use super::public_url;
    use crate::config::Config;

    fn url(variables: &[(&str, &str)]) -> Option<String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        public_url(&Config::from_lookup(lookup).unwrap(), None).ok()
    }

    #[test]
    fn an_address_that_means_every_address_is_told_to_nobody() {
        let given = ("CAIRN_PUBLIC_URL", "https://cairn.example.org/");
        for every in ["0.0.0.0:80", "[::]:80", "0.0.0.0:80,[::]:80"] {
            assert_eq!(url(&[("CAIRN_LISTEN", every)]), None, "{every}");
            let told = url(&[("CAIRN_LISTEN", every), given]);
            assert_eq!(told.as_deref(), Some("https://cairn.example.org"));
        }
        let some = url(&[("CAIRN_LISTEN", "0.0.0.0:80,192.0.2.1:8080")]);
        assert_eq!(some.as_deref(), Some("http://192.0.2.1:8080"));
        assert_eq!(url(&[]).as_deref(), Some("http://127.0.0.1:8080"));
    }
}

//! The adapters of one process, out of its configuration: the payment provider and the nodes.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cairn_commands::neighbours::Neighbours;
use cairn_commands::notify::{DeliverConfig, TellConfig};
use cairn_commands::ports::{MailPort, NoMail, PaymentPort, PortError, TopicPort, WebhookPort};
use cairn_commands::processes::RunnerConfig;
use cairn_commands::relay::RelayConfig;
use cairn_kafka::KafkaTopic;
use cairn_mail::Mailer;
use cairn_oidc::{OidcError, Provider, ProviderConfig};
use cairn_stripe::StripePayments;
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
    #[error("STRIPE_SECRET_KEY is not set; for development `cairn serve --dev` runs a simulator")]
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

/// The payment provider.
#[derive(Clone)]
pub struct Payments {
    /// The provider.
    pub port: Arc<dyn PaymentPort>,
    /// Secrets that may sign webhooks.
    pub webhook_secrets: Vec<String>,
}

/// The payment provider of a configuration.
///
/// # Errors
/// [`OutsideError::NoStripe`] when it names none.
pub fn payments(config: &Config) -> Result<Payments, OutsideError> {
    let stripe = config.stripe.clone().ok_or(OutsideError::NoStripe)?;
    let webhook_secrets = stripe.webhook_secrets.clone();
    Ok(Payments { port: Arc::new(StripePayments::try_new(stripe)?), webhook_secrets })
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

/// What carries out processes, with the numbers of the business that are settings.
fn runner(config: &Config, name: String) -> RunnerConfig {
    let mut runner = RunnerConfig::new(name);
    runner.settings.top_up_pause_seconds = i64::from(config.top_up_pause_seconds);
    runner.settings.top_up_burst = config.top_up_burst;
    runner.settings.late_usage = config.late_usage;
    runner
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
        runner: runner(config, name),
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
        verify_every: Duration::from_secs(config.verify_seconds.max(1)),
        reconcile_every: Duration::from_secs(config.reconcile_seconds.max(1)),
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

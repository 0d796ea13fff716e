//! Settings as the program uses them.
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderValue;
use cairn_archive::ArchiverConfig;
use cairn_commands::neighbours::NeighbourConfig;
use cairn_core::Nanos;
use cairn_core::money::parse_nanos;
use cairn_core::tax::is_jurisdiction;
use cairn_fleet::LateUsage;
use cairn_kafka::KafkaConfig;
use cairn_mail::{MailConfig, Sender};
use cairn_neighbours::BreakerConfig;
use cairn_oidc::ProviderConfig;
use cairn_privacy::{AwsKms, KmsConfig, MasterPlaces, VaultConfig, VaultTransit};
use cairn_sealer::{Place, PublishedObjects, SealerConfig, StoreOptions};
use cairn_ssh::SourceAddress;
use cairn_stripe::StripeConfig;
use cairn_webhooks::Strangers;
use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;

use super::origin::{ConfigErrors, Origin};
use super::settings::{Kind, setting, settings};
use super::sources::{Reading, Said, Values};
use crate::auth::{Mode, SecondFactor};
use crate::erasure::Promises;
use crate::http::edge::headers::Origins;
use crate::quota::Rates;
use crate::reports::ReportAddress;
use crate::traces::{self, TracesConfig};

/// All settings of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// The PostgreSQL server to use; `None` for the private cluster.
    pub database_url: Option<SecretUrl>,
    /// The cluster that carries the log; `None` when PostgreSQL does.
    pub log_url: Option<SecretUrl>,
    /// Data directory: cluster, keys.
    pub data: PathBuf,
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// How nodes and customers reach this server.
    pub public_url: Option<String>,
    /// Addresses that nodes see this server connect from; logins work from nowhere else. Empty: not known.
    pub ssh_source_addresses: Vec<SourceAddress>,
    /// How often anybody may ask.
    pub rates: Rates,
    /// Origins whose pages may ask.
    pub cors_origins: Origins,
    /// Proxies that are believed about who came to them.
    pub trusted_proxies: Vec<IpNet>,
    /// Through whom people may sign in as well.
    pub providers: Vec<ProviderConfig>,
    /// Whether people must show a second factor, whatever their organisation demands.
    pub second_factor: SecondFactor,
    /// Real Stripe, or `None`.
    pub stripe: Option<StripeConfig>,
    /// How e-mail leaves, or `None`.
    pub mail: Option<MailConfig>,
    /// When neighbours are left alone, and how many calls may be under way.
    pub neighbours: NeighbourConfig,
    /// Who is told of faults of ours, or `None`.
    pub reports: Option<ReportAddress>,
    /// Who is told what was done, or `None`.
    pub traces: Option<TracesConfig>,
    /// Whom webhooks go to.
    pub webhook_strangers: Strangers,
    /// How the log is sealed.
    pub seal: SealerConfig,
    /// What people are promised.
    pub promises: Promises,
    /// Up to which amount one person settles a break.
    pub approval_limit_nanos: Nanos,
    /// How long money may be on its way before it stands against closing a month.
    pub clearing_days: u16,
    /// How often the books are derived again from the log.
    pub verify_seconds: u64,
    /// How often the provider's book is held against ours.
    pub reconcile_seconds: u64,
    /// From an automatic top-up that succeeded to the next one.
    pub top_up_pause_seconds: u32,
    /// So many automatic top-ups of a wallet within an hour.
    pub top_up_burst: u32,
    /// What becomes of time that is proven late.
    pub late_usage: LateUsage,
    /// Whose tax a customer pays who has not said where it is; none when absent.
    pub home_jurisdiction: Option<String>,
    /// Where the master key of personal data is.
    pub masters: MasterPlaces,
    /// Where old events go, or `None`.
    pub archive: Option<ArchiverConfig>,
    /// What the environment says of object stores.
    pub store: StoreOptions,
    /// Where public events go, or `None`.
    pub kafka: Option<KafkaConfig>,
    /// Names this Cairn in public events.
    pub event_source: String,
    /// Connections to the database.
    pub pool_size: u32,
    /// Log filter.
    pub log: String,
    /// Whether nobody has said what is logged.
    pub log_is_default: bool,
    /// The key of one command line and the hash of its words; a new one each time when absent.
    pub idempotency: Option<(String, [u8; 32])>,
    /// Who runs this command, for the audit trail.
    pub user: String,
}

/// An address that may hold a password, and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// For whoever connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretUrl(…)")
    }
}

impl Config {
    /// The same for another log, with its data in a directory of its own: nothing of it is sealed, kept or told anywhere else.
    #[must_use]
    pub fn within(&self, data: &Path) -> Self {
        let (keys, file) = (data.join("keys"), data.join(SEAL_FILE));
        let seal = SealerConfig { keys, file, url: None, ..self.seal.clone() };
        let masters = MasterPlaces::file(data.join(PRIVACY_KEY));
        let (archive, kafka, log_url) = (None, None, None);
        let (data, mail) = (data.to_owned(), Some(MailConfig::within(data)));
        Self { data, seal, masters, archive, kafka, log_url, mail, ..self.clone() }
    }

    /// Whether money is real: it is where the provider's key says so.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let key = self.stripe.as_ref().map_or("", |stripe| &stripe.secret_key);
        let is_live = ["sk_live_", "rk_live_"].iter().any(|prefix| key.starts_with(prefix));
        if is_live { Mode::Live } else { Mode::Test }
    }

    /// From an environment alone.
    ///
    /// # Errors
    /// [`ConfigErrors`] names everything that is wrong.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Reading::of_lookup(lookup).config()
    }

    /// Takes every value; what is wrong is told to `values`, and then this is of no use.
    pub(super) fn read(values: &mut Values, user: Option<String>) -> Self {
        let data = values.path("data.directory").unwrap_or_default();
        let store = store(values);
        let (log, log_is_default) = logs(values);
        Self {
            database_url: database_url(values),
            log_url: values.with("event_log.url", |url| {
                cairn_eventstore::check_url(url).map(|()| SecretUrl(url.to_owned()))
            }),
            promises: promises(values),
            approval_limit_nanos: values.with("finance.approval_limit", limit).unwrap_or_default(),
            clearing_days: u16::try_from(number(values, "finance.clearing_days"))
                .unwrap_or(u16::MAX),
            verify_seconds: u64::from(number(values, "finance.verify_seconds")),
            reconcile_seconds: u64::from(number(values, "finance.reconcile_seconds")),
            top_up_pause_seconds: number(values, "finance.top_up_pause_seconds"),
            top_up_burst: number(values, "finance.top_up_burst"),
            late_usage: late_usage(values),
            home_jurisdiction: values.with("finance.home_jurisdiction", jurisdiction),
            masters: masters(values, &data, &store),
            seal: seal(values, &data, &store),
            archive: archive(values, &store),
            listen: listen(values),
            public_url: values.with("server.public_url", web_address),
            ssh_source_addresses: values.list("nodes.ssh_source_addresses"),
            rates: values.with("server.rate_limits", str::parse).unwrap_or_default(),
            cors_origins: cors_origins(values),
            trusted_proxies: trusted_proxies(values),
            stripe: stripe(values),
            mail: mail(values),
            neighbours: neighbours(values),
            reports: values.with("telemetry.report_dsn", str::parse),
            traces: traces(values),
            providers: providers(values),
            second_factor: values.with("sign_in.second_factor", str::parse).unwrap_or_default(),
            webhook_strangers: values.with("webhooks.loopback", strangers).unwrap_or_default(),
            kafka: kafka(values),
            event_source: values.text("kafka.source").unwrap_or_default(),
            pool_size: number(values, "database.pool_size"),
            store,
            data,
            log,
            log_is_default,
            idempotency: None,
            user: user.unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

/// In the data directory.
const SEAL_FILE: &str = "seal/published.ndjson";
const PRIVACY_KEY: &str = "keys/privacy.key";

/// What is said of object stores, by the vendors' names.
fn promises(values: &mut Values) -> Promises {
    let days = i64::from(number(values, "privacy.erasure_days"));
    let terms = values.with("privacy.terms_version", |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_version = (1..=40).contains(&text.len()) && text.bytes().all(fits);
        if is_version { Ok(text.to_owned()) } else { Err(()) }
    });
    Promises { erasure_secs: days * 24 * 3_600, terms, ..Promises::default() }
}

fn jurisdiction(text: &str) -> Result<String, ()> {
    is_jurisdiction(text).then(|| text.to_owned()).ok_or(())
}

fn late_usage(values: &mut Values) -> LateUsage {
    let cutoff_seconds = i64::from(number(values, "usage.cutoff_hours")) * 3_600;
    let read = |text: &str| match text {
        "forgive" => Ok(LateUsage::Forgive),
        "charge" => Ok(LateUsage::Charge { cutoff_seconds }),
        _ => Err(()),
    };
    values.with("usage.late", read).unwrap_or_default()
}

fn limit(text: &str) -> Result<Nanos, ()> {
    parse_nanos(text).ok().filter(|nanos| *nanos >= 0).ok_or(())
}

fn store(values: &mut Values) -> StoreOptions {
    let mut said = BTreeMap::new();
    for setting in settings().iter().filter(|setting| setting.is_vendors()) {
        // Of a secret in a file that stays closed it is known that there is one.
        let closed = values.said.get(&*setting.key).is_some_and(|said| said.text.is_none());
        let text = values.text(&setting.key).or_else(|| closed.then(|| "closed".to_owned()));
        said.extend(text.map(|text| (setting.variable, text)));
    }
    StoreOptions::from_lookup(|name| said.get(name).cloned())
}

/// The filter, and whether nobody has said it.
fn logs(values: &mut Values) -> (String, bool) {
    let key = "logging.filter";
    let is_default = !values.said.get(key).is_some_and(Said::is_explicit);
    let read = |text: &str| EnvFilter::builder().parse(text).map(|_| text.to_owned());
    (values.with(key, read).unwrap_or_default(), is_default)
}

fn database_url(values: &mut Values) -> Option<SecretUrl> {
    values.with("database.url", |url| {
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        let opens = known && url.parse::<PgConnectOptions>().is_ok();
        opens.then(|| SecretUrl(url.to_owned())).ok_or(())
    })
}

/// At least one: a list of nothing is a problem too.
fn listen(values: &mut Values) -> Vec<SocketAddr> {
    let key = "server.listen";
    let said = values.said.get(key).cloned();
    let (before, listen) = (values.problems.len(), values.list(key));
    if let Some(said) = said.filter(|_| listen.is_empty() && values.problems.len() == before) {
        values.said.insert(key, said);
        let _ = values.with(key, |_| Err::<(), _>(()));
    }
    listen
}

fn web_address(text: &str) -> Result<String, ()> {
    let parsed = text.parse::<reqwest::Url>().map_err(drop)?;
    let web = matches!(parsed.scheme(), "http" | "https") && parsed.has_host();
    web.then(|| text.to_owned()).ok_or(())
}

/// Scheme, host and port, as a browser sends them; `*` and `null` are everybody and nobody in particular, and are refused.
struct WebOrigin(HeaderValue);

impl FromStr for WebOrigin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = text.parse::<reqwest::Url>().map_err(drop)?.origin().ascii_serialization();
        let exact = found == text && text.starts_with("http");
        let value = exact.then(|| text.parse().ok()).flatten();
        value.map(Self).ok_or(())
    }
}

fn cors_origins(values: &mut Values) -> Origins {
    let origins = values.list("server.cors_origins").into_iter();
    Origins(origins.map(|WebOrigin(value)| value).collect())
}

/// A network, or one address.
struct Network(IpNet);

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse()).map(Self).map_err(drop)
    }
}

fn trusted_proxies(values: &mut Values) -> Vec<IpNet> {
    let networks = values.list("server.trusted_proxies").into_iter();
    networks.map(|Network(network)| network).collect()
}

fn stripe(values: &mut Values) -> Option<StripeConfig> {
    let secret_key = values.text("stripe.secret_key");
    let webhook_secrets = values.list("stripe.webhook_secrets");
    let api_base = values.with("stripe.api_base", web_address);
    Some(StripeConfig { secret_key: secret_key?, webhook_secrets, api_base })
}

fn mail(values: &mut Values) -> Option<MailConfig> {
    let ca = values.path("mail.ca_path");
    let from = values.with("mail.from", str::parse::<Sender>);
    let place = values.with("mail.url", str::parse);
    Some(MailConfig { place: place?, from: from?, ca })
}

fn neighbours(values: &mut Values) -> NeighbourConfig {
    let seconds = |values: &mut Values, key| Duration::from_secs(number(values, key).into());
    let wait = seconds(values, "neighbours.wait_seconds");
    let breaker = BreakerConfig {
        failures: number(values, "neighbours.failures_max"),
        wait,
        wait_max: seconds(values, "neighbours.wait_seconds_max").max(wait),
    };
    let mut count = |key| number(values, key) as usize;
    let calls_max = count("neighbours.calls_max");
    NeighbourConfig { breaker, calls_max, node_calls_max: count("neighbours.node_calls_max") }
}

fn vault(values: &mut Values) -> Option<VaultConfig> {
    let (ca, token) = (values.path("privacy.vault_ca_path"), values.text("privacy.vault_token"));
    let url =
        values.with("privacy.vault_url", |url| VaultTransit::check(url).map(|()| url.to_owned()));
    Some(VaultConfig { url: url?, token: token.unwrap_or_default(), ca })
}

fn masters(values: &mut Values, data: &Path, store: &StoreOptions) -> MasterPlaces {
    let file = values.path("privacy.key_path").unwrap_or_else(|| data.join(PRIVACY_KEY));
    let url = values.with("privacy.kms_url", |url| AwsKms::check(url).map(|()| url.to_owned()));
    let kms = url.map(|url| KmsConfig { url, environment: store.of_aws() });
    let places = MasterPlaces { file, vault: vault(values), kms, wraps: None };
    let holder = |text: &str| text.parse().ok().filter(|it| places.has(*it)).ok_or(());
    let wraps = values.with("privacy.wrapped_in", holder);
    MasterPlaces { wraps, ..places }
}

fn traces(values: &mut Values) -> Option<TracesConfig> {
    let headers = traces::headers(values.list("telemetry.otlp_headers"));
    let sample_ratio = values.with("telemetry.sample_ratio", traces::ratio).unwrap_or_default();
    let service = values.text("telemetry.service_name").unwrap_or_default();
    let environment = values.text("telemetry.environment");
    let endpoint = values.with("telemetry.otlp_endpoint", traces::endpoint)?;
    Some(TracesConfig { endpoint, headers, sample_ratio, service, environment })
}

fn strangers(text: &str) -> Result<Strangers, ()> {
    match text {
        "refused" => Ok(Strangers::Public),
        "allowed" => Ok(Strangers::PublicAndLoopback),
        _ => Err(()),
    }
}

/// The first name belongs to the first issuer, and so on.
fn providers(values: &mut Values) -> Vec<ProviderConfig> {
    const NAMES: &str = "sign_in.providers";
    let said = values.said.get(NAMES).cloned();
    let names: Vec<String> = values.list(NAMES);
    let issuers: Vec<String> = values.list("sign_in.issuers");
    let client_ids: Vec<String> = values.list("sign_in.client_ids");
    // Of a file that is not opened nobody knows how many it holds.
    let held = values.said.get("sign_in.client_secrets");
    let unopened = held.is_some_and(|said| said.text.is_none() && said.file.is_some());
    let secrets: Vec<String> = values.list("sign_in.client_secrets");
    let is_name = |name: &String| {
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let counts =
        [issuers.len(), client_ids.len(), if unopened { names.len() } else { secrets.len() }];
    if counts.iter().any(|count| *count != names.len()) || !names.iter().all(is_name) {
        if let Some(said) = said {
            values.said.insert(NAMES, said);
        } else {
            let (text, origin) = (Some(String::new()), Origin::Default);
            values.said.insert(NAMES, Said { text, file: None, origin });
        }
        let _ = values.with(NAMES, |_| Err::<(), _>(()));
    }
    let mut classes = multi_factor_classes(values, &names);
    let all = names.into_iter().zip(issuers).zip(client_ids.into_iter().zip(secrets));
    all.map(|((name, issuer), (client_id, client_secret))| ProviderConfig {
        multi_factor_acr: classes.remove(&name),
        name,
        issuer,
        client_id,
        client_secret,
    })
    .collect()
}

/// The class of authentication that is demanded of a provider, by its name.
fn multi_factor_classes(values: &mut Values, names: &[String]) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (name, class) = pair.split_once('=')?;
        let known = names.iter().any(|known| known == name) && !class.is_empty();
        known.then(|| (name.to_owned(), class.to_owned()))
    };
    let all = |text: &str| text.split(',').map(|text| pair(text.trim())).collect::<Option<_>>();
    values.with("sign_in.multi_factor_acr", |text| all(text).ok_or(())).unwrap_or_default()
}

fn kafka(values: &mut Values) -> Option<KafkaConfig> {
    let brokers = values.text("kafka.brokers");
    let topic = values.text("kafka.topic").unwrap_or_default();
    Some(KafkaConfig { brokers: brokers?, topic })
}

fn seal(values: &mut Values, data: &Path, store: &StoreOptions) -> SealerConfig {
    let address = |url: &str| PublishedObjects::open(url, store).map(|_| url.to_owned());
    SealerConfig {
        keys: data.join("keys"),
        events_max: number(values, "seal.events_max"),
        after: Duration::from_secs(number(values, "seal.seconds_max").into()),
        file: values.path("seal.file").unwrap_or_else(|| data.join(SEAL_FILE)),
        url: values.with("seal.url", address),
        store: store.clone(),
    }
}

fn archive(values: &mut Values, store: &StoreOptions) -> Option<ArchiverConfig> {
    let segment_events = number(values, "archive.segment_events_max");
    let place = values.with("archive.url", |url| Place::open(url, store))?;
    Some(ArchiverConfig { place, segment_events })
}

/// A number within the bounds that the table of settings has.
fn number(values: &mut Values, key: &str) -> u32 {
    let (least, most) = match setting(key).map(|setting| setting.kind) {
        Some(Kind::Number(least, most)) => (least, most),
        _ => (0, u32::MAX),
    };
    let read = |text: &str| text.parse().ok().filter(|it| (least..=most).contains(it)).ok_or(());
    values.with(key, read).unwrap_or(least)
}

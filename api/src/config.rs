//! Configuration: the only place that reads the environment.
//!
//! | variable | meaning | without it |
//! |---|---|---|
//! | `DATABASE_URL` | the PostgreSQL server to use | a private cluster under the data directory |
//! | `CAIRN_LOG_URL` | a cluster of EventStoreDB that carries the log, such as `esdb://one,two,three:2113` | PostgreSQL carries it |
//! | `CAIRN_DATA` | the data directory | `.cairn` |
//! | `CAIRN_LISTEN` | addresses to listen on, separated by commas | `127.0.0.1:8080` |
//! | `CAIRN_PUBLIC_URL` | how nodes and customers reach this server | `http://` and the first address that is not `0.0.0.0` or `[::]` |
//! | `CAIRN_RATE_LIMITS` | how often anybody may ask, such as `read=1000/60,deploy=30/60` (requests/seconds), or `off` | [`Rates`] |
//! | `CAIRN_CORS_ORIGINS` | origins whose pages may ask from a browser, such as `https://console.example.org`, separated by commas | none |
//! | `CAIRN_TRUSTED_PROXIES` | addresses and networks of proxies whose `X-Forwarded-For` is believed, separated by commas | nobody's is |
//! | `CAIRN_SSH_SOURCE_ADDRESSES` | addresses and networks that nodes see this server connect from, separated by commas | logins to nodes work from anywhere |
//! | `STRIPE_SECRET_KEY` | Stripe's secret key | `serve --dev` starts the simulator |
//! | `STRIPE_WEBHOOK_SECRET` | webhook secrets, separated by commas (rotation) | the simulator's own |
//! | `STRIPE_API_BASE` | another server that speaks Stripe's API | Stripe itself |
//! | `CAIRN_SEAL_EVENTS` | most events of a sealed block, 1 to 65,536 | 1,024 |
//! | `CAIRN_SEAL_SECONDS` | a block is sealed at the latest when its first event is so old, 1 to 86,400 | 60 |
//! | `CAIRN_SEAL_FILE` | the file that seals are published to | `seal/published.ndjson` in the data directory |
//! | `CAIRN_SEAL_URL` | a place in an object store that they are published to as well, such as `file:///srv/seals` or `s3://bucket/seals` | none |
//! | `CAIRN_ARCHIVE_URL` | a place in an object store that `cairn archive run` moves old events to, such as `s3://bucket/cairn` | nothing is archived |
//! | `CAIRN_ARCHIVE_SEGMENT_EVENTS` | most events of one object there, 1 to 65,536 | 8,192 |
//! | `AWS_…`, `GOOGLE_…`, `AZURE_…` | credentials and endpoints of object stores, as the vendors' own tools read them ([`STORE_VARIABLES`]) | what the machine itself is given |
//! | `CAIRN_PRIVACY_KEY` | the file with the master key of personal data | `keys/privacy.key` in the data directory |
//! | `CAIRN_KAFKA_BROKERS` | Kafka brokers that public events go to, `host:port` separated by commas | nothing is relayed |
//! | `CAIRN_KAFKA_TOPIC` | the topic they go to | `cairn.events` |
//! | `CAIRN_KAFKA_SOURCE` | names this Cairn in them | `/cairn` |
//! | `CAIRN_LOG` | what to log, as `tracing` filters | `info` |
//! | `CAIRN_POOL_SIZE` | connections to the database, at least 8 | 16 |
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_archive::ArchiverConfig;
use cairn_kafka::KafkaConfig;
#[cfg(doc)]
use cairn_sealer::STORE_VARIABLES;
use cairn_sealer::{Place, PublishedObjects, SealerConfig, StoreOptions};
use cairn_ssh::SourceAddress;
use cairn_stripe::StripeConfig;
use ipnet::IpNet;

use crate::http::edge::headers::Origins;
use crate::quota::Rates;

/// A server keeps four connections busy for itself (two that append, one that loads, one that listens); requests, views and
/// process managers share the rest, and with none of those left they would wait for each other.
const POOL_SIZE_MIN: u32 = 8;

/// All settings of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// The PostgreSQL server to use; `None` for the private cluster.
    pub database_url: Option<String>,
    /// The cluster that carries the log; `None` when PostgreSQL does.
    pub log_url: Option<LogUrl>,
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
    /// Real Stripe, or `None`.
    pub stripe: Option<StripeConfig>,
    /// How the log is sealed.
    pub seal: SealerConfig,
    /// The file with the master key of personal data.
    pub privacy_key: PathBuf,
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
    /// Log filter of the demo, which tells its own story.
    pub demo_log: String,
    /// The key of one command line and the hash of its words; a new one each time when absent.
    pub idempotency: Option<(String, [u8; 32])>,
    /// Who runs this command, for the audit trail.
    pub user: String,
}

/// The address of what carries the log. It may hold a password and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct LogUrl(String);

impl LogUrl {
    /// For whoever connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for LogUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogUrl(…)")
    }
}

/// A variable that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{variable}='{value}' is not {expected}")]
pub struct ConfigError {
    variable: &'static str,
    value: String,
    expected: &'static str,
}

impl Config {
    /// From the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        #[allow(clippy::disallowed_methods, reason = "the one home of the environment")]
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The same for another log, with its data in a directory of its own: nothing of it is sealed, kept or told anywhere else.
    #[must_use]
    pub fn within(&self, data: &Path) -> Self {
        let (keys, file) = (data.join("keys"), data.join(SEAL_FILE));
        let seal = SealerConfig { keys, file, url: None, ..self.seal.clone() };
        let privacy_key = data.join(PRIVACY_KEY);
        let (archive, kafka, log_url) = (None, None, None);
        Self { data: data.to_owned(), seal, privacy_key, archive, kafka, log_url, ..self.clone() }
    }

    /// From any lookup.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable that is wrong.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let or = |name: &str, default: &str| lookup(name).unwrap_or_else(|| default.to_owned());
        let listen = or("CAIRN_LISTEN", "127.0.0.1:8080")
            .split(',')
            .map(|part| parse("CAIRN_LISTEN", part.trim(), "an address such as 127.0.0.1:8080"))
            .collect::<Result<_, _>>()?;
        let ssh_source_addresses = lookup("CAIRN_SSH_SOURCE_ADDRESSES")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                parse("CAIRN_SSH_SOURCE_ADDRESSES", part, "such as 192.0.2.7 or 192.0.2.0/24")
            })
            .collect::<Result<_, _>>()?;
        let secrets = lookup("STRIPE_WEBHOOK_SECRET").unwrap_or_default();
        let stripe = lookup("STRIPE_SECRET_KEY").map(|secret_key| StripeConfig {
            secret_key,
            webhook_secrets: secrets
                .split(',')
                .map(str::trim)
                .filter(|secret| !secret.is_empty())
                .map(str::to_owned)
                .collect(),
            api_base: lookup("STRIPE_API_BASE"),
        });
        let data = PathBuf::from(or("CAIRN_DATA", ".cairn"));
        let store = StoreOptions::from_lookup(&lookup);
        Ok(Self {
            database_url: lookup("DATABASE_URL"),
            log_url: log_url(&lookup)?,
            privacy_key: lookup("CAIRN_PRIVACY_KEY")
                .map_or_else(|| data.join(PRIVACY_KEY), PathBuf::from),
            seal: seal(&data, &lookup, &store)?,
            archive: archive(&lookup, &store)?,
            store,
            data,
            listen,
            public_url: lookup("CAIRN_PUBLIC_URL"),
            ssh_source_addresses,
            rates: parse("CAIRN_RATE_LIMITS", &or("CAIRN_RATE_LIMITS", ""), RATES)?,
            cors_origins: cors_origins(&or("CAIRN_CORS_ORIGINS", ""))?,
            trusted_proxies: trusted_proxies(&or("CAIRN_TRUSTED_PROXIES", ""))?,
            stripe,
            kafka: lookup("CAIRN_KAFKA_BROKERS").map(|brokers| KafkaConfig {
                brokers,
                topic: or("CAIRN_KAFKA_TOPIC", "cairn.events"),
            }),
            event_source: or("CAIRN_KAFKA_SOURCE", "/cairn"),
            pool_size: pool_size(&or("CAIRN_POOL_SIZE", "16"))?,
            log: or("CAIRN_LOG", "info,sqlx=warn,russh=warn"),
            demo_log: or("CAIRN_LOG", "error"),
            idempotency: None,
            user: lookup("SUDO_USER").unwrap_or_else(|| or("USER", "unknown")),
        })
    }
}

/// In the data directory.
const SEAL_FILE: &str = "seal/published.ndjson";
const PRIVACY_KEY: &str = "keys/privacy.key";

const RATES: &str = "such as read=1000/60,deploy=30/60, or off; the names are address, failures, open, webhook, read, change and deploy";

/// Scheme, host and port, as a browser sends them; `*` and `null` are everybody and nobody in particular, and are refused.
fn cors_origins(value: &str) -> Result<Origins, ConfigError> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let origin = |part: &str| {
        let found = reqwest::Url::parse(part).ok().map(|url| url.origin().ascii_serialization());
        let exact = found.filter(|origin| origin == part && part.starts_with("http"));
        exact.and_then(|origin| origin.parse().ok()).ok_or_else(|| ConfigError {
            variable: "CAIRN_CORS_ORIGINS",
            value: part.to_owned(),
            expected: "an origin such as https://console.example.org",
        })
    };
    parts.map(origin).collect::<Result<_, _>>().map(Origins)
}

fn trusted_proxies(value: &str) -> Result<Vec<IpNet>, ConfigError> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let network = |part: &str| match part.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => parse("CAIRN_TRUSTED_PROXIES", part, "such as 192.0.2.7 or 10.0.0.0/8"),
    };
    parts.map(network).collect()
}

fn seal(
    data: &Path,
    lookup: &impl Fn(&str) -> Option<String>,
    store: &StoreOptions,
) -> Result<SealerConfig, ConfigError> {
    let seconds = ("CAIRN_SEAL_SECONDS", "a number of seconds from 1 to 86400");
    let seconds = number(lookup, seconds, ("60", 86_400))?;
    let url = lookup("CAIRN_SEAL_URL");
    if let Some(value) = url.as_ref().filter(|url| PublishedObjects::open(url, store).is_err()) {
        let expected = "an address such as file:///srv/seals or s3://bucket/seals, with all of its store's credentials or none";
        return Err(ConfigError { variable: "CAIRN_SEAL_URL", value: value.clone(), expected });
    }
    let events = ("CAIRN_SEAL_EVENTS", "a number from 1 to 65536");
    Ok(SealerConfig {
        keys: data.join("keys"),
        events_max: number(lookup, events, ("1024", 65_536))?,
        after: Duration::from_secs(seconds.into()),
        file: lookup("CAIRN_SEAL_FILE").map_or_else(|| data.join(SEAL_FILE), PathBuf::from),
        url,
        store: store.clone(),
    })
}

fn log_url(lookup: &impl Fn(&str) -> Option<String>) -> Result<Option<LogUrl>, ConfigError> {
    let Some(url) = lookup("CAIRN_LOG_URL") else { return Ok(None) };
    if cairn_eventstore::check_url(&url).is_ok() {
        return Ok(Some(LogUrl(url)));
    }
    let scheme = url.split_once("://").map_or("…", |(scheme, _)| scheme);
    let value = format!("{scheme}://…");
    let expected = "an address such as esdb://user:password@one,two,three:2113 or esdb://localhost:2113?tls=false";
    Err(ConfigError { variable: "CAIRN_LOG_URL", value, expected })
}

fn archive(
    lookup: &impl Fn(&str) -> Option<String>,
    store: &StoreOptions,
) -> Result<Option<ArchiverConfig>, ConfigError> {
    let events = ("CAIRN_ARCHIVE_SEGMENT_EVENTS", "a number from 1 to 65536");
    let segment_events = number(lookup, events, ("8192", 65_536))?;
    let Some(value) = lookup("CAIRN_ARCHIVE_URL") else { return Ok(None) };
    match Place::open(&value, store) {
        Ok(place) => Ok(Some(ArchiverConfig { place, segment_events })),
        Err(_) => {
            let expected = "an address such as file:///srv/cairn or s3://bucket/cairn, with all of its store's credentials or none";
            Err(ConfigError { variable: "CAIRN_ARCHIVE_URL", value, expected })
        }
    }
}

/// A number from 1 to the most there may be.
fn number(
    lookup: &impl Fn(&str) -> Option<String>,
    (variable, expected): (&'static str, &'static str),
    (default, most): (&str, u32),
) -> Result<u32, ConfigError> {
    let value = lookup(variable).unwrap_or_else(|| default.to_owned());
    let number: u32 = parse(variable, &value, expected)?;
    let fits = (1..=most).contains(&number);
    fits.then_some(number).ok_or(ConfigError { variable, value, expected })
}

fn pool_size(value: &str) -> Result<u32, ConfigError> {
    let expected = "a number of at least 8: the log keeps four connections, views, process managers and requests need the rest";
    let variable = "CAIRN_POOL_SIZE";
    let size = parse(variable, value, expected)?;
    let enough = size >= POOL_SIZE_MIN;
    enough.then_some(size).ok_or_else(|| ConfigError {
        variable,
        value: value.to_owned(),
        expected,
    })
}

fn parse<T: std::str::FromStr>(
    variable: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, ConfigError> {
    value.parse().map_err(|_| ConfigError { variable, value: value.to_owned(), expected })
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn an_empty_environment_is_enough() {
        let config = Config::from_lookup(|_| None).unwrap();
        assert_eq!(config.listen[0].to_string(), "127.0.0.1:8080");
        assert!(config.database_url.is_none() && config.stripe.is_none());
        assert_eq!(config.ssh_source_addresses, []);
    }

    #[test]
    fn public_events_go_nowhere_unless_brokers_are_named() {
        let read = |variables: &'static [(&str, &str)]| {
            let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
            Config::from_lookup(|name| find(name).map(|(_, value)| (*value).to_owned())).unwrap()
        };
        assert_eq!(read(&[("CAIRN_KAFKA_TOPIC", "t")]).kafka, None);
        let kafka = read(&[("CAIRN_KAFKA_BROKERS", "k1:9092,k2:9092")]).kafka.unwrap();
        assert_eq!((&*kafka.brokers, &*kafka.topic), ("k1:9092,k2:9092", "cairn.events"));
    }

    #[test]
    fn the_log_is_in_postgresql_unless_a_cluster_is_named_and_its_password_is_never_shown() {
        let read = |url: &'static str| {
            Config::from_lookup(|name| (name == "CAIRN_LOG_URL").then(|| url.to_owned()))
        };
        assert_eq!(Config::from_lookup(|_| None).unwrap().log_url, None);
        for url in ["esdb://admin:hush@one,two:2113", "esdb+discover://admin:hush@cluster:2113"] {
            let config = read(url).unwrap();
            assert!(!format!("{config:?}").contains("hush"));
            assert_eq!(config.log_url.as_ref().unwrap().expose(), url);
            assert_eq!(config.within(std::path::Path::new("/demo")).log_url, None);
        }
        for url in ["http://admin:hush@one", "nowhere", "esdb://admin:hush@one?tls=perhaps"] {
            let error = read(url).unwrap_err().to_string();
            assert!(error.starts_with("CAIRN_LOG_URL='"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn who_may_ask_and_who_is_believed_is_read_exactly() {
        let read = |name: &'static str, value: &'static str| {
            Config::from_lookup(|asked| (asked == name).then(|| value.to_owned()))
        };
        let origins =
            read("CAIRN_CORS_ORIGINS", "https://a.example, http://localhost:5173").unwrap();
        assert_eq!(origins.cors_origins.0, ["https://a.example", "http://localhost:5173"]);
        let proxies = read("CAIRN_TRUSTED_PROXIES", "192.0.2.7, 10.0.0.0/8, fd00::/8").unwrap();
        assert_eq!(proxies.trusted_proxies.len(), 3);
        for (name, wrong) in [
            ("CAIRN_CORS_ORIGINS", "*"),
            ("CAIRN_CORS_ORIGINS", "null"),
            ("CAIRN_CORS_ORIGINS", "https://a.example/"),
            ("CAIRN_CORS_ORIGINS", "a.example"),
            ("CAIRN_TRUSTED_PROXIES", "everybody"),
            ("CAIRN_RATE_LIMITS", "read=fast"),
        ] {
            let said = read(name, wrong).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{name}='{wrong}' is not ")), "{said}");
        }
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = Config::from_lookup(|name| (name == "CAIRN_LISTEN").then(|| "here".to_owned()))
            .unwrap_err();
        assert!(error.to_string().contains("CAIRN_LISTEN='here'"));
    }

    #[test]
    fn a_pool_too_small_to_work_with_is_refused_by_name() {
        let read = |text: &'static str| {
            Config::from_lookup(|name| (name == "CAIRN_POOL_SIZE").then(|| text.to_owned()))
        };
        assert_eq!(read("8").unwrap().pool_size, 8);
        for value in ["7", "0", "many"] {
            let error = read(value).unwrap_err().to_string();
            assert!(
                error.contains(&format!("CAIRN_POOL_SIZE='{value}' is not a number of at least 8")),
                "{error}"
            );
        }
    }

    #[test]
    fn another_log_is_sealed_next_to_its_data_and_told_nobody() {
        let config = Config::from_lookup(|name| match name {
            "CAIRN_SEAL_URL" => Some("file:///srv/seals".to_owned()),
            "CAIRN_ARCHIVE_URL" => Some("file:///srv/archive".to_owned()),
            "CAIRN_KAFKA_BROKERS" => Some("localhost:9092".to_owned()),
            "CAIRN_PRIVACY_KEY" => Some("/etc/cairn/privacy.key".to_owned()),
            _ => None,
        });
        let own = config.unwrap().within(std::path::Path::new("/demo"));
        assert!(own.kafka.is_none() && own.seal.url.is_none() && own.archive.is_none());
        for path in [&own.data, &own.seal.keys, &own.seal.file, &own.privacy_key] {
            assert!(path.starts_with("/demo"), "{path:?}");
        }
    }

    #[test]
    fn how_to_seal_is_within_bounds_and_next_to_the_data() {
        let seal = Config::from_lookup(|name| (name == "CAIRN_DATA").then(|| "/d".to_owned()))
            .unwrap()
            .seal;
        assert_eq!((seal.events_max, seal.after.as_secs()), (1_024, 60));
        assert_eq!(seal.file.to_str(), Some("/d/seal/published.ndjson"));
        for (variable, value) in [
            ("CAIRN_SEAL_EVENTS", "0"),
            ("CAIRN_SEAL_EVENTS", "65537"),
            ("CAIRN_SEAL_SECONDS", "never"),
            ("CAIRN_SEAL_URL", "nowhere"),
            ("CAIRN_SEAL_URL", "memory:///"),
            ("CAIRN_ARCHIVE_URL", "nowhere"),
            ("CAIRN_ARCHIVE_SEGMENT_EVENTS", "0"),
        ] {
            let error = Config::from_lookup(|name| (name == variable).then(|| value.to_owned()));
            assert!(error.unwrap_err().to_string().starts_with(&format!("{variable}='{value}'")));
        }
    }

    #[test]
    fn an_archive_may_be_in_any_store_and_its_credentials_are_never_shown() {
        let read = |url: &'static str| {
            Config::from_lookup(|name| match name {
                "CAIRN_ARCHIVE_URL" => Some(url.to_owned()),
                "AWS_ACCESS_KEY_ID" => Some("reader".to_owned()),
                "AWS_SECRET_ACCESS_KEY" => Some("hush".to_owned()),
                "AZURE_STORAGE_ACCOUNT_NAME" => Some("account".to_owned()),
                _ => None,
            })
        };
        for url in ["file:///srv/cairn", "s3://bucket/cairn", "gs://bucket/cairn", "az://box/cairn"]
        {
            let config = read(url).unwrap();
            assert_eq!(config.archive.as_ref().unwrap().place.url(), url);
            assert!(!format!("{config:?}").contains("hush"), "{url}");
        }
        assert!(Config::from_lookup(|_| None).unwrap().archive.is_none());
    }

    #[test]
    fn source_addresses_are_addresses_and_networks() {
        let read = |text: &'static str| {
            Config::from_lookup(|name| {
                (name == "CAIRN_SSH_SOURCE_ADDRESSES").then(|| text.to_owned())
            })
        };
        let found = read("192.0.2.7, 2001:db8::/32").unwrap().ssh_source_addresses;
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["192.0.2.7", "2001:db8::/32"]);
        let error = read("192.0.2.7,192.0.2.7/24").unwrap_err().to_string();
        assert!(error.contains("CAIRN_SSH_SOURCE_ADDRESSES='192.0.2.7/24'"), "{error}");
    }
}

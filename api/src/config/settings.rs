//! The table of settings: what each is called in the file and in the environment, what it may be, and what holds without it.
mod outward;

use std::borrow::Cow;
use std::sync::LazyLock;

use cairn_sealer::STORE_VARIABLES;

use self::outward::{messages, neighbours, of_store, outside, sign_in, telemetry, vault};

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One text.
    Text,
    /// Where a file or directory is.
    Path,
    /// Texts: an array in the file, separated by commas elsewhere.
    List,
    /// A whole number between these two.
    Number(u32, u32),
}

impl Kind {
    /// As people say it.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Path => "a path",
            Self::List => "a list of texts",
            Self::Number(..) => "a number",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the file and on the command line: `<section>.<name>`.
    pub key: Cow<'static, str>,
    /// Its name in the environment.
    pub variable: &'static str,
    /// What a value looks like.
    pub kind: Kind,
    /// What holds when nobody says anything.
    pub default: Option<&'static str>,
    /// What that means, when it takes words.
    pub without: &'static str,
    /// What every value, or every part of a list, must be.
    pub expected: Cow<'static, str>,
    /// A value, for templates.
    pub example: &'static str,
    /// Whether it is never shown, and may stand in a file of its own.
    pub secret: bool,
    /// Whether it may change while a server runs.
    pub reloads: bool,
    /// What it is.
    pub help: &'static str,
}

impl Setting {
    fn new(key: &'static str, variable: &'static str, kind: Kind, help: &'static str) -> Self {
        let expected = match kind {
            Kind::Number(least, most) => format!("a number from {least} to {most}").into(),
            Kind::Text | Kind::Path | Kind::List => Cow::Borrowed(kind.noun()),
        };
        let (default, without, example) = (None, "", "");
        let key = Cow::Borrowed(key);
        let (secret, reloads) = (false, false);
        Self { key, variable, kind, default, without, expected, example, secret, reloads, help }
    }

    fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), example: default, ..self }
    }

    fn without(self, without: &'static str) -> Self {
        Self { without, ..self }
    }

    fn expected(self, expected: &'static str) -> Self {
        Self { expected: Cow::Borrowed(expected), ..self }
    }

    fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    fn reloads(self) -> Self {
        Self { reloads: true, ..self }
    }

    /// The name of a file that holds it, as the file calls it.
    #[must_use]
    pub fn key_file(&self) -> Option<String> {
        self.secret.then(|| format!("{}_file", self.key))
    }

    /// The name of a file that holds it, as the environment calls it.
    #[must_use]
    pub fn variable_file(&self) -> Option<String> {
        self.secret.then(|| format!("{}_FILE", self.variable))
    }

    /// Whether it is for object stores, by the names that their vendors' own tools read.
    #[must_use]
    pub fn is_vendors(&self) -> bool {
        self.key.starts_with(OBJECT_STORE)
    }

    /// Section and name.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        self.key.split_once('.').unwrap_or(("", &self.key))
    }
}

/// Settings of object stores have the vendors' names in here.
pub const OBJECT_STORE: &str = "object_store.";

/// All settings, section by section.
pub fn settings() -> &'static [Setting] {
    static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
        let ours = server()
            .into_iter()
            .chain(sign_in())
            .chain(data())
            .chain(outside())
            .chain(messages())
            .chain(kept())
            .chain(promised())
            .chain(vault())
            .chain(money())
            .chain(usage())
            .chain(neighbours())
            .chain(telemetry());
        ours.chain(STORE_VARIABLES.into_iter().map(of_store)).collect()
    });
    &SETTINGS
}

/// A setting by its key.
pub fn setting(key: &str) -> Option<&'static Setting> {
    settings().iter().find(|setting| setting.key == key)
}

const STORE: &str =
    "such as s3://bucket/path or file:///srv/path, with all of its store's credentials or none";

const RATES: &str = "such as read=1000/60,deploy=30/60, or off; the names are address, failures, open, webhook, read, change and deploy";

fn server() -> Vec<Setting> {
    vec![
        Setting::new("server.listen", "CAIRN_LISTEN", Kind::List, "addresses to listen on")
            .expected("an address such as 127.0.0.1:8080")
            .default("127.0.0.1:8080"),
        Setting::new(
            "server.public_url",
            "CAIRN_PUBLIC_URL",
            Kind::Text,
            "how nodes and customers reach this server",
        )
        .expected("an address such as https://cairn.example")
        .without("`http://` and the first address to listen on that is not `0.0.0.0` or `[::]`")
        .example("https://cairn.example"),
        Setting::new(
            "server.trusted_proxies",
            "CAIRN_TRUSTED_PROXIES",
            Kind::List,
            "addresses and networks of proxies whose `X-Forwarded-For` is believed",
        )
        .expected("such as 192.0.2.7 or 10.0.0.0/8")
        .without("nobody's is")
        .example("10.0.0.0/8"),
        Setting::new(
            "server.rate_limits",
            "CAIRN_RATE_LIMITS",
            Kind::Text,
            "how often anybody may ask, in requests/seconds, or `off`",
        )
        .expected(RATES)
        .without("see the guide to the API")
        .example("read=2000/60,deploy=30/60"),
        Setting::new(
            "server.cors_origins",
            "CAIRN_CORS_ORIGINS",
            Kind::List,
            "origins whose pages may ask from a browser",
        )
        .expected("an origin such as https://console.example.org")
        .without("none")
        .example("https://console.example.org"),
    ]
}

fn data() -> Vec<Setting> {
    vec![
        Setting::new(
            "data.directory",
            "CAIRN_DATA",
            Kind::Path,
            "the data directory: keys, seals, the private cluster",
        )
        .default(".cairn"),
        Setting::new("database.url", "DATABASE_URL", Kind::Text, "the PostgreSQL server to use")
            .expected("an address such as postgres://cairn:password@localhost/cairn")
            .without("a private cluster under the data directory")
            .example("postgres://cairn:password@localhost/cairn")
            .secret(),
        Setting::new(
            "database.pool_size",
            "CAIRN_POOL_SIZE",
            Kind::Number(POOL_SIZE_MIN, u32::MAX),
            "connections to the database",
        )
        .expected(
            "a number of at least 8: the log keeps four connections, views, process managers and requests need the rest",
        )
        .default("16"),
        Setting::new(
            "event_log.url",
            "CAIRN_LOG_URL",
            Kind::Text,
            "a cluster of EventStoreDB that carries the log",
        )
        .expected(
            "an address such as esdb://user:password@one,two,three:2113 or esdb://localhost:2113?tls=false",
        )
        .without("PostgreSQL carries it")
        .example("esdb://user:password@one,two,three:2113")
        .secret(),
        Setting::new("logging.filter", "CAIRN_LOG", Kind::Text, "what to log, as `tracing` filters")
            .expected("a filter such as info,cairn_commands=debug")
            .default("info,sqlx=warn,russh=warn")
            .reloads(),
    ]
}

/// A server keeps four connections busy for itself (two that append, one that loads, one that listens); requests, views and
/// process managers share the rest, and with none of those left they would wait for each other.
const POOL_SIZE_MIN: u32 = 8;

fn kept() -> Vec<Setting> {
    vec![
        Setting::new(
            "seal.events_max",
            "CAIRN_SEAL_EVENTS",
            Kind::Number(1, 65_536),
            "most events of a sealed block",
        )
        .default("1024"),
        Setting::new(
            "seal.seconds_max",
            "CAIRN_SEAL_SECONDS",
            Kind::Number(1, 86_400),
            "a block is sealed at the latest when its first event is so old",
        )
        .expected("a number of seconds from 1 to 86400")
        .default("60"),
        Setting::new(
            "seal.file",
            "CAIRN_SEAL_FILE",
            Kind::Path,
            "the file that seals are published to",
        )
        .without("`seal/published.ndjson` in the data directory")
        .example("/srv/seals/published.ndjson"),
        Setting::new(
            "seal.url",
            "CAIRN_SEAL_URL",
            Kind::Text,
            "a place in an object store that seals are published to as well",
        )
        .expected(STORE)
        .without("none")
        .example("s3://bucket/seals"),
        Setting::new(
            "archive.url",
            "CAIRN_ARCHIVE_URL",
            Kind::Text,
            "a place in an object store that `cairn archive run` moves old events to",
        )
        .expected(STORE)
        .without("nothing is archived")
        .example("s3://bucket/cairn"),
        Setting::new(
            "archive.segment_events_max",
            "CAIRN_ARCHIVE_SEGMENT_EVENTS",
            Kind::Number(1, 65_536),
            "most events of one object there",
        )
        .default("8192"),
        Setting::new(
            "privacy.key_path",
            "CAIRN_PRIVACY_KEY",
            Kind::Path,
            "the file with the master key of personal data",
        )
        .without("`keys/privacy.key` in the data directory")
        .example("/etc/cairn/privacy.key"),
    ]
}

fn promised() -> Vec<Setting> {
    vec![
        Setting::new(
            "privacy.erasure_days",
            "CAIRN_PRIVACY_ERASURE_DAYS",
            Kind::Number(1, 90),
            "days until somebody who asks to be forgotten is",
        )
        .default("14"),
        Setting::new(
            "privacy.terms_version",
            "CAIRN_PRIVACY_TERMS_VERSION",
            Kind::Text,
            "the version of the terms that whoever registers must agree to",
        )
        .expected("1 to 40 of letters, digits, `.`, `-` and `_`")
        .without("nobody is asked")
        .example("2026-11"),
    ]
}

fn money() -> Vec<Setting> {
    vec![
        Setting::new(
            "finance.approval_limit",
            "CAIRN_FINANCE_APPROVAL_LIMIT",
            Kind::Text,
            "up to this amount, in units of its currency, one person settles a break; above it a second one approves",
        )
        .expected("an amount of at least zero, such as 100 or 99.50")
        .default("100.00"),
        Setting::new(
            "finance.clearing_days",
            "CAIRN_FINANCE_CLEARING_DAYS",
            Kind::Number(1, 365),
            "days that a payout or a refund may be on its way before it stands against closing a month",
        )
        .default("14"),
        Setting::new(
            "finance.home_jurisdiction",
            "CAIRN_FINANCE_HOME_JURISDICTION",
            Kind::Text,
            "whose tax a customer pays who has not said where it is",
        )
        .expected("a country of ISO 3166 or a part of one, such as DE or US-CA")
        .without("no tax")
        .example("DE"),
        Setting::new(
            "finance.verify_seconds",
            "CAIRN_FINANCE_VERIFY_SECONDS",
            Kind::Number(1, 86_400),
            "how often a server derives the books again from the log",
        )
        .default("60"),
        Setting::new(
            "finance.reconcile_seconds",
            "CAIRN_FINANCE_RECONCILE_SECONDS",
            Kind::Number(1, 86_400),
            "how often a server holds the payment provider's book and the bank's lines against ours",
        )
        .default("3600"),
        Setting::new(
            "finance.top_up_pause_seconds",
            "CAIRN_FINANCE_TOP_UP_PAUSE_SECONDS",
            Kind::Number(60, 86_400),
            "from an automatic top-up that succeeded to the next one of the same wallet",
        )
        .default("600"),
        Setting::new(
            "finance.top_up_burst",
            "CAIRN_FINANCE_TOP_UP_BURST",
            Kind::Number(1, 60),
            "so many automatic top-ups of a wallet within an hour; another one is not made, and they stop",
        )
        .default("3"),
    ]
}

fn usage() -> Vec<Setting> {
    vec![
        Setting::new(
            "usage.late",
            "CAIRN_USAGE_LATE",
            Kind::Text,
            "what becomes of an outage that its node proves when it is back: nobody pays for it (`forgive`), or who rented does (`charge`)",
        )
        .expected("forgive or charge")
        .default("forgive")
        .example("charge"),
        Setting::new(
            "usage.cutoff_hours",
            "CAIRN_USAGE_CUTOFF_HOURS",
            Kind::Number(1, 8_760),
            "an outage that began longer ago when it is proven is not charged by itself; somebody settles a case of it",
        )
        .default("72"),
    ]
}

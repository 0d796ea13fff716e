//! Settings of whoever is called outside, and how.
use std::borrow::Cow;

use super::{Kind, OBJECT_STORE, Setting};

const MAIL: &str = "an address such as smtp://user:password@mail.example.org (STARTTLS is demanded), smtps://mail.example.org or file:///srv/mail";

pub(super) fn sign_in() -> Vec<Setting> {
    vec![
        Setting::new(
            "sign_in.providers",
            "CAIRN_SIGN_IN_PROVIDERS",
            Kind::List,
            "names, in the addresses here, of providers (OpenID Connect) that people may sign in through",
        )
        .expected("names of small letters, with as many issuers, client ids and client secrets in the same order")
        .without("people sign in with passwords only")
        .example("google,example"),
        Setting::new(
            "sign_in.issuers",
            "CAIRN_SIGN_IN_ISSUERS",
            Kind::List,
            "their issuer identifiers, in the same order",
        )
        .expected("an address such as https://accounts.google.com")
        .without("none")
        .example("https://accounts.google.com,https://id.example.org"),
        Setting::new(
            "sign_in.client_ids",
            "CAIRN_SIGN_IN_CLIENT_IDS",
            Kind::List,
            "what they know this Cairn as, in the same order",
        )
        .without("none")
        .example("123.apps.example,cairn"),
        Setting::new(
            "sign_in.client_secrets",
            "CAIRN_SIGN_IN_CLIENT_SECRETS",
            Kind::List,
            "by what they know it, in the same order",
        )
        .without("none")
        .example("one…,other…")
        .secret(),
        Setting::new(
            "sign_in.multi_factor_acr",
            "CAIRN_SIGN_IN_MULTI_FACTOR_ACR",
            Kind::List,
            "for a provider, the class of authentication (`acr`) that means more than one factor there; it is asked for and demanded",
        )
        .expected("name=class, of providers that are named")
        .without("what a provider says of its methods (`amr`) decides, and where it says nothing one factor is assumed")
        .example("example=urn:example:mfa"),
        Setting::new(
            "sign_in.second_factor",
            "CAIRN_SIGN_IN_SECOND_FACTOR",
            Kind::Text,
            "whether people must show a second factor to act for any organisation (`demanded`), or only where theirs demands it (`offered`)",
        )
        .expected("offered or demanded")
        .default("offered")
        .example("demanded"),
    ]
}

pub(super) fn outside() -> Vec<Setting> {
    vec![
        Setting::new(
            "nodes.ssh_source_addresses",
            "CAIRN_SSH_SOURCE_ADDRESSES",
            Kind::List,
            "addresses and networks that nodes see this server connect from; logins to nodes work from nowhere else",
        )
        .expected("such as 192.0.2.7 or 192.0.2.0/24")
        .without("they work from anywhere")
        .example("192.0.2.7,2001:db8::/32"),
        Setting::new("stripe.secret_key", "STRIPE_SECRET_KEY", Kind::Text, "Stripe's secret key")
            .without("`serve --dev` starts the simulator")
            .example("sk_test_…")
            .secret(),
        Setting::new(
            "stripe.webhook_secrets",
            "STRIPE_WEBHOOK_SECRET",
            Kind::List,
            "secrets that sign webhooks; several while one is rotated",
        )
        .without("Stripe's webhooks are refused")
        .example("whsec_new…,whsec_old…")
        .secret(),
        Setting::new(
            "stripe.api_base",
            "STRIPE_API_BASE",
            Kind::Text,
            "another server that speaks Stripe's API",
        )
        .expected("an address such as http://127.0.0.1:12111")
        .without("Stripe itself")
        .example("http://127.0.0.1:12111"),
        Setting::new(
            "kafka.brokers",
            "CAIRN_KAFKA_BROKERS",
            Kind::List,
            "Kafka brokers that public events go to, `host:port`",
        )
        .without("nothing is relayed")
        .example("kafka-1:9092,kafka-2:9092"),
        Setting::new("kafka.topic", "CAIRN_KAFKA_TOPIC", Kind::Text, "the topic they go to")
            .default("cairn.events"),
        Setting::new("kafka.source", "CAIRN_KAFKA_SOURCE", Kind::Text, "names this Cairn in them")
            .default("/cairn"),
    ]
}

pub(super) fn messages() -> Vec<Setting> {
    vec![
        Setting::new(
            "mail.url",
            "CAIRN_MAIL_URL",
            Kind::Text,
            "the server that e-mail is handed to, or a folder that it is kept in",
        )
        .expected(MAIL)
        .without("no e-mail leaves; `cairn dev` keeps it in `mail` in the data directory")
        .example("smtp://cairn:password@mail.example.org")
        .secret(),
        Setting::new("mail.from", "CAIRN_MAIL_FROM", Kind::Text, "whom e-mail comes from")
            .expected("an address such as Cairn <cairn@example.org>")
            .default("Cairn <cairn@localhost>"),
        Setting::new(
            "mail.ca_path",
            "CAIRN_MAIL_CA",
            Kind::Path,
            "certificates, in PEM, that vouch for the mail server beside the public ones",
        )
        .without("only the public ones do")
        .example("/etc/cairn/mail-ca.pem"),
        Setting::new(
            "webhooks.loopback",
            "CAIRN_WEBHOOKS_LOOPBACK",
            Kind::Text,
            "webhooks to this machine, at any port and without TLS: for development",
        )
        .expected("`refused` or `allowed`")
        .default("refused"),
    ]
}

/// How whoever is called outside is treated.
pub(super) fn neighbours() -> Vec<Setting> {
    let number = |key, variable, (least, most), help| {
        Setting::new(key, variable, Kind::Number(least, most), help)
    };
    vec![
        number(
            "neighbours.failures_max",
            "CAIRN_NEIGHBOUR_FAILURES",
            (1, 20),
            "calls in a row without an answer after which a neighbour is left alone for a while",
        )
        .default("5"),
        number(
            "neighbours.wait_seconds",
            "CAIRN_NEIGHBOUR_WAIT",
            (1, 3_600),
            "how long at first; it doubles each time that nobody is there still",
        )
        .default("5"),
        number(
            "neighbours.wait_seconds_max",
            "CAIRN_NEIGHBOUR_WAIT_MAX",
            (1, 3_600),
            "how long at most",
        )
        .default("60"),
        number(
            "neighbours.calls_max",
            "CAIRN_NEIGHBOUR_CALLS",
            (1, 1_000),
            "calls at once to the payment provider, and to any other neighbour but nodes",
        )
        .default("8"),
        number(
            "neighbours.node_calls_max",
            "CAIRN_NEIGHBOUR_NODE_CALLS",
            (1, 1_000),
            "calls at once to one node, and to all nodes together that do not answer",
        )
        .default("4"),
    ]
}

/// Who is told what happens inside.
pub(super) fn telemetry() -> Vec<Setting> {
    vec![
        Setting::new(
            "telemetry.report_dsn",
            "CAIRN_REPORT_DSN",
            Kind::Text,
            "where panics and answers of 500 are reported to, by Sentry's protocol",
        )
        .expected("an address such as https://key@sentry.example.org/1")
        .without("nobody is told")
        .example("https://key@sentry.example.org/1")
        .secret(),
        Setting::new(
            "telemetry.otlp_endpoint",
            "CAIRN_OTLP_ENDPOINT",
            Kind::Text,
            "where traces are sent to, by OTLP over HTTP; `/v1/traces` is added",
        )
        .expected("an address such as http://127.0.0.1:4318, without a password")
        .without("nothing is traced")
        .example("http://127.0.0.1:4318"),
        Setting::new(
            "telemetry.otlp_headers",
            "CAIRN_OTLP_HEADERS",
            Kind::List,
            "headers that are sent along, as `name=value`",
        )
        .expected("a header such as authorization=Bearer abc")
        .without("none")
        .example("authorization=Bearer …")
        .secret(),
        Setting::new(
            "telemetry.sample_ratio",
            "CAIRN_SAMPLE_RATIO",
            Kind::Text,
            "the share of the traces begun here that is sent; a caller who comes with a trace has decided",
        )
        .expected("a number from 0 to 1")
        .default("1"),
        Setting::new(
            "telemetry.service_name",
            "CAIRN_SERVICE_NAME",
            Kind::Text,
            "what this Cairn is called in traces",
        )
        .default("cairn"),
        Setting::new(
            "telemetry.environment",
            "CAIRN_ENVIRONMENT",
            Kind::Text,
            "where it runs, as traces say it",
        )
        .without("they do not say it")
        .example("production"),
    ]
}

pub(super) fn vault() -> Vec<Setting> {
    vec![
        Setting::new(
            "privacy.vault_url",
            "CAIRN_PRIVACY_VAULT_URL",
            Kind::Text,
            "the master key of personal data in Vault: server, mount of the transit engine, key",
        )
        .expected(
            "an address such as https://vault.example.org:8200/transit/cairn, without a token",
        )
        .without("the file has it")
        .example("https://vault.example.org:8200/transit/cairn"),
        Setting::new(
            "privacy.vault_token",
            "CAIRN_PRIVACY_VAULT_TOKEN",
            Kind::Text,
            "the token that may use the key in Vault",
        )
        .without("Vault is not asked")
        .example("hvs.CAESI")
        .secret(),
        Setting::new(
            "privacy.vault_ca_path",
            "CAIRN_PRIVACY_VAULT_CA",
            Kind::Path,
            "certificates, in PEM, that vouch for Vault beside the public ones",
        )
        .without("only the public ones do")
        .example("/etc/cairn/vault-ca.pem"),
        Setting::new(
            "privacy.kms_url",
            "CAIRN_PRIVACY_KMS_URL",
            Kind::Text,
            "the master key of personal data in a KMS: endpoint and alias; `object_store.aws_…` say who asks",
        )
        .expected(
            "an address such as https://kms.eu-central-1.amazonaws.com/alias/cairn, without credentials",
        )
        .without("no KMS has it")
        .example("https://kms.eu-central-1.amazonaws.com/alias/cairn"),
        Setting::new(
            "privacy.wrapped_in",
            "CAIRN_PRIVACY_WRAPPED_IN",
            Kind::Text,
            "who wraps keys, where several places have a master key; the others open until a rotation",
        )
        .expected("`file`, `vault` or `kms`, and one that is configured")
        .without("the KMS, or Vault, or the file: the first of them that is configured")
        .example("file"),
    ]
}

pub(super) fn of_store(variable: &'static str) -> Setting {
    let help = "credentials and endpoints of object stores, as the vendors' own tools read them";
    let setting = Setting::new("", variable, Kind::Text, help)
        .without("what the machine itself is given")
        .example("…");
    let ends = ["SECRET", "SECRET_ACCESS_KEY", "TOKEN", "ACCOUNT_KEY"];
    let secret = ends.iter().any(|end| variable.ends_with(end));
    let key = format!("{OBJECT_STORE}{}", variable.to_lowercase());
    Setting { key: Cow::Owned(key), secret, ..setting }
}

//! Files to begin with, made of the table.
use std::fmt::Write as _;

use super::settings::{Kind, OBJECT_STORE, Setting, settings};

/// What a file of one kind says; everything else stands there as a comment.
pub type Template = &'static [(&'static str, &'static str)];

/// A server on one's own machine: `cairn dev` brings what is missing.
pub const DEVELOPMENT: Template = &[
    ("server.listen", "127.0.0.1:8080"),
    ("data.directory", ".cairn"),
    ("logging.filter", "info,cairn_commands=debug,sqlx=warn,russh=warn"),
];

/// A server that is thrown away: any port, a small pool, short blocks.
pub const TEST: Template = &[
    ("server.listen", "127.0.0.1:0"),
    ("data.directory", ".cairn-test"),
    ("database.pool_size", "8"),
    ("logging.filter", "warn"),
    ("seal.events_max", "16"),
    ("seal.seconds_max", "1"),
];

/// A server that customers use, behind a proxy with TLS: its own PostgreSQL, real Stripe, secrets in files of their own.
pub const PRODUCTION: Template = &[
    ("server.listen", "127.0.0.1:8080"),
    ("server.public_url", "https://cairn.example"),
    ("data.directory", "/var/lib/cairn"),
    ("database.url_file", "/etc/cairn/secrets/database_url"),
    ("database.pool_size", "32"),
    ("logging.filter", "info,sqlx=warn,russh=warn"),
    ("stripe.secret_key_file", "/etc/cairn/secrets/stripe_secret_key"),
    ("stripe.webhook_secrets_file", "/etc/cairn/secrets/stripe_webhook_secrets"),
    ("seal.url", "file:///var/lib/cairn-seals"),
    ("privacy.key_path", "/etc/cairn/secrets/privacy.key"),
];

/// The text of a template.
#[must_use]
pub fn render(name: &str, template: Template) -> String {
    let mut text = format!(
        "# Settings of Cairn for {name}. What is commented out is as it is without this file, or an example of what it may be.\n\
         # Variables and --set win over it. `cairn config check FILE` looks at it, `cairn config settings` lists everything.\n"
    );
    let mut section = "";
    for setting in settings().iter().filter(|setting| !setting.is_vendors()) {
        let (its, _) = setting.parts();
        if its != section {
            section = its;
            let _ = write!(text, "\n[{section}]\n");
        }
        member(&mut text, setting, template);
    }
    let store = OBJECT_STORE.trim_end_matches('.');
    let _ = write!(
        text,
        "\n# Credentials and endpoints of object stores, by the names that their vendors' own tools read, in lower case.\n\
         # [{store}]\n# aws_region = \"…\"\n# aws_access_key_id = \"…\"\n# aws_secret_access_key_file = \"/etc/cairn/secrets/aws_secret_access_key\"\n"
    );
    text
}

fn member(text: &mut String, setting: &Setting, template: Template) {
    let (_, name) = setting.parts();
    let says = |key: &str| template.iter().find(|(said, _)| *said == key).map(|(_, value)| *value);
    let _ = write!(text, "# {}", setting.help);
    let _ = match setting.default {
        Some(_) => writeln!(text),
        None => writeln!(text, "; without it: {}", setting.without.replace('`', "")),
    };
    let held = setting.key_file().and_then(|key| says(&key));
    let _ = match (says(&setting.key), held) {
        (Some(value), _) => writeln!(text, "{name} = {}", literal(setting.kind, value)),
        (None, Some(path)) => writeln!(text, "{name}_file = {}", literal(Kind::Path, path)),
        (None, None) if setting.secret => {
            let file = setting.parts();
            writeln!(text, "# {name}_file = \"/etc/cairn/secrets/{}_{}\"", file.0, file.1)
        }
        (None, None) => writeln!(text, "# {name} = {}", literal(setting.kind, setting.example)),
    };
}

/// As TOML writes it.
fn literal(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Number(..) => value.to_owned(),
        Kind::Text | Kind::Path => quoted(value),
        Kind::List => {
            let parts: Vec<_> = value.split(',').map(|part| quoted(part.trim())).collect();
            format!("[{}]", parts.join(", "))
        }
    }
}

/// The table's values need no escapes; a test reads every template.
fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}

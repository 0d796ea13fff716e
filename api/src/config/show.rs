//! The settings as they are, and as the guide lists them.
use std::fmt::Write as _;

use serde::Serialize;

use super::secret;
use super::settings::{Setting, settings};
use super::sources::{Reading, Said};

/// One setting as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its name.
    pub key: &'static str,
    /// What it is, a secret masked; `None` when nobody says anything.
    pub value: Option<String>,
    /// Where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl Reading {
    /// Every setting as it is. Those of object stores only if somebody says something.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let all = settings().iter().map(|setting| (setting, self.said.get(&*setting.key)));
        let some = all.filter(|(setting, said)| said.is_some() || !setting.is_vendors());
        some.map(|(setting, said)| Shown {
            key: &setting.key,
            value: said.map(|said| value(setting, said)),
            origin: said.map(origin),
        })
        .collect()
    }
}

fn value(setting: &Setting, said: &Said) -> String {
    said.text.as_ref().map_or_else(|| "…".to_owned(), |text| secret::shown(setting, text))
}

fn origin(said: &Said) -> String {
    let held = said.file.as_ref().map(|file| format!(", in {}", file.display()));
    format!("{}{}", said.origin, held.unwrap_or_default())
}

/// The table of settings in the guide.
#[must_use]
pub fn guide() -> String {
    let mut text = "| key | variable | what | without it |\n|---|---|---|---|\n".to_owned();
    for setting in settings().iter().filter(|setting| !setting.is_vendors()) {
        let Setting { key, variable, help, without, .. } = setting;
        let secret = if setting.secret { "; a secret" } else { "" };
        let reloads = if setting.reloads { "; may change while a server runs" } else { "" };
        let without = setting.default.map_or_else(|| (*without).to_owned(), |it| format!("`{it}`"));
        let _ = writeln!(text, "| `{key}` | `{variable}` | {help}{secret}{reloads} | {without} |");
    }
    text
}

//! Whether two environments are configured alike: what their files name and how they say it, never what it is.
use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::origin::ConfigErrors;
use super::settings::{Setting, setting, settings};
use super::sources::{Reading, Said};

/// A setting that two files say differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The setting.
    pub key: &'static str,
    /// How one says it; `None` when it does not.
    pub one: Option<String>,
    /// How the other says it.
    pub other: Option<String>,
}

/// Where two files differ.
///
/// # Errors
/// What is wrong with either of them.
pub fn parity(one: &Path, other: &Path) -> Result<Vec<Difference>, ConfigErrors> {
    let (one, other) = (Reading::of_file(one), Reading::of_file(other));
    let wrong = [&one, &other].map(|reading| reading.config().err().map(|errors| errors.0));
    let wrong: Vec<_> = wrong.into_iter().flatten().flatten().collect();
    if !wrong.is_empty() {
        return Err(ConfigErrors(wrong));
    }
    let (one, other) = (kinds(&one), kinds(&other));
    let all = settings().iter().map(|setting| &*setting.key);
    let pairs = all.map(|key| Difference {
        key,
        one: one.get(key).cloned(),
        other: other.get(key).cloned(),
    });
    Ok(pairs.filter(|pair| pair.one != pair.other).collect())
}

/// How each setting is said that a file says at all.
fn kinds(reading: &Reading) -> BTreeMap<&'static str, String> {
    let said = reading.said.iter().filter(|(_, said)| said.is_explicit());
    said.filter_map(|(key, said)| Some((*key, kind(setting(key)?, said)))).collect()
}

/// In a file of its own, an address of a scheme, or what the table calls it.
fn kind(setting: &Setting, said: &Said) -> String {
    let noun = match said.text.as_deref().and_then(|text| text.split_once("://")) {
        Some((scheme, _)) => format!("an address {scheme}://"),
        None => setting.kind.noun().to_owned(),
    };
    if said.file.is_some() { "a file of its own".to_owned() } else { noun }
}

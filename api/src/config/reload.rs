//! What a second reading says otherwise than the first, and what of it may change while a server runs.
use super::origin::ConfigErrors;
use super::secret;
use super::settings::{Setting, settings};
use super::sources::{Reading, Said};
use super::typed::Config;

/// A setting that is said otherwise than before. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The setting.
    pub key: &'static str,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
    /// Where that was said.
    pub said_in: String,
}

/// What another reading comes to.
#[derive(Debug)]
pub struct Reload {
    /// As it would be after a restart.
    pub config: Config,
    /// What may be taken up now.
    pub changes: Vec<Change>,
    /// What stays as it was until the server starts again.
    pub refused: Vec<Change>,
}

impl Reading {
    /// What a later reading says otherwise than this one.
    ///
    /// # Errors
    /// What is wrong with the later one: then nothing of it counts.
    pub fn reloaded(&self, later: &Self) -> Result<Reload, ConfigErrors> {
        let config = later.config()?;
        let changed = settings().iter().filter_map(|setting| self.change(later, setting));
        let (changes, refused): (Vec<_>, Vec<_>) =
            changed.partition(|(setting, _)| setting.reloads);
        let told = |changes: Vec<(_, Change)>| changes.into_iter().map(|it| it.1).collect();
        Ok(Reload { config, changes: told(changes), refused: told(refused) })
    }

    fn change(
        &self,
        later: &Self,
        setting: &'static Setting,
    ) -> Option<(&'static Setting, Change)> {
        let (before, after) = (self.said.get(&*setting.key), later.said.get(&*setting.key));
        let text = |said: Option<&Said>| said.and_then(|said| said.text.clone());
        if text(before) == text(after) {
            return None;
        }
        let shown = |text: Option<String>| text.map(|text| secret::shown(setting, &text));
        let change = Change {
            key: &setting.key,
            from: shown(text(before)).unwrap_or_default(),
            to: shown(text(after)).unwrap_or_default(),
            said_in: after.map(|said| said.origin.to_string()).unwrap_or_default(),
        };
        Some((setting, change))
    }

    /// Takes up one setting from a later reading.
    pub fn take(&mut self, later: &Self, key: &'static str) {
        match later.said.get(key) {
            Some(said) => drop(self.said.insert(key, said.clone())),
            None => drop(self.said.remove(key)),
        }
    }
}

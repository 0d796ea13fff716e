//! The layer that is a file of TOML.
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::origin::{Origin, Problem};
use super::secret;
use super::settings::{Kind, setting, settings};
use super::sources::{Entry, Layer};
use crate::cli::nearest::did_you_mean;

/// Where a file is looked for when nobody names one.
pub(super) const PLACES: [&str; 2] = ["cairn.toml", "/etc/cairn/cairn.toml"];

/// What a file says.
pub(super) fn layer(path: &Path) -> Layer {
    let mut layer = Layer::default();
    let unreadable = |error: std::io::Error| Problem {
        origin: path.display().to_string(),
        problem: format!("{} cannot be read: {error}", path.display()),
    };
    let opened = std::fs::File::open(path)
        .and_then(|file| Ok((secret::is_open_to_others(&file)?, std::io::read_to_string(file)?)));
    match opened {
        Ok((open, text)) => {
            layer = parsed(path, &text);
            if open {
                layer.problems.extend(exposed(path, &layer.entries));
            }
        }
        Err(error) => layer.problems.push(unreadable(error)),
    }
    layer
}

/// Secrets that stand in a file which is open to everybody.
fn exposed(path: &Path, entries: &[Entry]) -> Vec<Problem> {
    let secrets = entries.iter().filter(|entry| entry.setting.secret && !entry.in_file);
    let shown = path.display();
    let says = format!(
        " is a secret in a file that is open to everybody on this machine: `chmod o= {shown}`"
    );
    secrets.map(|entry| Problem::new(&entry.origin, &entry.setting.key, &says)).collect()
}

/// What a text says.
pub(super) fn parsed(path: &Path, text: &str) -> Layer {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { path: path.to_owned(), text, layer: Layer::default() };
    for error in errors {
        let line = reader.line(error.span().map_or(0, |span| span.start));
        let origin = Origin::File(reader.path.clone(), line);
        reader.layer.problems.push(Problem::new(&origin, error.message(), ""));
    }
    // What a broken text seems to say is no ground for more complaints.
    if reader.layer.problems.is_empty() {
        reader.table("", table.get_ref());
    }
    reader.layer
}

struct Reader<'a> {
    path: PathBuf,
    text: &'a str,
    layer: Layer,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        let mut members: Vec<_> = table.iter().collect();
        members.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in members {
            let (at, name) = (name.span().start, name.get_ref());
            let key =
                if section.is_empty() { name.to_string() } else { format!("{section}.{name}") };
            match value.get_ref() {
                DeValue::Table(inner) if setting(&key).is_none() => self.table(&key, inner),
                _ => self.member(&key, Origin::File(self.path.clone(), self.line(at)), value),
            }
        }
    }

    fn member(&mut self, key: &str, origin: Origin, value: &Spanned<DeValue<'_>>) {
        let Some((setting, in_file)) = known(key) else {
            self.layer.problems.push(unknown(&origin, key));
            return;
        };
        let kind = if in_file { Kind::Path } else { setting.kind };
        match text_of(kind, value.get_ref()) {
            Ok(text) => self.layer.entries.push(Entry { setting, in_file, text, origin }),
            Err(found) => {
                let says = format!(" is {found}, and must be {}", kind.noun());
                self.layer.problems.push(Problem::new(&origin, key, says));
            }
        }
    }
}

/// The setting of a key, and whether the key is that of a file which holds it.
pub(super) fn known(key: &str) -> Option<(&'static super::settings::Setting, bool)> {
    let held = || {
        let holder = setting(key.strip_suffix("_file")?)?;
        holder.secret.then_some((holder, true))
    };
    setting(key).map(|setting| (setting, false)).or_else(held)
}

/// That there is no such key, and which was meant.
pub(super) fn unknown(origin: &Origin, key: &str) -> Problem {
    let files: Vec<_> = settings().iter().filter_map(|setting| setting.key_file()).collect();
    let keys = settings().iter().map(|setting| &*setting.key);
    let meant = did_you_mean(key, keys.chain(files.iter().map(String::as_str)));
    Problem::new(origin, key, format!(" is no setting{meant}"))
}

/// A value as the other layers would say it, or what it is instead.
fn text_of(kind: Kind, value: &DeValue<'_>) -> Result<String, &'static str> {
    match (kind, value) {
        (Kind::Text | Kind::Path | Kind::List, DeValue::String(text)) => Ok(text.to_string()),
        (Kind::Number(..), DeValue::Integer(number)) => Ok(number.to_string()),
        (Kind::List, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.as_ref()),
                _ => Err("an array of something else"),
            });
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        (_, DeValue::String(_)) => Err("a text"),
        (_, DeValue::Integer(_)) => Err("a number"),
        (_, DeValue::Float(_)) => Err("a number with a fraction"),
        (_, DeValue::Boolean(_)) => Err("true or false"),
        (_, DeValue::Datetime(_)) => Err("a time"),
        (_, DeValue::Array(_)) => Err("an array"),
        (_, DeValue::Table(_)) => Err("a section"),
    }
}

//! The layers, and what wins: what the table says < a file < the environment < the command line.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file::{self, known};
use super::origin::{ConfigErrors, Origin, Problem};
use super::secret;
use super::settings::{Setting, settings};
use super::typed::Config;
use crate::cli::nearest::did_you_mean;

/// Names the file, for who does not say `--config`.
const CONFIG: &str = "CAIRN_CONFIG";
/// What variables of Cairn's own begin with. Others' are others' affair.
const OURS: &str = "CAIRN_";
/// Variables of Cairn's own tests and tools, and of its client's example, which may be set where it runs.
const OF_TOOLS: [&str; 12] = [
    "CAIRN_BROKER",
    "CAIRN_CHAOS_KILLS",
    "CAIRN_CHAOS_SEED",
    "CAIRN_FUZZ_SECONDS",
    "CAIRN_FUZZ_SEED",
    "CAIRN_FUZZ_TARGET",
    "CAIRN_KEY",
    "CAIRN_NEW_SCHEMAS",
    "CAIRN_REQUIRE_NODES",
    "CAIRN_SKIP_LOCALSTRIPE",
    "CAIRN_TEST_WRITER",
    "CAIRN_URL",
];

/// Something said of a setting.
#[derive(Clone)]
pub(super) struct Entry {
    pub setting: &'static Setting,
    /// Whether the text is the path of a file that holds the value.
    pub in_file: bool,
    pub text: String,
    pub origin: Origin,
}

impl Entry {
    /// A problem with it, where it stands.
    fn problem(&self, says: impl std::fmt::Display) -> Problem {
        let file = self.setting.key_file().filter(|_| self.in_file);
        Problem::new(&self.origin, file.as_deref().unwrap_or(&self.setting.key), says)
    }
}

/// What is said in one place.
#[derive(Default)]
pub(super) struct Layer {
    pub entries: Vec<Entry>,
    pub problems: Vec<Problem>,
}

/// A setting's value, and where it was said.
#[derive(Clone)]
pub(super) struct Said {
    /// `None` when it is in a file that was not opened.
    pub text: Option<String>,
    /// The file that holds it.
    pub file: Option<PathBuf>,
    pub origin: Origin,
}

impl Said {
    /// Whether somebody said it.
    pub fn is_explicit(&self) -> bool {
        self.origin != Origin::Default
    }
}

/// Where the layers of one process are. The file is read anew at each reading.
#[derive(Default)]
pub struct Sources {
    pub(super) file: Option<PathBuf>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) flags: Vec<(String, String)>,
}

impl Sources {
    /// Of this process: the file and the settings that its command line names, and its environment.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one home of the environment")]
        let variables = std::env::vars_os();
        // What is no text cannot be anything that is looked for.
        let texts = variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Self { file, environment: texts.filter(|(_, value)| !value.is_empty()).collect(), flags }
    }

    /// What is said everywhere.
    #[must_use]
    pub fn read(&self) -> Reading {
        let environment = |name: &str| self.environment.get(name).cloned();
        let mut layers: Vec<Layer> =
            self.file().map(|path| file::layer(&path)).into_iter().collect();
        layers.push(variables(environment));
        layers.push(Layer { entries: vec![], problems: self.strangers() });
        layers.push(flags(&self.flags));
        let user = environment("SUDO_USER").or_else(|| environment("USER"));
        Reading::of(layers, user, true)
    }

    /// The file that is read, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        let named = self.file.clone().or_else(|| self.environment.get(CONFIG).map(PathBuf::from));
        named.or_else(|| file::PLACES.map(PathBuf::from).into_iter().find(|path| path.exists()))
    }

    /// Where the user who runs this keeps configuration, by the XDG Base Directory Specification.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        let said = |name: &str| self.environment.get(name).map(PathBuf::from);
        let named = said("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        named.or_else(|| Some(said("HOME")?.join(".config")))
    }

    /// Variables that look like Cairn's and are not.
    fn strangers(&self) -> Vec<Problem> {
        let files: Vec<_> = settings().iter().filter_map(Setting::variable_file).collect();
        let variables = settings().iter().map(|setting| setting.variable).chain([CONFIG]);
        let known: Vec<_> = variables.chain(files.iter().map(String::as_str)).collect();
        let ours = self.environment.keys().map(String::as_str).filter(|it| it.starts_with(OURS));
        let is_somebodys = |name: &&str| OF_TOOLS.contains(name) || is_service_link(name);
        let strangers = ours.filter(|name| !known.contains(name) && !is_somebodys(name));
        strangers
            .map(|name| {
                let meant = did_you_mean(name, known.iter().copied());
                let says = format!(" is no variable of Cairn's{meant}");
                Problem::new(&Origin::Variable(name.to_owned()), name, says)
            })
            .collect()
    }
}

/// Whether Kubernetes tells of a service that is called `cairn` or `cairn-…`: `CAIRN_SERVICE_HOST`, `CAIRN_PORT_8080_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    let contains = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"].iter().any(|it| name.contains(it));
    contains || name.ends_with("_PORT")
}

/// What an environment says.
fn variables(lookup: impl Fn(&str) -> Option<String>) -> Layer {
    let mut entries = vec![];
    for setting in settings() {
        let names = [Some(setting.variable.to_owned()), setting.variable_file()];
        for (name, in_file) in names.into_iter().zip([false, true]) {
            let said = name.and_then(|name| Some((lookup(&name)?, Origin::Variable(name))));
            entries.extend(said.map(|(text, origin)| Entry { setting, in_file, text, origin }));
        }
    }
    Layer { entries, problems: vec![] }
}

/// What a command line says. A secret there could be read by everybody who lists processes.
fn flags(pairs: &[(String, String)]) -> Layer {
    let mut layer = Layer::default();
    for (key, text) in pairs {
        let origin = Origin::Flag;
        match known(key) {
            None => layer.problems.push(file::unknown(&origin, key)),
            Some((setting, false)) if setting.secret => {
                let says = format!(
                    " is a secret, and command lines are no secrets: say --set {key}_file=FILE, or {}",
                    setting.variable
                );
                layer.problems.push(Problem::new(&origin, key, says));
            }
            Some((setting, in_file)) => {
                layer.entries.push(Entry { setting, in_file, text: text.clone(), origin });
            }
        }
    }
    layer
}

/// What all layers come to, and what is wrong with it.
#[derive(Clone)]
pub struct Reading {
    pub(super) said: BTreeMap<&'static str, Said>,
    problems: Vec<Problem>,
    user: Option<String>,
}

impl Reading {
    /// Of an environment alone.
    pub(super) fn of_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let user = lookup("SUDO_USER").or_else(|| lookup("USER"));
        Self::of(vec![variables(lookup)], user, true)
    }

    /// Of a file alone, as it would be read elsewhere: secrets in files of their own stay closed.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        Self::of(vec![file::layer(path)], None, false)
    }

    /// Of the text of a file alone.
    #[must_use]
    pub fn of_text(path: &Path, text: &str) -> Self {
        Self::of(vec![file::parsed(path, text)], None, false)
    }

    fn of(layers: Vec<Layer>, user: Option<String>, opens: bool) -> Self {
        let (mut won, mut problems) = (BTreeMap::new(), vec![]);
        for layer in layers {
            problems.extend(layer.problems);
            problems.extend(twice(&layer.entries));
            let (empty, said): (Vec<_>, Vec<_>) =
                layer.entries.into_iter().partition(|entry| entry.text.is_empty());
            problems.extend(empty.iter().map(|it| it.problem(" is empty: leave it out")));
            won.extend(said.into_iter().map(|entry| (&*entry.setting.key, entry)));
        }
        let mut said: BTreeMap<_, _> = settings().iter().filter_map(by_default).collect();
        for (key, entry) in won {
            match resolved(&entry, opens) {
                Ok(found) => drop(said.insert(key, found)),
                Err(problem) => problems.push(problem),
            }
        }
        Self { said, problems, user }
    }

    /// The configuration.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn config(&self) -> Result<Config, ConfigErrors> {
        let mut values = Values { said: self.said.clone(), problems: self.problems.clone() };
        let config = Config::read(&mut values, self.user.clone());
        if values.problems.is_empty() { Ok(config) } else { Err(ConfigErrors(values.problems)) }
    }
}

fn by_default(setting: &'static Setting) -> Option<(&'static str, Said)> {
    let text = Some(setting.default?.to_owned());
    Some((&*setting.key, Said { text, file: None, origin: Origin::Default }))
}

/// The value, out of its file if it has one.
fn resolved(entry: &Entry, opens: bool) -> Result<Said, Problem> {
    let Entry { in_file, text, origin, .. } = entry.clone();
    if !in_file {
        return Ok(Said { text: Some(text), file: None, origin });
    }
    let file = PathBuf::from(text);
    let text = opens.then(|| secret::read(&file)).transpose();
    let text = text.map_err(|why| entry.problem(format!(": {why}")))?;
    Ok(Said { text, file: Some(file), origin })
}

/// One place may not say both a secret and the file that holds it.
fn twice(entries: &[Entry]) -> Vec<Problem> {
    let same =
        |one: &Entry| entries.iter().find(|it| it.setting.key == one.setting.key && !it.in_file);
    let pairs = entries.iter().filter(|entry| entry.in_file).filter_map(|it| Some((it, same(it)?)));
    pairs
        .map(|(held, said)| {
            let other = said.origin.names(&said.setting.key);
            held.problem(format!(" and {other} are both said: leave one of them out"))
        })
        .collect()
}

/// Values on their way into a [`Config`]; each is taken once.
pub(super) struct Values {
    pub said: BTreeMap<&'static str, Said>,
    pub problems: Vec<Problem>,
}

impl Values {
    /// What was said of a setting, unless it is in a file that was not opened.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.said.remove(key)?.text
    }

    /// The same, as a path.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// The same, as what it must be; a problem when it is not.
    pub fn with<T, E>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let said = self.said.remove(key)?;
        let text = said.text.as_deref()?;
        let read = read(text).ok();
        if read.is_none() {
            self.refuse(key, &said.origin, text);
        }
        read
    }

    /// The parts of a list.
    pub fn list<T: std::str::FromStr>(&mut self, key: &str) -> Vec<T> {
        let Some(said) = self.said.remove(key) else { return vec![] };
        let text = said.text.unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut found = vec![];
        for part in parts {
            match part.parse() {
                Ok(value) => found.push(value),
                Err(_) => self.refuse(key, &said.origin, part),
            }
        }
        found
    }

    fn refuse(&mut self, key: &str, origin: &Origin, value: &str) {
        let Some(setting) = super::settings::setting(key) else { return };
        let value = secret::shown(setting, value);
        let says = format!("='{value}' is not {}", setting.expected);
        self.problems.push(Problem::new(origin, key, says));
    }
}

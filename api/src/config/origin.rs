//! Where something was said, and what is wrong with it.
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the table of settings has it.
    Default,
    /// In a line of the file, counted from 1.
    File(PathBuf, usize),
    /// In the environment.
    Variable(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("--set"),
        }
    }
}

impl Origin {
    /// What somebody there called a thing: `cairn.toml:3: server.listen`, `CAIRN_LISTEN`, `--set server.listen`.
    pub(super) fn names(&self, key: &str) -> String {
        match self {
            Self::Default => key.to_owned(),
            Self::File(..) => format!("{self}: {key}"),
            Self::Variable(name) => name.clone(),
            Self::Flag => format!("{self} {key}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it was said.
    pub origin: String,
    /// What is wrong, and where. Holds no secret.
    pub problem: String,
}

impl Problem {
    /// At an origin, about something that is called `key` in files.
    pub(super) fn new(origin: &Origin, key: &str, says: impl fmt::Display) -> Self {
        let problem = format!("{}{says}", origin.names(key));
        Self { origin: origin.to_string(), problem }
    }
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &*self.0 {
            return f.write_str(&only.problem);
        }
        write!(f, "the configuration is wrong in {} places", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n- {}", problem.problem))
    }
}

impl std::error::Error for ConfigErrors {}

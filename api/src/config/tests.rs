//! What a configuration comes to, and what is said of one that is wrong.
mod files;
mod layers;
mod secrets;
mod values;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{ConfigErrors, Reading, Sources};

/// A directory with files, and what is said there.
struct Scene {
    directory: TempDir,
    sources: Sources,
}

impl Scene {
    /// With a file of settings that nobody else may read.
    fn with_file(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "cairn.toml", text, 0o600);
        Self { directory, sources: Sources { file: Some(path), ..Sources::default() } }
    }

    fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.sources.environment.insert(name.to_owned(), value.into());
        self
    }

    fn flag(mut self, key: &str, value: impl Into<String>) -> Self {
        self.sources.flags.push((key.to_owned(), value.into()));
        self
    }

    /// Another file here.
    fn file(&self, name: &str, text: &str, mode: u32) -> String {
        write(self.directory.path(), name, text, mode).display().to_string()
    }

    fn read(&self) -> Reading {
        self.sources.read()
    }

    /// What is wrong, with the directory's name cut away.
    fn problems(&self) -> Vec<String> {
        let ConfigErrors(problems) = self.read().config().unwrap_err();
        let here = format!("{}/", self.directory.path().display());
        problems.into_iter().map(|problem| problem.problem.replace(&here, "")).collect()
    }
}

fn write(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

//! The files of the checkout, read once, and the shape of its top.
use super::Finding;
use crate::Failure;
use crate::run::root;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the house; nothing else lives at the top.
const ROOMS: [&str; 8] =
    ["domain", "commands", "projections", "api", "infra", "migrations", "replay-tests", "docs"];

/// Made by tools, never committed.
const MADE: [&str; 3] = ["target", ".git", ".cairn"];

/// A text file, by its path from the top.
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tests of a package, beside its source.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.starts_with("replay-tests/")
    }

    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Every text file of the checkout.
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    pub fn read() -> Result<Self, Failure> {
        let mut files = Vec::new();
        collect(&root(), "", &mut files).map_err(|error| format!("reading the tree: {error}"))?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree of one file, to try a rule on.
    #[cfg(test)]
    pub fn of(path: &str, text: &str) -> Self {
        Self { files: vec![File { path: path.to_owned(), text: text.to_owned() }] }
    }

    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// The manifests of our workspace. A workspace of its own has its own rules.
    pub fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| {
            let stranger = file.path != "Cargo.toml" && file.text.contains("\n[workspace]\n");
            file.name() == "Cargo.toml" && !stranger
        })
    }

    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.starts_with(folder))
    }

    pub fn has(&self, path: &str) -> bool {
        root().join(path).exists()
    }
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if prefix.is_empty() && MADE.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            // What is not text is none of our business.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(File { path, text });
            }
        }
    }
    Ok(())
}

/// The manifests of all members.
pub fn manifests() -> Vec<PathBuf> {
    let top = root().join("Cargo.toml");
    let text = fs::read_to_string(top).unwrap_or_default();
    let members = text.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let members = members.unwrap_or_default().split(',').map(|item| item.trim().trim_matches('"'));
    members
        .filter(|item| !item.is_empty())
        .map(|item| root().join(item).join("Cargo.toml"))
        .collect()
}

/// No other top-level folders, and every member is under the workspace's lints.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in fs::read_dir(root()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = ROOMS.contains(&name.as_str()) || MADE.contains(&name.as_str());
        if entry.path().is_dir() && !known && !name.starts_with('.') {
            findings.push(Finding::new("rooms", name, "no such room in docs/ARCHITECTURE.md"));
        }
    }
    for file in tree.manifests() {
        if file.path != "Cargo.toml" && !file.text.contains("[lints]\nworkspace = true") {
            findings.push(Finding::new("lints", &file.path, "must inherit the workspace's lints"));
        }
    }
    findings
}

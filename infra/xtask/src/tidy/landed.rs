//! What has landed is never edited: migrations and golden events, by checksum.
//!
//! `infra/xtask/landed.txt` lists them; `cargo xtask tidy --record` adds new ones and never
//! changes a line.
use super::Finding;
use super::tree::{File, Tree};
use crate::Failure;
use crate::run::root;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

const FILE: &str = "infra/xtask/landed.txt";
const HEAD: &str = "# checksum path. Written by cargo xtask tidy --record; lines are only added.\n";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let landed = read();
    let mut findings = migrations(tree);
    for file in kept(tree) {
        match landed.get(&file.path) {
            None => findings.push(Finding::new(
                "landed",
                &file.path,
                "is new: cargo xtask tidy --record, and commit the line",
            )),
            Some(sum) if *sum != checksum(&file.text) => findings.push(Finding::new(
                "landed",
                &file.path,
                "was edited after it landed: write a new one beside it",
            )),
            Some(_) => {}
        }
    }
    let gone = landed.keys().filter(|path| !tree.has(path));
    findings.extend(gone.map(|path| Finding::new("landed", path, "was removed after it landed")));
    findings
}

/// Adds what is new.
pub fn record(tree: &Tree) -> Result<(), Failure> {
    let mut landed = read();
    for file in kept(tree) {
        landed.entry(file.path.clone()).or_insert_with(|| checksum(&file.text));
    }
    let mut text = HEAD.to_owned();
    for (path, sum) in landed {
        let _ = writeln!(text, "{sum} {path}");
    }
    fs::write(root().join(FILE), text).map_err(|error| format!("{FILE}: {error}"))
}

fn kept(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(|file| {
        file.path.starts_with("migrations/") && file.path.ends_with(".sql")
            || file.path.starts_with("docs/schemas/") && file.path.ends_with(".json")
            || file.path.contains("/golden/") && !file.is_rust() && !file.path.ends_with(".md")
    })
}

/// `<stamp>_<context>_<what>`, in pairs, each stamp once.
fn migrations(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut stamps = BTreeMap::new();
    for file in tree.below("migrations/").filter(|file| file.path.ends_with(".sql")) {
        let name = file.name();
        let stem = name.strip_suffix(".up.sql").or_else(|| name.strip_suffix(".down.sql"));
        let (Some(stem), Some((stamp, what))) = (stem, name.split_once('_')) else {
            findings.push(Finding::new(
                "migrations",
                &file.path,
                "<stamp>_<context>_<what>.up.sql",
            ));
            continue;
        };
        if stamp.len() != 14 || !stamp.chars().all(|c| c.is_ascii_digit()) || !what.contains('_') {
            findings.push(Finding::new(
                "migrations",
                &file.path,
                "<stamp>_<context>_<what>.up.sql",
            ));
        }
        for half in ["up", "down"] {
            if !tree.has(&format!("migrations/{stem}.{half}.sql")) {
                findings.push(Finding::new(
                    "migrations",
                    &file.path,
                    format!("has no {half} half"),
                ));
            }
        }
        let first = stamps.entry(stamp).or_insert(stem);
        if *first != stem {
            findings.push(Finding::new("migrations", &file.path, format!("{first} has its stamp")));
        }
    }
    findings
}

fn read() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join(FILE)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(sum, path)| (path.into(), sum.into()))
        .collect()
}

/// FNV-1a: it guards against a slip, not against a forger.
fn checksum(text: &str) -> String {
    let fold = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{check, checksum};

    #[test]
    fn a_migration_alone_or_misnamed_is_found() {
        let found = |path: &str| {
            let findings = check(&Tree::of(path, ""));
            findings.iter().filter(|finding| finding.rule == "migrations").count()
        };
        assert_eq!(found("migrations/29990101000000_a_b.up.sql"), 2, "no such file in the tree");
        assert_eq!(found("migrations/1_a_b.sql"), 1);
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum("a"), "af63dc4c8601ec8c");
    }
}

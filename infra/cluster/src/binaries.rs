//! Where the system keeps its PostgreSQL servers, and which of them to take.
use crate::error::ClusterError;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, str};

/// The oldest server Cairn's SQL is written for.
const OLDEST_MAJOR: u32 = 15;

/// Directories whose children are versions, each with a `bin`.
const ROOTS: [&str; 4] = ["/usr/lib/postgresql", "/usr", "/opt/homebrew/opt", "/usr/local/opt"];

/// The directory holding `postgres`, `initdb` and `psql` of the newest server, version 15 or later.
///
/// Looks on `PATH` and in the places where distributions put servers.
///
/// # Errors
/// [`ClusterError::NoBinaries`] when there is none.
pub fn find_binaries() -> Result<PathBuf, ClusterError> {
    found().into_iter().next().map(|(_, bin)| bin).ok_or_else(none)
}

/// The server that can open data of major version `wanted`.
pub(crate) fn binaries_for(data: &Path, wanted: u32) -> Result<PathBuf, ClusterError> {
    let found = found();
    if found.is_empty() {
        return Err(none());
    }
    found.iter().find(|(major, _)| *major == wanted).map(|(_, bin)| bin.clone()).ok_or_else(|| {
        let versions: Vec<String> = found.iter().map(|(major, _)| major.to_string()).collect();
        ClusterError::VersionMismatch { data: data.to_owned(), wanted, found: versions.join(", ") }
    })
}

fn none() -> ClusterError {
    ClusterError::NoBinaries { searched: format!("{}/*/bin", ROOTS[0]) }
}

/// Every usable server of this machine with its major version, newest first.
fn found() -> Vec<(u32, PathBuf)> {
    let mut candidates: Vec<PathBuf> = on_path().into_iter().collect();
    for root in ROOTS {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let versioned = name.starts_with(|c: char| c.is_ascii_digit());
            if versioned || name.starts_with("pgsql-") || name.starts_with("postgresql@") {
                candidates.push(entry.path().join("bin"));
            }
        }
    }
    let mut found: Vec<(u32, PathBuf)> = candidates
        .into_iter()
        .filter(|bin| ["postgres", "initdb", "psql"].iter().all(|name| bin.join(name).exists()))
        .filter_map(|bin| Some((major(&bin)?, bin)))
        .filter(|(major, _)| *major >= OLDEST_MAJOR)
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.dedup();
    found
}

/// The directory of the `initdb` the shell would run, links followed.
fn on_path() -> Option<PathBuf> {
    let output = Command::new("sh").args(["-c", "command -v initdb"]).output().ok()?;
    let path = fs::canonicalize(str::from_utf8(&output.stdout).ok()?.trim()).ok()?;
    path.parent().map(Path::to_owned)
}

fn major(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

fn parse_major(version: &str) -> Option<u32> {
    let after = version.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_first_number_after_the_name() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(parse_major("something else"), None);
    }

    #[test]
    fn data_of_another_version_is_refused_by_name() {
        let error = binaries_for(Path::new("/data"), 9).expect_err("no such server");
        assert!(error.to_string().contains("PostgreSQL 9"), "{error}");
    }
}

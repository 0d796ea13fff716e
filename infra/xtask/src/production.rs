//! What a build for production is made of: nothing that only development wants ([ADR 0039](../../../docs/adr/0039-what-is-for-development-is-a-feature.md)).
use crate::Failure;
use crate::run::{cargo, step};

/// How the program is built for whoever serves customers.
const BUILD: [&str; 3] = ["--package", "cairn-api", "--no-default-features"];

/// Crates, and features of crates, that stand in for a neighbour or make one up.
const DEVELOPMENT: [&str; 4] =
    ["cairn-stripe-simulator", "cairn-testbed", "cairn-api/development", "cairn-ssh/scripted"];

/// It compiles without a warning, and of what is for development nothing is in it.
pub fn check() -> Result<(), Failure> {
    // Were one of them renamed, the second question would find nothing for ever.
    let unknown: Vec<_> = missing(&tree(&BUILD[..2])?);
    if !unknown.is_empty() {
        return Err(format!("a build for development has no {}", unknown.join(", ")));
    }
    let found = present(&tree(&BUILD)?);
    if !found.is_empty() {
        return Err(format!("a build for production has {} in it", found.join(", ")));
    }
    let mut clippy = cargo(&["clippy"]);
    clippy.args(BUILD).args(["--", "-D", "warnings"]).env("SQLX_OFFLINE", "true");
    step("clippy of the build for production", &mut clippy)
}

/// Every package that is linked, one a line: its name, and its features in brackets.
fn tree(build: &[&str]) -> Result<String, Failure> {
    let mut tree = cargo(&["tree", "--locked", "--edges", "normal,build", "--prefix", "none"]);
    tree.args(["--format", "{p} [{f}]"]).args(build);
    let said = tree.output().map_err(|error| format!("cargo tree: {error}"))?;
    if !said.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&said.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

fn present(tree: &str) -> Vec<&'static str> {
    DEVELOPMENT.into_iter().filter(|what| has(tree, what)).collect()
}

fn missing(tree: &str) -> Vec<&'static str> {
    DEVELOPMENT.into_iter().filter(|what| !has(tree, what)).collect()
}

/// Whether `crate` or `crate/feature` is in a tree.
fn has(tree: &str, what: &str) -> bool {
    let (name, feature) = what.split_once('/').unwrap_or((what, ""));
    let lines = tree.lines().filter(|line| line.split(' ').next() == Some(name));
    lines.map(features).any(|its| feature.is_empty() || its.contains(&feature))
}

fn features(line: &str) -> Vec<&str> {
    let said = line.rsplit_once('[').and_then(|(_, rest)| rest.split(']').next());
    said.unwrap_or_default().split(',').collect()
}

#[cfg(test)]
mod tests {
    use super::{DEVELOPMENT, missing, present};

    const PRODUCTION: &str = "cairn-api v0.1.0 (/x/cairn-testbed/api) []\n\
        cairn-ssh v0.1.0 (/x/ssh) []\ncairn-stripe v0.1.0 (/x/stripe) [default]\n";

    #[test]
    fn what_is_for_development_is_found_by_crate_and_by_feature() {
        assert_eq!(present(PRODUCTION), [""; 0]);
        assert_eq!(missing(PRODUCTION), DEVELOPMENT);
        for (line, found) in [
            ("cairn-testbed v0.1.0 (/x/testbed) []", "cairn-testbed"),
            ("cairn-stripe-simulator v0.1.0 (/x) [] (*)", "cairn-stripe-simulator"),
            ("cairn-ssh v0.1.0 (/x/ssh) [scripted] (*)", "cairn-ssh/scripted"),
            ("cairn-api v0.1.0 (/x/api) [default,development]", "cairn-api/development"),
        ] {
            assert_eq!(present(&format!("{PRODUCTION}{line}\n")), [found]);
        }
    }
}

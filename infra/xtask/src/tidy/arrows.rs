//! Every arrow points towards `domain`: which crate may depend on which.
use super::Finding;
use super::tree::{File, Tree};

/// What would let time, chance or the world into a decision.
const IMPURE: [&str; 10] =
    ["tokio", "sqlx", "getrandom", "rand", "reqwest", "axum", "russh", "uuid", "chrono", "tracing"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files.iter().filter(|file| file.name() == "Cargo.toml");
    manifests.filter(|file| file.path != "Cargo.toml").flat_map(manifest).collect()
}

fn manifest(file: &File) -> Vec<Finding> {
    let room = file.path.trim_end_matches("/Cargo.toml");
    let mut findings = Vec::new();
    for (section, name) in dependencies(&file.text) {
        let test_only = section == "dev-dependencies";
        let why = if test_only { refused_in_tests(room, name) } else { refused(room, name) };
        if let Some(why) = why {
            findings.push(Finding::new("arrows", &file.path, format!("{name}: {why}")));
        }
    }
    findings
}

/// The names in every table of dependencies, with the table's own name.
fn dependencies(text: &str) -> Vec<(&str, &str)> {
    let (mut section, mut found) = ("", Vec::new());
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end().trim_end_matches(']');
        } else if section.ends_with("dependencies") {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !name.is_empty() && !name.starts_with('#') {
                found.push((section, name));
            }
        }
    }
    found
}

/// Why this room may not build on this crate.
fn refused(room: &str, name: &str) -> Option<&'static str> {
    let ours = name.strip_prefix("cairn-");
    match room {
        "domain/core" if ours.is_some() => Some("the kernel knows nobody"),
        _ if room.starts_with("domain/") => match ours {
            Some("core") => None,
            Some(_) => Some("a context knows only core: two contexts meet in a process"),
            None => IMPURE.contains(&name).then_some("the domain is pure"),
        },
        "commands" if is_domain(ours?) || ours? == "event-log" => None,
        "commands" => Some("commands know domain and the log; the rest is a port"),
        "projections" if is_domain(ours?) || ours? == "event-log" => None,
        "projections" => Some("projections know domain and the log"),
        "infra/event-log" if ours? != "core" => Some("the log knows core only"),
        "infra/cluster" | "infra/node" | "infra/stripe-simulator" if ours.is_some() => {
            Some("stands alone: it knows nothing of Cairn's inside")
        }
        "infra/xtask" if ours? != "cluster" => Some("xtask stays quick to compile"),
        "replay-tests" if ours? == "api" => Some("replay tests know everything but the api"),
        _ if room.starts_with("infra/") && ours? == "api" => Some("only main knows the api"),
        _ => None,
    }
}

fn refused_in_tests(room: &str, name: &str) -> Option<&'static str> {
    let strangers = [("commands", "cairn-projections"), ("projections", "cairn-commands")];
    strangers.contains(&(room, name)).then_some("commands and projections do not know each other")
}

fn is_domain(name: &str) -> bool {
    crate::run::root().join("domain").join(name).is_dir()
}

#[cfg(test)]
mod tests {
    use super::{dependencies, refused};

    #[test]
    fn a_context_may_not_know_its_neighbour() {
        assert!(refused("domain/compute", "cairn-ledger").is_some());
        assert!(refused("domain/compute", "cairn-core").is_none());
        assert!(refused("domain/compute", "tokio").is_some());
        assert!(refused("commands", "cairn-stripe").is_some());
        assert!(refused("commands", "cairn-ledger").is_none());
        assert!(refused("api", "cairn-stripe").is_none());
    }

    #[test]
    fn names_are_read_in_every_spelling() {
        let text = "[dependencies]\na.workspace = true\nb = \"1\"\n# c\n[dev-dependencies]\nd = { path = \"x\" }\n";
        let names: Vec<_> = dependencies(text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "b", "d"]);
    }
}
